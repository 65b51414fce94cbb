"""Evidence over the last 1 to 32 steps, each judged by how much such sums vary."""

from statistics import median
from typing import Annotated

from msgspec import Meta, Struct, field

from .heavy import Heavy
from .kinds import Count, Mean, Seen, Share

SPANS = (1, 2, 4, 8, 16, 32)
DELAY = 8
"""Steps until one teaches how much is usual: those of a change that is found by then never do."""
_MEMORY = 1_500.0
_ORDINARY = 9.0
_LEAST = 1e-4
_PRIOR = 4.0
_HISTORY = 4
# Of a growing history the later steps count more: the first ones are from before its seasons are known.
_HASTE, _OF_COUNT = 3.0, 5.0 / 9.0
_FAR, _FIRST = 6.0, 11.0
# That noise is of sampling alone is believed as from so many steps, as far as it is no larger.
_THEORY = 20.0

Of = Count | Share | Mean
Sums = Annotated[list[float], Meta(min_length=len(SPANS), max_length=len(SPANS))]
Row = tuple[float, float, float]
Lesson = list[tuple[float, float]]


class Evidence(Struct):
    """Sums of what was seen and expected over spans of steps, in deviations of such sums.

    The unit of a span comes from its own past, cut off at 3 deviations, so that it counts for dependence between steps;
    it is never below what independent steps would have, nor below sampling noise. Noise beyond sampling grows with the
    information of a step, and is not taken to shrink where there is less than usual.
    """

    rows: Annotated[list[Row], Meta(max_length=SPANS[-1])] = field(default_factory=list)
    squares: Sums = field(default_factory=lambda: [0.0] * len(SPANS))
    counts: Sums = field(default_factory=lambda: [0.0] * len(SPANS))
    heavy: Annotated[list[Heavy], Meta(min_length=len(SPANS), max_length=len(SPANS))] = field(
        default_factory=lambda: [Heavy() for _ in SPANS]
    )
    information: float = 0.0
    lessons: Annotated[list[Lesson], Meta(max_length=DELAY)] = field(default_factory=list)

    def unit(self, of: Of) -> float:
        """Deviation of one step, in that of sampling."""
        least = 1.0 if of.sampling else _LEAST
        return max(self.squares[0] ** 0.5, least)

    def judge(
        self, of: Of, seen: Seen, level_steps: float, doubts: tuple[float, float], *, learn: bool
    ) -> tuple[float, float]:
        """Take a step. Returns the probability of something as unlikely, and the deviation of the step alone.

        `doubts`: what to multiply the deviations of a step and of sums by, as the forecast is of long ago.
        """
        rows = self.rows
        rows.append((seen.seen, seen.expected, seen.weight))
        del rows[: -SPANS[-1]]
        if learn:
            self.information += (seen.information - self.information) / min(self.counts[0] + 1.0, _MEMORY)
        beyond = max(1.0, seen.information / self.information) if of.sampling and self.information > 0.0 else 1.0
        values, means, weights = zip(*rows, strict=True)
        smallest, alone = 1.0, 0.0
        lesson: Lesson = []
        for i, span in enumerate(SPANS):
            if span > len(rows):
                break
            deviation = of.deviation(sum(values[-span:]), sum(means[-span:]), sum(weights[-span:]), span)
            unit = self._unit(i, span, of, level_steps, beyond) * doubts[i > 0]
            deviation /= unit
            if i == 0:
                alone = deviation
            count = self.counts[i] / span
            if count >= _HISTORY or i == 0 or of.sampling:
                smallest = min(smallest, self.heavy[i].probability(deviation, max(self._freedom(i, span, of), 3.0)))
            squared = min(deviation * deviation, _ORDINARY) * unit * unit
            if of.sampling and squared > 1.0:
                squared = 1.0 + (squared - 1.0) / beyond
            lesson.append((round(deviation, 2), float(f"{squared:.4g}")))
        if learn:
            self.lessons.append(lesson)
            if len(self.lessons) > DELAY:
                self._learn(self.lessons.pop(0))
        return min(1.0, smallest * len(SPANS)), alone

    def begin_with(self, of: Of, looks: list[Seen]) -> None:
        """Learn the deviation of one step from the first ones, from what is in their middle."""
        deviations = [abs(of.deviation(each.seen, each.expected, each.weight, 1)) for each in looks]
        most = _FAR * median(deviations) or max(deviations)
        squares = [min(each, most) ** 2 for each in deviations]
        self.squares[0] = sum(squares) / (len(squares) - 1)
        self.counts[0] = float(len(squares) - 1)
        self.information = sum(each.information for each in looks) / len(looks)

    def begin(self, of: Of) -> int:
        """How many of the last steps are likeliest to be unlike those before."""
        best, steps = 0.0, 1
        seen = expected = weight = 0.0
        for back, row in enumerate(reversed(self.rows), 1):
            seen, expected, weight = seen + row[0], expected + row[1], weight + row[2]
            strength = abs(of.deviation(seen, expected, weight, back))
            if strength > best * 1.001:
                best, steps = strength, back
        return steps

    def deviation(self, of: Of, steps: int) -> float:
        """Of the sum of the last steps, in that of sums of independent ones."""
        seen, expected, weight = map(sum, zip(*self.rows[-steps:], strict=True))
        return of.deviation(seen, expected, weight, steps) / self.unit(of)

    def of_last(self, of: Of, steps: int) -> tuple[float, float]:
        """What was expected and seen in the last steps."""
        rows = self.rows[-steps:]
        weight = sum(row[2] for row in rows)
        return of.of_amount(sum(row[1] for row in rows), weight), of.of_amount(sum(row[0] for row in rows), weight)

    def forget(self) -> None:
        """The steps so far say nothing about those to come."""
        self.rows = []

    def unlearn(self, steps: int) -> None:
        """The last steps are no lesson: they are of a change."""
        if steps > 1:
            del self.lessons[-steps:]

    def _freedom(self, i: int, span: int, of: Of) -> float:
        count = self.counts[i]
        of_theory = _THEORY / max(self.squares[0], 1.0) if of.sampling else 0.0
        return (max(_OF_COUNT * count, min(count, _FIRST)) + of_theory) / span**0.5

    def _unit(self, i: int, span: int, of: Of, level_steps: float, beyond: float) -> float:
        white = 1.0 + span / max(level_steps, 1.0)
        one = self.squares[0]
        count = self.counts[i] / span
        if of.sampling:
            alone = max(one, 1.0)
            known = (self.squares[i] * count + alone * _PRIOR) / (count + _PRIOR) if i else one
            return (white + max(max(known, alone) - 1.0, 0.0) * beyond) ** 0.5
        alone = max(one, _LEAST * _LEAST)
        known = (self.squares[i] * count + alone * _PRIOR) / (count + _PRIOR) if i else alone
        return (max(known, alone) * (white if count < 3 * _PRIOR else 1.0)) ** 0.5

    def _learn(self, lesson: Lesson) -> None:
        for i, (deviation, squared) in enumerate(lesson):
            count = self.counts[i] = min(self.counts[i] + 1.0, 2.0 * _MEMORY)
            self.squares[i] += (squared - self.squares[i]) * max(_HASTE / (count + _HASTE), 1.0 / _MEMORY)
            self.heavy[i].take(deviation, 1.0 / SPANS[i])
