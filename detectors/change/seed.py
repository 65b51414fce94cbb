"""SEED: ADWIN's cuts between blocks, and blocks that are alike made one (Huang, Koh, Dobbie, Pears, ICDM 2014)."""

import math

from msgspec import Struct

from ..interface import Finding
from .numbers import NumberDetector, require, strength


class Block(Struct):
    """`n` values from value number `since` on: their sum, and their squared deviations from their mean."""

    since: int
    n: int = 0
    sum: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """One more (Welford)."""
        self.n += 1
        self.sum += value
        if self.n > 1:
            off = self.n * value - self.sum
            self.squares += off * off / (self.n * (self.n - 1))

    def joined(self, later: "Block") -> "Block":
        """Both in one."""
        between = self.sum / self.n - later.sum / later.n
        n = self.n + later.n
        squares = self.squares + later.squares + between * between * self.n * later.n / n
        return Block(self.since, n, self.sum + later.sum, squares)


class Memory(Struct):
    """Blocks, the oldest first, and how many were begun since blocks were last joined."""

    blocks: list[Block]
    since_joined: int


class Seed(NumberDetector):
    """Cuts as ADWIN's with the variance of the window, tested where blocks of `block_size` values meet.

    For errors, and for losses between about 0 and 1, which its bound assumes. Rises and falls are both found; the
    window keeps what comes after the latest cut, and `since` is where that begins. As in the authors' program, blocks
    are compared with their neighbours from the newest to the oldest every `term` blocks, and joined when their means
    are closer than `epsilon`, which grows by `epsilon · growth` from block to block. Values of a larger scale may never
    be that alike, so beyond 4 · term blocks the two oldest are joined in any case.

    Parameters: `delta`, the confidence of a cut; `block_size`; `epsilon`; `growth`; `term`.

    >>> [(finding.at, finding.since) for finding in Seed().update([0.0] * 640 + [1.0] * 64)]
    [(671, 640)]
    """

    name = "seed"
    Memory = Memory

    def __init__(
        self,
        *,
        delta: float = 0.05,
        block_size: int = 32,
        epsilon: float = 0.01,
        growth: float = 0.8,
        term: int = 75,
    ) -> None:
        require("delta", 0 < delta < 1, "between 0 and 1")
        require("block_size", 2 <= block_size <= 100_000, "from 2 to 100,000")
        require("epsilon", 0 <= epsilon < math.inf, "at least 0")
        require("growth", 0 <= growth < math.inf, "at least 0")
        require("term", 1 <= term <= 1_000, "from 1 to 1,000")
        super().__init__(delta=delta, block_size=block_size, epsilon=epsilon, growth=growth, term=term)
        self._blocks: list[Block] = []
        self._since_joined = 0

    def _take_number(self, value: float) -> Finding | None:
        size = self.parameters["block_size"]
        # A joined block is always full: only the newest may have room.
        if not self._blocks or self._blocks[-1].n >= size:
            self._begin_block()
        newest = self._blocks[-1]
        newest.add(value)
        return self._cut() if newest.n == size and len(self._blocks) > 1 else None

    def _begin_block(self) -> None:
        term = self.parameters["term"]
        if self._since_joined > term:
            self._since_joined = 0
            self._blocks = self._alike_joined()
        self._since_joined += 1
        self._blocks.append(Block(self.n))
        if len(self._blocks) > 4 * term:
            oldest, second, *rest = self._blocks
            self._blocks = [oldest.joined(second), *rest]

    def _alike_joined(self) -> list[Block]:
        step = self.parameters["epsilon"] * self.parameters["growth"]
        kept: list[Block] = []
        near, current = 0.0, self._blocks[-1]
        for earlier in reversed(self._blocks[:-1]):
            near += step
            if abs(earlier.sum / earlier.n - current.sum / current.n) < near:
                current = earlier.joined(current)
            else:
                kept.append(current)
                current = earlier
        return [current, *reversed(kept)]

    def _cut(self) -> Finding | None:
        """Tests the cuts from the newest to the oldest, and drops what is before the first that is too deep."""
        whole = self._blocks[0]
        for block in self._blocks[1:]:
            whole = whole.joined(block)
        variance = whole.squares / whole.n
        confidence = math.log(2 * math.log(whole.n) / self.parameters["delta"])
        n1, sum1, deepest = 0, 0.0, 0.0
        for at in range(len(self._blocks) - 1, 0, -1):
            n1 += self._blocks[at].n
            sum1 += self._blocks[at].sum
            n0, sum0 = whole.n - n1, whole.sum - sum1
            m = 1 / n0 + 1 / n1
            bound = math.sqrt(2 * m * variance * confidence) + 2 / 3 * confidence * m
            depth = abs(sum1 / n1 - sum0 / n0) / bound
            deepest = max(deepest, depth)
            if depth > 1:
                self.score = strength(depth, 1)
                self._blocks = self._blocks[at:]
                return Finding(self.n, self._blocks[0].since, self.score, sum0 / n0, sum1 / n1)
        self.score = strength(deepest, 1)
        return None

    def _memory(self) -> Memory:
        return Memory(self._blocks, self._since_joined)

    def _remember(self, memory: Memory) -> None:
        require("blocks", len(memory.blocks) <= 4 * self.parameters["term"] + 1, "at most 4 · term")
        require("a block", all(block.n >= 1 and block.squares >= 0 for block in memory.blocks), "of one value or more")
        self._blocks, self._since_joined = memory.blocks, memory.since_joined
