"""Several queries at a time: half of a short one is planning, which ClickHouse does on one core."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

R = TypeVar("R")

AT_ONCE = 3
"""Where nothing says otherwise."""


def at_once(calls: Iterable[Callable[[], R]]) -> list[R]:
    """What the calls return, in their order; a few of them run at a time, each in a thread.

    Raises what the first call that failed raised; calls that had not begun then don't.

    >>> at_once([lambda: 1, lambda: 2])
    [1, 2]
    """
    with in_turn(calls) as results:
        return list(results)


@contextmanager
def in_turn(calls: Iterable[Callable[[], R]], most: int = AT_ONCE) -> Iterator[Iterator[R]]:
    """The same, for a caller that takes one result after the other while later calls run already, `most` at a time."""
    pool = ThreadPoolExecutor(most, thread_name_prefix="query")
    try:
        yield pool.map(lambda call: call(), calls)
    finally:
        pool.shutdown(cancel_futures=True)
