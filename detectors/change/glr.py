"""The default: the likelihood ratio of "it changed, at the likeliest place" to "it never did"."""

import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from scipy.special import xlogy

from ..interface import Finding
from .blocks import SIZE, Block, append
from .decline import decline
from .numbers import NumberDetector, require, strength
from .scale import Scale

_NEARLY = 0.1
"""Of a rise: what may be left of it where a model has recovered."""


class Memory(Struct):
    """The window in blocks, the oldest first; the values of the block that is not full, and where that begins; the mean
    to which it has to fall before a fall is more than recovery, if it rose."""

    blocks: list[Block]
    pending: list[float]
    pending_since: int
    scale: Scale
    recovered_at: float | None


class Glr(NumberDetector):
    """Generalized likelihood ratio over every place between blocks of the window, for errors and losses of any size.

    A rise is drift: of the share of errors, or of the mean loss. A fall is an improvement, and a finding where it came
    at once: where a step beside a curve such as models that learn have explains it by as much as a rise needs
    (`decline`). What the curve explains better than a step moves the beginning of the window without a word, so that
    the next rise is judged by how good the model has become. So does recovery: falls after a rise, until nine tenths of
    it are made up for. After a finding the window begins where the change is estimated, which is `since`.

    Every 32 values the window is tested: two distinct values by the Bernoulli likelihood, others by the normal one,
    with unknown and equal variance, on a scale that tames heavy tails (`Scale`). `expected` and `seen` are means of the
    values as they came. `score` is that of rises, but with a fall that is found.

    A change that 32 values show needs `evidence` in nats, one that m of them show on both sides ln(m / 32) less, though
    never less than half: there are as many times fewer occasions for chance to show one, and small changes are found by
    that. Since a test looks at all places and at all times, what counts is how often it errs on streams in which
    nothing changes: of independent errors (shares of 0.1, 0.3, 0.5) and losses (normal, lognormal), with the default
    0.2 to 0.4 findings in 100,000 values, nine of ten of them rises. Losses that depend on one another (seasons,
    sessions) look like changes to it, as to every detector here.

    References: Lorden, Annals of Mathematical Statistics 1971; Siegmund and Venkatraman, Annals of Statistics 1995 (how
    often such a test errs); Walther and Perry, "Calibrating the scan statistic", JRSS B 2022 (evidence by length);
    Bifet and Gavaldà, SDM 2007 (the window in blocks).

    >>> [(finding.at, finding.since) for finding in Glr().update([0, 0, 0, 1] * 400 + [0, 1] * 200)]
    [(1695, 1600)]
    """

    name = "glr"
    version = 2
    Memory = Memory

    def __init__(self, *, evidence: float = 12.0) -> None:
        require("evidence", 0 < evidence < math.inf, "above 0")
        super().__init__(evidence=evidence)
        self._blocks: list[Block] = []
        self._pending: list[float] = []
        self._pending_since = 0
        self._scale = Scale()
        self._recovered_at: float | None = None

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
        window = np.array([(block.n, block.scaled, block.squares) for block in self._blocks])
        evidence, rises = self._evidence(window)
        needed = self._needed(window[:, 0])
        self.score = strength(float((evidence / needed).max(where=rises, initial=0.0)), 1.0)
        risen = _strongest(evidence - needed, rises)
        if risen is not None:
            return self._risen(risen)
        fallen = _strongest(evidence - needed, ~rises)
        if fallen is None:
            return None
        if self._is_recovery(fallen):
            self._begin_anew(fallen)
            return None
        curve, falls = decline(*window.T)
        abrupt = _strongest(falls - needed, ~rises)
        if abrupt is not None:
            return self._change(abrupt, strength(float(falls[abrupt] / needed[abrupt]), 1.0))
        # Else it may become clear with what comes whether it fell at once.
        if curve >= evidence[fallen]:
            self._begin_anew(fallen)
        return None

    def _is_recovery(self, place: int) -> bool:
        if self._recovered_at is not None and _mean(self._blocks[: place + 1]) <= self._recovered_at:
            self._recovered_at = None
        return self._recovered_at is not None

    def _risen(self, place: int) -> Finding:
        before, since = _mean(self._blocks[: place + 1]), _mean(self._blocks[place + 1 :])
        recovered_at = before + _NEARLY * (since - before)
        self._recovered_at = recovered_at if self._recovered_at is None else min(recovered_at, self._recovered_at)
        return self._change(place, self.score)

    def _change(self, place: int, score: float) -> Finding:
        before = self._blocks[: place + 1]
        self._begin_anew(place)
        self.score = score
        return Finding(self.n, self._blocks[0].since, score, _mean(before), _mean(self._blocks))

    def _begin_anew(self, place: int) -> None:
        del self._blocks[: place + 1]

    def _needed(self, n: np.ndarray) -> np.ndarray:
        """Evidence that a change needs, by place between two blocks."""
        before = n.cumsum()[:-1]
        shorter = np.minimum(before, n.sum() - before)
        return np.maximum(self.evidence - np.log(shorter / SIZE), self.evidence / 2)

    def _evidence(self, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """By place between two blocks, from the oldest: evidence that it changed there, and whether it rose."""
        sums = window.cumsum(axis=0)
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
        return Memory(self._blocks, self._pending, self._pending_since, self._scale, self._recovered_at)

    def _remember(self, memory: Memory) -> None:
        require("pending", len(memory.pending) < SIZE, f"fewer than {SIZE}")
        require("a block", all(block.n >= SIZE for block in memory.blocks), f"of {SIZE} values or more")
        require("unit", memory.scale.unit >= 0, "at least 0")
        require("distinct", len(memory.scale.distinct) <= 2, "two at most")
        self._blocks, self._pending = memory.blocks, memory.pending
        self._pending_since, self._scale = memory.pending_since, memory.scale
        self._recovered_at = memory.recovered_at


def _strongest(margins: np.ndarray, among: np.ndarray) -> int | None:
    """The place with the largest margin, if that is not below 0; None else."""
    margins = np.where(among, margins, -np.inf)
    place = int(margins.argmax())
    return place if margins[place] >= 0 else None


def _bernoulli(ones: np.ndarray | float, n: np.ndarray | float) -> np.ndarray:
    """Log-likelihood of a share of ones at its own value."""
    share = ones / n
    return n * (xlogy(share, share) + xlogy(1 - share, 1 - share))


def _mean(blocks: Sequence[Block]) -> float:
    return math.fsum(block.sum for block in blocks) / sum(block.n for block in blocks)
