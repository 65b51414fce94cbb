"""Smoke test of the built wheel, run by an environment that has nothing but it: ``make wheel-smoke``.

Starts `loopwatch dev` from the installed package, sends a prediction and an action, and reads the joined row.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LOOPWATCH = str(Path(sys.executable).with_name("loopwatch"))


def main() -> None:
    """Fail with what was wrong, or say that the wheel works."""
    import loopwatch.schemas

    package = Path(loopwatch.schemas.__file__).parent
    if "site-packages" not in package.parts:
        raise SystemExit(f"this is not the installed wheel: {package}")
    if not list(package.glob("generated/*.json")):
        raise SystemExit("the wheel lacks the generated schemas")
    with tempfile.TemporaryDirectory() as data:
        dev = subprocess.Popen(
            [LOOPWATCH, "dev", "--kafka-port", "0", "--clickhouse-port", "0", "--data", data],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            _join_one(_addresses(dev))
        finally:
            dev.terminate()
            dev.wait(60)
    print("1 passed, 0 failed: the wheel works in an environment of its own")


def _addresses(dev: subprocess.Popen[str]) -> dict[str, str]:
    assert dev.stdout is not None
    for line in dev.stdout:
        if line.startswith("ready"):
            said = dict(word.split("=", 1) for word in line.split()[1:])
            return {"LOOPWATCH_KAFKA_BOOTSTRAP": said["kafka"], "LOOPWATCH_CLICKHOUSE_URL": said["clickhouse"]}
    raise SystemExit("loopwatch dev ended before it was ready")


def _join_one(addresses: dict[str, str]) -> None:
    os.environ |= addresses
    from loopwatch.producers import Loopwatch

    with Loopwatch() as client:
        client.act(client.predict("smoke", True, score=0.9), "click")
    deadline = time.monotonic() + 60
    query = "SELECT status FROM loopwatch.feedback_current"
    while time.monotonic() < deadline:
        said = subprocess.run([LOOPWATCH, "sql", query, "--format", "json"], capture_output=True, text=True, check=True)
        rows = json.loads(said.stdout)
        if rows:
            assert rows[0]["status"] == "matched", rows
            subprocess.run([LOOPWATCH, "ledger"], check=True)
            return
    raise SystemExit("the action was not joined within a minute")


if __name__ == "__main__":
    main()
