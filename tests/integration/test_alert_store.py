"""What alerting stores is what it reads, and only the holder of the lease can store it."""

import uuid
from datetime import UTC, datetime, timedelta
from threading import Event

import msgspec
import pytest
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.schemas.alerting import Match, Matcher
from loopwatch.schemas.alerts import Alert, AlertState, Change, Details, fingerprint_of
from loopwatch.schemas.errors import FencedError
from loopwatch.schemas.notifications import (
    Acknowledgement,
    Attempt,
    Notification,
    NotificationState,
    Result,
    Silence,
)
from loopwatch.schemas.signals import Shift
from loopwatch.stream_processors.alerts import store as stored
from loopwatch.stream_processors.alerts.lease import Lease
from loopwatch.stream_processors.alerts.store import AlertStore
from loopwatch.stream_processors.sink.fence import Fence
from loopwatch.stream_processors.sink.inserts import Inserter

NOW = datetime(2026, 5, 4, 12, 30, 1, 250_000, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def inserter(clickhouse: ClickHouse) -> Inserter:
    topic, owner = uuid.uuid4().hex, "a"
    fence = Fence(clickhouse, topic, owner)
    assert Lease(clickhouse, fence, topic, 60).hold()
    return Inserter(clickhouse, fence, give_up_after_s=5, stop=Event())


def _alert(**more: object) -> Alert:
    labels = {
        "alertname": "Drifted",
        "model": uuid.uuid4().hex,
        "severity": "warning",
        "category": "drift",
        "é": "ü'\\",
    }
    alert = Alert(
        fingerprint=fingerprint_of(labels), rule="Drifted", state=AlertState.FIRING, change=Change.HELD, labels=labels,
        annotations={"summary": "it's \\ drifted"},
        details=Details(
            "drifted from 1 to 2", value=2.5, lower=2.0, upper=3.0, n=7, since=NOW - 60 * SECOND,
            shifts=(Shift("2 to 3", 0.1, 0.4),), examples=("p1", "p2"), query="SELECT 'x'",
        ),
        active_at=NOW - 20 * SECOND, fired_at=NOW, updated_at=NOW, revision=2, flaps=(NOW - SECOND, NOW),
    )  # fmt: skip
    return msgspec.structs.replace(alert, **more)


def test_alerts_are_read_as_their_last_revision(clickhouse: ClickHouse, inserter: Inserter) -> None:
    firing, other = _alert(), _alert()
    over = msgspec.structs.replace(
        firing, state=AlertState.RESOLVED, change=Change.OVER, revision=3, gone_at=NOW, resolved_at=NOW + SECOND,
        updated_at=NOW + SECOND,
    )  # fmt: skip
    store = AlertStore(inserter)
    store.store_alerts([firing, other])
    store.store_alerts([firing, other])
    store.store_alerts([over])
    store.store_alerts([])
    read = {alert.fingerprint: alert for alert in stored.read_living(clickhouse, NOW)}
    assert read[firing.fingerprint] == over
    assert read[other.fingerprint] == other
    later = stored.read_living(clickhouse, NOW + 2 * SECOND)
    assert other in later
    assert over not in later
    ((n,),) = clickhouse.rows(
        f"SELECT count() FROM {clickhouse.database}.alerts WHERE fingerprint = '{firing.fingerprint}'"
    )
    assert n == 2


def test_notifications_are_pending_until_they_are_not(clickhouse: ClickHouse, inserter: Inserter) -> None:
    store, receiver = AlertStore(inserter), uuid.uuid4().hex
    first, second = (
        Notification(
            notification_id=f"msg_{uuid.uuid4().hex}", receiver=receiver, group_key="{}:{model='m'}",
            told={"f": n, "g": 3}, firing=("f",), body='{"text": "it\'s"}', next_at=at, created_at=at,
        )
        for n, at in ((1, NOW), (2, NOW + SECOND))
    )  # fmt: skip
    store.store_notifications([first, second], NOW)
    assert [each for each in stored.read_pending(clickhouse) if each.receiver == receiver] == [first, second]
    done = msgspec.structs.replace(first, state=NotificationState.DELIVERED, attempts=1)
    store.store_notifications([done], NOW + SECOND)
    assert [each for each in stored.read_pending(clickhouse) if each.receiver == receiver] == [second]
    (last,) = (each for each in stored.read_last_told(clickhouse, NOW - SECOND) if each.receiver == receiver)
    assert last == msgspec.structs.replace(second, body="")


def test_attempts_silences_and_acknowledgements_are_kept(clickhouse: ClickHouse, inserter: Inserter) -> None:
    attempt = Attempt(
        notification_id=uuid.uuid4().hex, attempt=1, receiver="r", result=Result.REFUSED, status=503, error="no",
        duration_ms=3.5, attempted_at=NOW,
    )  # fmt: skip
    AlertStore(inserter).store_attempts([attempt])
    rows = clickhouse.rows(
        "SELECT result, status, error, duration_ms, attempted_at "
        f"FROM {clickhouse.database}.alert_deliveries WHERE notification_id = '{attempt.notification_id}'"
    )
    assert list(map(tuple, rows)) == [("refused", 503, "no", 3.5, NOW.replace(tzinfo=None))]

    matchers = (Matcher("model", Match.IS, "a'b"), Matcher("alertname", Match.LIKE, "Dr.*"))
    silence = Silence(uuid.uuid4().hex, matchers, "ann", "we know", NOW, NOW + 60 * SECOND)
    stored.store_silence(inserter, silence, NOW)
    assert silence in stored.read_silences(clickhouse, NOW + SECOND)
    assert silence not in stored.read_silences(clickhouse, NOW + 61 * SECOND)
    stored.store_silence(inserter, msgspec.structs.replace(silence, ends_at=NOW), NOW + SECOND)
    assert not [each for each in stored.read_silences(clickhouse, NOW) if each.silence_id == silence.silence_id]

    said = Acknowledgement(uuid.uuid4().hex, NOW, "ann", "on it")
    stored.store_acknowledgement(inserter, said, NOW + SECOND)
    assert said in stored.read_acknowledgements(clickhouse, NOW)
    assert said not in stored.read_acknowledgements(clickhouse, NOW + SECOND)


def test_who_lost_the_lease_stores_nothing(clickhouse: ClickHouse) -> None:
    topic = uuid.uuid4().hex
    fences = [Fence(clickhouse, topic, owner) for owner in ("a", "b")]
    old, new = (Lease(clickhouse, fence, topic, 0.0) for fence in fences)
    assert old.hold()
    assert new.hold()
    alert = _alert()
    with pytest.raises(FencedError):
        AlertStore(Inserter(clickhouse, fences[0], give_up_after_s=5, stop=Event())).store_alerts([alert])
    assert alert not in stored.read_living(clickhouse, NOW)
