"""A worker that ends itself by SIGKILL at one exact spot of a flush: ``FAULT_SPOT=after:predictions FAULT_NTH=2``.

Spots: ``before|during|after:TABLE`` of an insert (``during``: the request is on its way), ``before|after:kafka`` of the
producer's flush, ``after:commit-record`` (the ledger is written, nothing acknowledged yet).
"""

import os
import signal
import sys
import threading
from collections.abc import Iterable

import pyarrow as pa
from loopwatch.infra.logs import configure_logs
from loopwatch.infra.settings import Settings
from loopwatch.stream_processors import app
from loopwatch.stream_processors.output import Flush
from loopwatch.stream_processors.sink.inserts import Inserter
from loopwatch.stream_processors.sink.publisher import Publisher
from loopwatch.stream_processors.sink.writer import FlushWriter

TABLES = ("predictions", "actions", "action_status", "feedback", "ledger")
SPOTS = (
    *(f"{when}:{table}" for table in TABLES for when in ("before", "during", "after")),
    "before:kafka",
    "after:kafka",
    "after:commit-record",
)
_SPOT = os.environ.get("FAULT_SPOT", "")
_DURING_S = float(os.environ.get("FAULT_DURING_S", "0.004"))
_left = int(os.environ.get("FAULT_NTH", "1"))


def reached(spot: str) -> bool:
    """Count down at the spot; True when it is time to die."""
    global _left
    if spot == _SPOT:
        _left -= 1
    return spot == _SPOT and _left == 0


def die() -> None:
    """SIGKILL, as the kernel's OOM killer would."""
    os.kill(os.getpid(), signal.SIGKILL)


class KilledInserter(Inserter):
    """Dies around an insert."""

    def insert(self, table: str, rows: pa.Table, token: str, partitions: Iterable[int]) -> None:
        """Insert, or die."""
        if reached(f"before:{table}"):
            die()
        if reached(f"during:{table}"):
            threading.Timer(_DURING_S, die).start()
        super().insert(table, rows, token, partitions)
        if reached(f"after:{table}"):
            die()


class KilledPublisher(Publisher):
    """Dies around the flush of the producer."""

    def flush(self) -> None:
        """Flush, or die: before it, some messages may be on the broker and some not."""
        if reached("before:kafka"):
            die()
        super().flush()
        if reached("after:kafka"):
            die()


class KilledWriter(FlushWriter):
    """Dies when all is written and nothing is acknowledged."""

    def write(self, flush: Flush) -> None:
        """Write, then perhaps die."""
        super().write(flush)
        if reached("after:commit-record"):
            die()


def main() -> int:
    """Run a worker that is built of these."""
    app.Inserter, app.Publisher, app.FlushWriter = KilledInserter, KilledPublisher, KilledWriter
    settings = Settings.load()
    configure_logs(settings.log_level, "text")
    return app.run_worker(settings)


if __name__ == "__main__":
    sys.exit(main())
