"""The losses of one slice on their way through a detector, with the time of what it finds."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

from ...detectors.change.dispersion import Dispersion
from ...detectors.change.glr import Glr
from ...detectors.interface import Detector
from ...detectors.registry import detector, restore
from .timeline import Timeline

_HOUR_US = 3_600_000_000
# More than the detector's own: a model has a stream for each slice, and goes on for years.
_EVIDENCE = 16.0


class Found(NamedTuple):
    """A change of the mean loss: instants in µs; `n` losses say so."""

    since_us: int
    found_us: int
    n: int
    score: float
    expected: float | None
    seen: float | None

    @property
    def is_improvement(self) -> bool:
        """Whether losses fell; a detector that doesn't say what they were finds drift."""
        return self.expected is not None and self.seen is not None and self.seen < self.expected


class LossStream:
    """Losses in their order. Where they come in waves from hour to hour, the default detector needs more evidence."""

    def __init__(self, detector_name: str) -> None:
        """Raises ValueError: there is no such detector."""
        self.detector: Detector[float] = detector(detector_name)
        self._timeline = Timeline()
        self._dispersion = Dispersion()

    def take(self, losses: Sequence[float], at_us: Sequence[int]) -> list[Found]:
        """The next losses, and when they were known."""
        self._timeline.add(at_us)
        findings = (
            self.detector.update(losses)
            if not isinstance(self.detector, Glr)
            else [
                finding for part in self._hours(self.detector, losses, at_us) for finding in self.detector.update(part)
            ]
        )
        return [
            Found(
                self._timeline.at(each.since), self._timeline.at(each.at), each.at - each.since + 1,
                min(1.0, max(0.0, each.score)), each.expected, each.seen,
            )
            for each in findings
        ]  # fmt: skip

    def snapshot(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "detector": self.detector.snapshot(),
            "timeline": self._timeline.snapshot(),
            "dispersion": self._dispersion.snapshot(),
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Any]) -> Self:
        """From its snapshot.

        Raises:
            SnapshotError, KeyError, TypeError, ValueError: it is damaged.
        """
        online = restore(snapshot["detector"])
        restored = cls(online.name)
        restored.detector = online
        restored._timeline = Timeline.restore(snapshot["timeline"])
        restored._dispersion = Dispersion.restore(snapshot["dispersion"])
        return restored

    def _hours(self, online: Glr, losses: Sequence[float], at_us: Sequence[int]) -> Iterator[Sequence[float]]:
        """Parts of one hour each; the evidence that is needed is set before each is taken."""
        begin = 0
        for place, (loss, us) in enumerate(zip(losses, at_us, strict=True)):
            if self._dispersion.add(us // _HOUR_US, loss):
                yield losses[begin:place]
                online.evidence, begin = _EVIDENCE * self._dispersion.factor, place
        yield losses[begin:]
