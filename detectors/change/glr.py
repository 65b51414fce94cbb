"""The default: the likelihood ratio of "it changed, at the likeliest place" to "it never did"."""

import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from scipy.special import xlogy

from ..interface import Finding
from .blocks import SIZE, Block, append
from .numbers import NumberDetector, require, strength
from .scale import Scale


class Memory(Struct):
    """The window in blocks, the oldest first; the values of the block that is not full, and where that begins."""

    blocks: list[Block]
    pending: list[float]
    pending_since: int
    scale: Scale


class Glr(NumberDetector):
    """Generalized likelihood ratio over every place between blocks of the window, for errors and losses of any size.

    Drift is a rise: of the share of errors, or of the mean loss. After one the window begins where the change is
    estimated, which is `since`. A fall, which is what a model that learns shows, moves the beginning of the window in
    the same way, so that the next rise is judged by how good the model has become; it is a finding only with
    `improvements`. Every 32 values the window is tested: two distinct values by the Bernoulli likelihood, others by the
    normal one, with unknown and equal variance, on a scale that tames heavy tails (`Scale`). `expected` and `seen` are
    means of the values as they came.

    A finding needs `evidence` in nats. Since a test looks at all places and at all times, what counts is how often it
    errs on streams in which nothing changes: of independent errors (shares of 0.1, 0.3, 0.5) and losses (normal,
    lognormal), with the default 0.1 to 0.6 findings in 100,000 values, five times as many at 8; half of them are rises.
    Losses that depend on one another (seasons, sessions) look like changes to it, as to every detector here.

    References: Lorden, Annals of Mathematical Statistics 1971; Siegmund and Venkatraman, Annals of Statistics 1995 (how
    often such a test errs); Bifet and Gavaldà, SDM 2007 (the window in blocks).

    >>> [(finding.at, finding.since) for finding in Glr().update([0, 0, 0, 1] * 400 + [0, 1] * 200)]
    [(1695, 1600)]
    """

    name = "glr"
    Memory = Memory

    def __init__(self, *, evidence: float = 10.0, improvements: bool = False) -> None:
        require("evidence", 0 < evidence < math.inf, "above 0")
        require("improvements", isinstance(improvements, bool), "true or false")
        super().__init__(evidence=evidence, improvements=improvements)
        self._blocks: list[Block] = []
        self._pending: list[float] = []
        self._pending_since = 0
        self._scale = Scale()

    @property
    def evidence(self) -> float:
        """What a finding needs, in nats. It may be set on the way, as by what `Dispersion` learns."""
        return self.parameters["evidence"]

    @evidence.setter
    def evidence(self, nats: float) -> None:
        require("evidence", 0 < nats < math.inf, "above 0")
        self.parameters["evidence"] = nats

    def _take_number(self, value: float) -> Finding | None:
        if not self._pending:
            self._pending_since = self.n
        self._pending.append(value)
        if len(self._pending) < SIZE:
            return None
        self._close_block()
        return self._test() if len(self._blocks) > 1 else None

    def _close_block(self) -> None:
        values, self._pending = self._pending, []
        if self._scale.meet(values):
            # Until now there were zeros only, wherever those are on the scale.
            zero = -self._scale.centre
            for block in self._blocks:
                block.scaled, block.squares = block.n * zero, block.n * zero * zero
        scaled = self._scale.of(values)
        sums = math.fsum(values), math.fsum(scaled), math.fsum(scaled * scaled)
        append(self._blocks, Block(self._pending_since, SIZE, *sums))

    def _test(self) -> Finding | None:
        self.score = 0.0
        evidence, rises = self._evidence()
        if not evidence.any():
            return None
        needed, reported = self.evidence, rises | self.parameters["improvements"]
        self.score = strength(float(evidence[reported].max(initial=0.0)), needed)
        place = int(evidence.argmax())
        if evidence[place] < needed:
            return None
        before, self._blocks = self._blocks[: place + 1], self._blocks[place + 1 :]
        if not reported[place]:
            self.score = 0.0
            return None
        return Finding(self.n, self._blocks[0].since, self.score, _mean(before), _mean(self._blocks))

    def _evidence(self) -> tuple[np.ndarray, np.ndarray]:
        """By place between two blocks, from the oldest: evidence that it changed there, and whether it rose."""
        of_blocks = np.array([(block.n, block.scaled, block.squares) for block in self._blocks])
        sums = of_blocks.cumsum(axis=0)
        n, total, squares = sums[-1]
        n0, total0 = sums[:-1, 0], sums[:-1, 1]
        n1, total1 = n - n0, total - total0
        rises = total1 * n0 > total0 * n1
        if self._scale.many:
            around = squares - total * total / n
            if around <= 1e-12 * squares:
                return np.zeros(len(n0)), rises
            within = squares - total0 * total0 / n0 - total1 * total1 / n1
            return 0.5 * n * np.log(around / np.maximum(within, 1e-12 * around)), rises
        if len(self._scale.distinct) < 2:
            return np.zeros(len(n0)), rises
        low, high = self._scale.ends
        ones0 = np.clip((total0 - low * n0) / (high - low), 0, n0)
        ones1 = np.clip((total1 - low * n1) / (high - low), 0, n1)
        ones = float(np.clip((total - low * n) / (high - low), 0, n))
        return _bernoulli(ones0, n0) + _bernoulli(ones1, n1) - _bernoulli(ones, n), rises

    def _memory(self) -> Memory:
        return Memory(self._blocks, self._pending, self._pending_since, self._scale)

    def _remember(self, memory: Memory) -> None:
        require("pending", len(memory.pending) < SIZE, f"fewer than {SIZE}")
        require("a block", all(block.n >= SIZE for block in memory.blocks), f"of {SIZE} values or more")
        require("unit", memory.scale.unit >= 0, "at least 0")
        require("distinct", len(memory.scale.distinct) <= 2, "two at most")
        self._blocks, self._pending = memory.blocks, memory.pending
        self._pending_since, self._scale = memory.pending_since, memory.scale


def _bernoulli(ones: np.ndarray | float, n: np.ndarray | float) -> np.ndarray:
    """Log-likelihood of a share of ones at its own value."""
    share = ones / n
    return n * (xlogy(share, share) + xlogy(1 - share, 1 - share))


def _mean(blocks: Sequence[Block]) -> float:
    return math.fsum(block.sum for block in blocks) / sum(block.n for block in blocks)
