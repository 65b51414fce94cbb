"""Has a column changed since the reference, beyond chance and by enough to matter?"""

import math
from collections.abc import Mapping, Sequence

from msgspec import Struct

from . import methods
from .bounds import anderson_darling_bound, chi_square_bound
from .categorical import jensen_shannon
from .cells import Pair, categories, pair
from .column import Column, Kind
from .evidence import of_categories, of_numbers
from .numeric import rank_shift, wasserstein
from .permutation import STAGES, permutation_test
from .rates import rate_test
from .result import Drift, Question, Reason, Shift
from .unresolved import within_bins


class Limits(Struct, frozen=True):
    """From when on a difference matters, and how many values it takes to tell; all are sizes of effects.

    They mean about the same: 0.08 deviations of a normal distribution move a tenth-part category by a quarter, whose
    Jensen–Shannon distance is 0.03.
    """

    numeric: float = 0.08
    """The largest of: Wasserstein distance by the reference's deviation, the same of ranks, difference of means."""
    categorical: float = 0.03
    """Jensen–Shannon distance, natural logarithm."""
    rate: float = 0.08
    """Of shares (true, missing, invalid): difference by the deviation of one value."""
    least_n: int = 30
    """Values on either side below which nothing is decided."""


DEFAULT = Limits()


def compare(
    reference: Column,
    current: Column,
    *,
    name: str = "",
    segment: str = "",
    method: str | None = None,
    limits: Limits = DEFAULT,
    rough_below: float = 0.0,
    seed: int = 0,
) -> Drift:
    """Have the values changed?

    Of an effect that is below `rough_below`, or too small to matter, the p-value is one of 49 draws only.

    `method` is one of `methods.NUMERIC` or `methods.CATEGORICAL`. Without it numbers by Wasserstein's distance and
    Anderson's and Darling's statistic, which together found most in `benchmarks.detection.method_power`; categories by
    χ² and the largest residual. χ² alone finds small changes of many categories sooner, the residual alone a change of
    one; both together miss neither. Two categories by Fisher's exact test.

    Raises:
        ValueError: the columns are of different kinds, or the method is not one for their kind.

    >>> import numpy as np
    >>> before, after = np.arange(2000) % 100, np.arange(1000) % 100 + 20
    >>> found = compare(Column.of_numbers(before), Column.of_numbers(after))
    >>> found.reason, round(found.statistic, 2), found.p_value < 0.001
    (<Reason.DRIFTED: 'drifted'>, 0.69, True)
    """
    is_number = reference.kind is Kind.NUMERIC
    if is_number != (current.kind is Kind.NUMERIC):
        raise ValueError(f"{name or 'the column'} is {current.kind.value}, and {reference.kind.value} in the reference")
    known = methods.NUMERIC if is_number else methods.CATEGORICAL
    if method is not None and method not in known:
        raise ValueError(f"method {method!r}: those of a {reference.kind.value} column are {', '.join(sorted(known))}")
    parts = _Parts(reference, current, name, segment, limits, seed, rough_below)
    if min(reference.n, current.n) < max(1, limits.least_n):
        return _drift(parts, method or "none", math.nan, math.nan, None)
    return _numbers(parts, method or methods.OF_NUMBERS) if is_number else _categories(parts, method)


def compare_rates(
    reference: Column, current: Column, *, name: str = "", segment: str = "", limits: Limits = DEFAULT
) -> tuple[Drift, Drift]:
    """Are more or fewer values missing, or invalid?"""
    parts = _Parts(reference, current, name, segment, limits, 0)
    return (
        _rate(parts, Question.MISSING, reference.missing, reference.rows, current.missing, current.rows),
        _rate(
            parts, Question.INVALID,
            reference.invalid, reference.rows - reference.missing, current.invalid, current.rows - current.missing,
        ),
    )  # fmt: skip


def compare_all(
    reference: Mapping[str, Column],
    current: Mapping[str, Column],
    *,
    segment: str = "",
    limits: Limits = DEFAULT,
    seed: int = 0,
) -> list[Drift]:
    """Every question about every column of the reference, for `decide`; a column that is gone is one without values."""
    found: list[Drift] = []
    for name, before in reference.items():
        after = current.get(name, Column(before.kind))
        found.append(compare(before, after, name=name, segment=segment, limits=limits, seed=seed))
        found.extend(compare_rates(before, after, name=name, segment=segment, limits=limits))
    return found


