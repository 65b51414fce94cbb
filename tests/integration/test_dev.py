"""``loopwatch dev``: events in, rows and a balanced ledger out, and nothing left behind however it ends."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from loopwatch.producers import Loopwatch

from tests.integration.dev_command import Dev, dev
from tests.waiting import wait_until

NOON = datetime(2024, 7, 15, 12, tzinfo=UTC)
PAIRS = 50


def emit(stack: Dev, prefix: str) -> None:
    """Fifty predictions, an action on every second one, and the end of that history."""
    with Loopwatch(stack.settings) as client:
        for n in range(PAIRS):
            at = NOON + timedelta(seconds=n)
            shown = {"request_id": f"{prefix}-{n // 5}", "position": n % 5 + 1}
            prediction_id = client.predict(
                "ctr", n % 2 == 0, prediction_id=f"{prefix}-{n}", score=0.5, ts=at, attributes=shown
            )
            if n % 2 == 0:
                client.act(prediction_id, "click", action_id=f"{prefix}-click-{n}", ts=at + timedelta(seconds=1))
        client.watermark(NOON + timedelta(days=2))


def counts(stack: Dev) -> dict[str, int]:
    rows = stack.sql("SELECT status, count() AS n FROM feedback_current GROUP BY status")
    return {row["status"]: row["n"] for row in rows}


def wait_for(stack: Dev, pairs: int) -> None:
    wanted = {"matched": pairs // 2, "expired": pairs // 2}
    wait_until(lambda: counts(stack) == wanted, 60, f"{wanted}", poll_s=0.3)


def ledger(stack: Dev) -> dict:
    done = stack.loopwatch("ledger", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def received(stack: Dev) -> int | None:
    """Predictions that the ledger counts and balances; None while it can't be read."""
    done = stack.loopwatch("ledger", "--format", "json")
    return None if done.returncode else json.loads(done.stdout)["predictions"]["received"]


@pytest.mark.timeout(240)
def test_events_are_joined_and_a_second_start_goes_on_with_them(tmp_path: Path) -> None:
    with dev(tmp_path) as stack:
        assert stack.loopwatch("doctor").returncode == 0
        emit(stack, "first")
        wait_for(stack, PAIRS)
        report = ledger(stack)
        assert report["balanced"] is True
        assert (report["predictions"]["accepted"], report["actions"]["matched"]) == (PAIRS, PAIRS // 2)
        positions = (
            "SELECT attributes['position'] AS position, count() AS n FROM predictions GROUP BY position ORDER BY 1"
        )
        assert stack.sql(positions) == [{"position": str(each), "n": PAIRS // 5} for each in range(1, 6)]
        assert len(stack.family) == 3
        assert stack.terminate() == 0

    with dev(tmp_path) as stack:
        assert counts(stack) == {"matched": PAIRS // 2, "expired": PAIRS // 2}
        emit(stack, "first")
        emit(stack, "second")
        wait_for(stack, 2 * PAIRS)
        wait_until(lambda: ledger(stack)["predictions"]["received"] == 3 * PAIRS, 30, "all that was sent", poll_s=0.3)
        report = ledger(stack)
        assert (report["predictions"]["duplicate"], report["predictions"]["accepted"]) == (PAIRS, 2 * PAIRS)
        assert (report["actions"]["duplicate"], report["actions"]["matched"]) == (PAIRS // 2, PAIRS)
        assert stack.terminate() == 0


@pytest.mark.timeout(180)
def test_a_worker_and_a_clickhouse_that_are_killed_are_started_again_and_lose_nothing(tmp_path: Path) -> None:
    with dev(tmp_path) as stack:
        emit(stack, "first")
        wait_for(stack, PAIRS)
        victims = [stack.child_running(word) for word in ("loopwatch.infra.embedded_clickhouse", "loopwatch.console")]
        for victim in victims:
            victim.kill()
        emit(stack, "second")
        wait_until(lambda: "worker ended with exit code -9" in stack.child.log_tail(), 30, "the worker's end noticed")
        wait_until(lambda: received(stack) == 2 * PAIRS, 90, "all that was sent", poll_s=0.5)
        report = ledger(stack)
        assert (report["predictions"]["duplicate"], report["predictions"]["accepted"]) == (0, 2 * PAIRS)
        assert stack.terminate() == 0


@pytest.mark.timeout(180)
def test_it_ends_with_the_reason_when_the_broker_dies(tmp_path: Path) -> None:
    with dev(tmp_path) as stack:
        stack.child_running("tansu").kill()
        assert stack.child.wait_for_exit(60) != 0
        assert "embedded Kafka ended" in stack.child.log_tail()
        assert stack.left() == []


@pytest.mark.timeout(180)
def test_nothing_outlives_it_when_it_is_killed(tmp_path: Path) -> None:
    with dev(tmp_path) as stack:
        stack.child.kill()
        assert stack.left() == []


@pytest.mark.timeout(180)
def test_without_a_worker_it_starts_the_services_with_their_topics(tmp_path: Path) -> None:
    with dev(tmp_path, "--no-worker") as stack:
        assert len(stack.family) == 2
        assert stack.loopwatch("topics", "list").returncode == 0
        missing = stack.loopwatch("tables", "list")
        assert missing.returncode == 1
        assert "`loopwatch tables apply` creates them" in missing.stderr
        assert stack.loopwatch("tables", "apply").returncode == 0
        assert stack.loopwatch("tables", "list").returncode == 0
        assert stack.terminate() == 0
