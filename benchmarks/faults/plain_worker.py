"""``python -m benchmarks.faults.plain_worker``: the worker as it is."""

import sys

from loopwatch.infra.logs import configure_logs
from loopwatch.infra.settings import Settings
from loopwatch.stream_processors.app import run_worker


def main() -> int:
    """Run a worker with the settings of the environment."""
    settings = Settings.load()
    configure_logs(settings.log_level, "text")
    return run_worker(settings)


if __name__ == "__main__":
    sys.exit(main())
