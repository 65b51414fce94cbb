"""Runs one row in this process: ``python -m benchmarks.run_row MODULE COUNTS``; the last line is its measurement.

Settings come from the environment, `COUNTS` is JSON. Whatever libraries print goes to standard error.
"""

import contextlib
import importlib
import sys

import msgspec
from loopwatch.infra.settings import Settings

from .measurement import Counts


def main(module: str, counts: str) -> None:
    """Run the row of `benchmarks.rows.<module>` and print its measurement as one line of JSON."""
    run = importlib.import_module(f"benchmarks.rows.{module}").run
    with contextlib.redirect_stdout(sys.stderr):
        measurement = run(Settings.load(), msgspec.json.decode(counts, type=Counts))
    print(msgspec.json.encode(measurement).decode(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