class _Parts(Struct, frozen=True):
    reference: Column
    current: Column
    name: str
    segment: str
    limits: Limits
    seed: int
    rough_below: float = 0.0

    def stages(self, effect: float, threshold: float) -> Sequence[tuple[int, float]]:
        """What is too small to matter needs no exact p-value."""
        return STAGES if effect >= max(threshold, self.rough_below) else STAGES[:1]


def _numbers(parts: _Parts, method: str) -> Drift:
    before, after = parts.reference.numbers, parts.current.numbers
    both = pair(before, after)
    deviation = math.sqrt(before.variance)
    shifts = [float(rank_shift(both.reference, both.current))]
    if 0 < deviation < math.inf:
        shifts.append(float(wasserstein(both.reference, both.current, both.points)) / deviation)
        shifts.append(abs(after.average - before.average) / deviation)
    cells, effect = both.grouped(), max(shifts)
    test = permutation_test(
        cells.reference, cells.current, methods.NUMERIC[method](cells), seed=parts.seed,
        stages=parts.stages(effect, parts.limits.numeric),
        bound=(lambda: 2 * anderson_darling_bound(cells)) if "anderson_darling" in method else None,
    )  # fmt: skip
    p_value = test.p_value
    inside = within_bins(before, after)
    if inside is not None:
        p_value = min(1.0, 2 * min(p_value, inside))
    return _drift(parts, method, methods.statistic(method, both, deviation), effect, p_value, both)


def _categories(parts: _Parts, method: str | None) -> Drift:
    both = categories(parts.reference.categories, parts.current.categories)
    reference, current = both.grouped()
    distance = float(jensen_shannon(both.reference, both.current))
    if len(both.names) == 2 and method is None:
        part = both.names.index(max(both.names))
        found = rate_test(
            int(both.reference[part]), int(both.reference.sum()), int(both.current[part]), int(both.current.sum())
        )
        is_rate = parts.reference.kind is Kind.BOOLEAN
        effect = abs(found.standardised) if is_rate else distance
        p_value, method, statistic = found.p_value, found.method, found.difference
    else:
        method, effect = method or methods.OF_CATEGORIES, distance
        test = permutation_test(
            reference, current, methods.CATEGORICAL[method], seed=parts.seed,
            stages=parts.stages(effect, parts.limits.categorical),
            bound=(lambda: 2 * chi_square_bound(reference, current)) if "chi_square" in method else None,
        )  # fmt: skip
        p_value, statistic = test.p_value, methods.category_statistic(method, both.reference, both.current)
    shifts = of_categories(both) if p_value <= 0.05 else ()
    return _drift(parts, method, statistic, effect, p_value, evidence=shifts)


def _rate(parts: _Parts, question: Question, part: int, whole: int, now: int, of_now: int) -> Drift:
    limits = parts.limits
    if min(whole, of_now) < max(1, limits.least_n):
        method, statistic, effect, p_value = "none", math.nan, math.nan, None
    else:
        found = rate_test(part, whole, now, of_now)
        method, statistic, effect, p_value = found.method, found.difference, abs(found.standardised), found.p_value
    evidence = (Shift(question.value, part / whole, now / of_now),) if p_value is not None and p_value <= 0.05 else ()
    return Drift(
        question=question, kind=parts.reference.kind.value, method=method, statistic=statistic, effect=effect,
        threshold=limits.rate, p_value=p_value, n_reference=whole, n_current=of_now,
        reason=reason(p_value, effect, limits.rate), evidence=evidence, name=parts.name, segment=parts.segment,
    )  # fmt: skip


def reason(p_value: float | None, effect: float, threshold: float, level: float = 0.05) -> Reason:
    """Why, or why not."""
    if p_value is None:
        return Reason.TOO_FEW
    if p_value > level:
        return Reason.CHANCE
    return Reason.DRIFTED if effect >= threshold else Reason.TRIFLING


def _drift(
    parts: _Parts, method: str, statistic: float, effect: float, p_value: float | None, both: Pair | None = None,
    evidence: tuple[Shift, ...] = (),
) -> Drift:  # fmt: skip
    kind, limits = parts.reference.kind, parts.limits
    threshold = {Kind.NUMERIC: limits.numeric, Kind.CATEGORICAL: limits.categorical, Kind.BOOLEAN: limits.rate}[kind]
    if both is not None and p_value is not None and p_value <= 0.05:
        evidence = of_numbers(both)
    return Drift(
        question=Question.VALUES, kind=kind.value, method=method, statistic=statistic, effect=effect,
        threshold=threshold, p_value=p_value, n_reference=parts.reference.n, n_current=parts.current.n,
        reason=reason(p_value, effect, threshold), evidence=evidence, name=parts.name, segment=parts.segment,
    )  # fmt: skip
