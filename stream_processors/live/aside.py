"""Windows that take long are looked at beside the others, one job at a time: small ones don't wait for large ones."""

from collections.abc import Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from .restating import Restated
from .series import Due


class Job(NamedTuple):
    """Windows, and what is found of them."""

    dues: Collection[Due]
    found: Future[list[Restated]]


class Aside:
    """One thread for what takes long. All methods are for the thread that evaluates."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="aside")
        self._job: Job | None = None

    @property
    def is_free(self) -> bool:
        """Whether nothing is under way, and nothing waits to be collected."""
        return self._job is None

    def start(self, dues: Collection[Due], looking: Iterable[Restated]) -> None:
        """Have these windows looked at, by iterating. It must be free."""
        self._job = Job(dues, self._pool.submit(list, looking))

    def collect(self) -> Job | None:
        """The job if it has ended, well or not."""
        if self._job is None or not self._job.found.done():
            return None
        job, self._job = self._job, None
        return job
