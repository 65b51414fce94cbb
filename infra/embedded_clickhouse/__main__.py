"""``python -m loopwatch.infra.embedded_clickhouse``: the server as a process of its own, until SIGTERM or SIGINT."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from ...schemas.errors import LoopwatchError
from .server import DEFAULT_MAX_BODY_BYTES, EmbeddedClickHouse

_TOKENS_HELP = "tokens come from LOOPWATCH_CLICKHOUSE_WRITER_TOKEN and LOOPWATCH_CLICKHOUSE_READER_TOKEN"


def main(arguments: list[str] | None = None) -> int:
    """Serve; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="loopwatch.infra.embedded_clickhouse", description=__doc__, epilog=_TOKENS_HELP
    )
    parser.add_argument("--port", type=int, default=8123, help="0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="other than loopback needs a writer token")
    parser.add_argument("--data", type=Path, default=None, help="data directory; without it data end with the process")
    parser.add_argument("--max-body-bytes", type=int, default=DEFAULT_MAX_BODY_BYTES)
    options = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server = EmbeddedClickHouse(
        options.data,
        host=options.host,
        port=options.port,
        writer_token=os.environ.get("LOOPWATCH_CLICKHOUSE_WRITER_TOKEN"),
        reader_token=os.environ.get("LOOPWATCH_CLICKHOUSE_READER_TOKEN"),
        max_body_bytes=options.max_body_bytes,
    )
    try:
        with server:
            print(f"ready {server.url}", flush=True)
            ended.wait()
    except LoopwatchError as exc:
        print(f"embedded ClickHouse: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
