"""The detectors that are compared: ours by their names, and River's own with River's defaults."""

from collections.abc import Callable, Sequence

from loopwatch.detectors.registry import detector
from msgspec import Struct
from river import drift

Detect = Callable[[Sequence[float]], list[int]]
"""Values in, places out at which something was found; each call begins anew."""


class Contender(Struct, frozen=True):
    """`slow`: tried on fewer runs."""

    name: str
    detect: Detect
    slow: bool = False


def _ours(name: str) -> Detect:
    return lambda values: [finding.at for finding in detector(name).update(values)]


def _rivers(make: Callable[[], drift.ADWIN | drift.PageHinkley | drift.KSWIN]) -> Detect:
    def detect(values: Sequence[float]) -> list[int]:
        river, found = make(), []
        for at, value in enumerate(values):
            river.update(value)
            if river.drift_detected:
                found.append(at)
        return found

    return detect


CONTENDERS = (
    Contender("glr", _ours("glr")),
    Contender("seed", _ours("seed")),
    Contender("stepd", _ours("stepd")),
    Contender("kswin", _ours("kswin"), slow=True),
    Contender("River ADWIN", _rivers(drift.ADWIN)),
    Contender("River Page-Hinkley", _rivers(drift.PageHinkley)),
    Contender("River KSWIN", _rivers(lambda: drift.KSWIN(seed=1)), slow=True),
)
