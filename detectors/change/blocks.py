"""A window of any length in a bounded number of blocks: an exponential histogram of sums and squares."""

from msgspec import Struct

SIZE = 32
"""Values of the smallest block."""
OF_A_SIZE = 8
"""At most as many blocks are of the same size; one more, and the two oldest of them become one of twice the size."""
LARGEST = SIZE << 24


class Block(Struct):
    """`n` values from value number `since` on: their sum; sum and squares of them as `Scale` has them."""

    since: int
    n: int
    sum: float
    scaled: float
    squares: float

    def joined(self, later: "Block") -> "Block":
        """Both in one."""
        return Block(
            self.since,
            self.n + later.n,
            self.sum + later.sum,
            self.scaled + later.scaled,
            self.squares + later.squares,
        )


def append(blocks: list[Block], newest: Block) -> None:
    """Put a block of the smallest size at the end, and keep their number bounded.

    Sizes fall from the oldest to the newest. A window of 2²⁹ values has 200 blocks; a longer one loses its oldest.
    """
    blocks.append(newest)
    end, size = len(blocks), newest.n
    while True:
        first = end
        while first > 0 and blocks[first - 1].n == size:
            first -= 1
        if end - first <= OF_A_SIZE:
            return
        if size == LARGEST:
            del blocks[first]
            return
        blocks[first : first + 2] = [blocks[first].joined(blocks[first + 1])]
        end, size = first + 1, 2 * size
