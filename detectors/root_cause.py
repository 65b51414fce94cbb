"""Which slices explain that a mean changed: more or less of them, or another mean within them.

The difference of two means of the same whole is a sum over slices of a part for the mix and a part within (Kitagawa,
JASA 1955; with the mix measured from the mean of the whole, so that a slice that grows explains only what it is
unlike the rest).
"""

from collections.abc import Mapping

from msgspec import Struct


class Part(Struct, frozen=True):
    """A slice before or since: how many values, and their sum."""

    n: int
    total: float

    @property
    def mean(self) -> float:
        """Raises ZeroDivisionError of nothing."""
        return self.total / self.n


class Contribution(Struct, frozen=True):
    """What one slice adds to the difference of the means, in units of the values."""

    name: str
    mix: float
    """Because its share is another one."""
    within: float
    """Because its own mean is another one."""
    before: Part
    since: Part

    @property
    def total(self) -> float:
        """Both."""
        return self.mix + self.within


def contributions(before: Mapping[str, Part], since: Mapping[str, Part]) -> list[Contribution]:
    """Of slices that share no value and make up the whole, the largest first; they sum to the difference of the means.

    A slice that is on one side only explains by its mix. Without any value on one of the sides there is nothing to say.

    >>> old = {"DE": Part(500, 50.0), "US": Part(500, 50.0)}
    >>> new = {"DE": Part(500, 150.0), "US": Part(500, 50.0)}
    >>> [(each.name, round(each.total, 3)) for each in contributions(old, new)]
    [('DE', 0.1), ('US', 0.0)]
    """
    n_before, n_since = sum(part.n for part in before.values()), sum(part.n for part in since.values())
    if not n_before or not n_since:
        return []
    of_all = (
        sum(part.total for part in before.values()) / n_before + sum(part.total for part in since.values()) / n_since
    ) / 2
    nothing = Part(0, 0.0)
    found: list[Contribution] = []
    for name in sorted(before.keys() | since.keys()):
        old, new = before.get(name, nothing), since.get(name, nothing)
        if not (old.n or new.n):
            continue
        share_before, share_since = old.n / n_before, new.n / n_since
        mean_before = old.mean if old.n else new.mean
        mean_since = new.mean if new.n else old.mean
        mix = (share_since - share_before) * ((mean_before + mean_since) / 2 - of_all)
        within = (mean_since - mean_before) * (share_before + share_since) / 2
        found.append(Contribution(name, mix, within, old, new))
    return sorted(found, key=lambda each: -abs(each.total))
