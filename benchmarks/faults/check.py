"""Row by row: what is in ClickHouse and in topic feedback against the oracle."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.ledger import read_ledger
from loopwatch.infra.settings import Settings
from loopwatch.schemas.config import load_config
from loopwatch.schemas.feedback import Feedback
from loopwatch.stream_processors.sink.pane_repair import pane_differences
from msgspec import Struct

from .reference import Expected, Key, expected_classes, expected_feedback
from .stream import Truth

K = TypeVar("K")
_EXAMPLES = 5
_COUNTED = ("matched", "late_revised")


class Verdict(Struct, kw_only=True):
    """Differences found; all zero, `balanced` and without `problems` is what must be."""

    predictions_lost: int = 0
    predictions_doubled: int = 0
    actions_lost: int = 0
    actions_doubled: int = 0
    feedback_lost: int = 0
    feedback_doubled: int = 0
    feedback_wrong: int = 0
    balanced: bool = False
    problems: dict[str, list[str]] = {}
    """By kind: how often, and a few examples of each thing that was not as it must be."""

    @property
    def exact(self) -> bool:
        """Nothing lost, nothing doubled, nothing wrong, and the ledger balances."""
        counts = (self.predictions_lost, self.predictions_doubled, self.actions_lost, self.actions_doubled)
        feedback = (self.feedback_lost, self.feedback_doubled, self.feedback_wrong)
        return not any((*counts, *feedback)) and self.balanced and not self.problems


def check(settings: Settings, truth: Truth, *, feedback_topic: bool = True) -> Verdict:
    """Compare everything. The run must be over: all read, all windows closed."""
    clickhouse, verdict = ClickHouse(settings), Verdict()
    try:
        _check_predictions(clickhouse, truth, verdict)
        _check_panes(clickhouse, verdict)
        _check_actions(clickhouse, truth, verdict)
        stored = _check_feedback(clickhouse, truth, verdict)
        _check_dead_letters(clickhouse, truth, verdict)
        verdict.balanced = _check_ledger(clickhouse, settings, truth, verdict)
    finally:
        clickhouse.close()
    if feedback_topic:
        _check_topic(settings, stored, verdict)
    return verdict


def _check_predictions(clickhouse: ClickHouse, truth: Truth, verdict: Verdict) -> None:
    table = clickhouse.arrow(
        "SELECT prediction_id, model, toUnixTimestamp64Micro(ts) AS ts_us, score "
        f"FROM {clickhouse.database}.predictions"
    )
    rows = list(zip(*(table.column(i).to_pylist() for i in range(4)), strict=True))
    verdict.predictions_lost, verdict.predictions_doubled = _presence(
        "predictions", (row[0] for row in rows), truth.predictions, verdict
    )
    for prediction_id, *said in rows:
        expected = truth.predictions.get(prediction_id)
        if expected is not None and tuple(said) != tuple(expected):
            _note(verdict, "prediction differs", f"{prediction_id} is {said}, not {expected}")


def _check_panes(clickhouse: ClickHouse, verdict: Verdict) -> None:
    for found in pane_differences(clickhouse):
        said = f"{found.in_panes} of {found.rows} predictions of {found.model} in the hour of {found.hour}"
        _note(verdict, "panes differ", said)


def _check_actions(clickhouse: ClickHouse, truth: Truth, verdict: Verdict) -> None:
    found = clickhouse.rows(f"SELECT prediction_id, action_id FROM {clickhouse.database}.actions")
    verdict.actions_lost, verdict.actions_doubled = _presence(
        "actions", ((row[0], row[1]) for row in found), truth.actions, verdict
    )
    expected = expected_classes(truth)
    current = clickhouse.rows(
        f"SELECT prediction_id, action_id, class, reason FROM {clickhouse.database}.actions_current"
    )
    for prediction_id, action_id, action_class, reason in current:
        wanted = expected.get((prediction_id, action_id))
        said = "counted" if action_class in _COUNTED else reason or action_class
        if wanted is not None and said != wanted:
            _note(verdict, f"action is {said}, not {wanted}", f"{prediction_id}/{action_id} ({action_class})")


def _check_feedback(clickhouse: ClickHouse, truth: Truth, verdict: Verdict) -> dict[Key, tuple[str, int]]:
    """Compare `feedback_current`; returns status and revision of each row."""
    rows = clickhouse.rows(
        "SELECT model, outcome, prediction_id, status, label, label_value, action_id, revision "
        f"FROM {clickhouse.database}.feedback_current"
    )
    expected = expected_feedback(truth)
    verdict.feedback_lost, verdict.feedback_doubled = _presence(
        "feedback", ((row[0], row[1], row[2]) for row in rows), expected, verdict
    )
    stored: dict[Key, tuple[str, int]] = {}
    for model, outcome, prediction_id, status, label, label_value, action_id, revision in rows:
        key = (model, outcome, prediction_id)
        stored[key] = (status, revision)
        wanted = expected.get(key)
        if wanted is not None and not _agrees(wanted, status, label, label_value, action_id):
            verdict.feedback_wrong += 1
            said = f"{status} {label} {label_value} {action_id} r{revision}"
            _note(verdict, "feedback differs", f"{key}: {said}, not {wanted}")
    return stored


def _agrees(wanted: Expected, status: str, label: str | None, value: float | None, action_id: str | None) -> bool:
    statuses = ("matched", "revised") if wanted.answered else ("expired",)
    if status not in statuses or action_id != wanted.action_id or not _near(value, wanted.label_value):
        return False
    try:
        return label == wanted.label or _near(float(label or ""), float(wanted.label or ""))
    except ValueError:
        return False


def _near(one: float | None, other: float | None) -> bool:
    return one == other or (one is not None and other is not None and abs(one - other) < 1e-6)


def _check_dead_letters(clickhouse: ClickHouse, truth: Truth, verdict: Verdict) -> None:
    ((rows, distinct),) = clickhouse.rows(
        f"SELECT count(), uniqExact(_topic, _topic_id, _partition, _offset) FROM {clickhouse.database}.dead_letters"
    )
    expected = sum(truth.poison.values())
    if (int(rows), int(distinct)) != (expected, expected):
        _note(verdict, "dead letters", f"{rows} rows of {distinct} records, not {expected}")


def _check_ledger(clickhouse: ClickHouse, settings: Settings, truth: Truth, verdict: Verdict) -> bool:
    """Whether the ledger balances, and says what was sent."""
    report = read_ledger(clickhouse, load_config(Path(settings.config)))
    predictions, actions = report.predictions, report.actions
    if not report.balanced:
        _note(verdict, "ledger", "; ".join(report.imbalances)[:500])
    wanted = {
        "predictions accepted": (predictions.accepted, len(truth.predictions)),
        "predictions pending": (predictions.pending, 0),
        "predictions invalid": (predictions.invalid, truth.poison[False]),
        "actions invalid": (actions.invalid, truth.poison[True]),
        "actions held": (actions.held, 0),
    }
    if truth.counted:
        wanted |= {
            "predictions received": (predictions.received, truth.sent[False] + truth.poison[False]),
            "predictions duplicate": (predictions.duplicate, truth.sent[False] - len(truth.predictions)),
            "actions received": (actions.received, truth.sent[True] + truth.poison[True]),
            "actions duplicate": (actions.duplicate, truth.sent[True] - len(truth.actions)),
        }
    for what, (said, sent) in wanted.items():
        if said != sent:
            _note(verdict, "ledger", f"{what} {said}, not {sent}")
    return "ledger" not in verdict.problems


def _check_topic(settings: Settings, stored: Mapping[Key, tuple[str, int]], verdict: Verdict) -> None:
    """The highest revision on topic feedback must be the row of `feedback_current`."""
    latest: dict[Key, tuple[int, str]] = {}
    for value in _all_values(settings, settings.topics.feedback):
        row = msgspec.json.decode(value, type=Feedback)
        key = (row.model, row.outcome, row.prediction_id)
        latest[key] = max(latest.get(key, (0, "")), (row.revision, row.status.value))
    for key, (status, revision) in stored.items():
        if latest.get(key) != (revision, status):
            _note(verdict, f"topic feedback lacks a row that is {status}", f"{key}: {latest.get(key)}, not r{revision}")
    if unknown := len(latest.keys() - stored.keys()):
        _note(verdict, "topic feedback", f"{unknown} outcomes that the table does not have")


def _all_values(settings: Settings, topic: str) -> Iterable[bytes]:
    consumer = Consumer({"bootstrap.servers": settings.kafka_bootstrap, "group.id": "check", "log_level": 0})
    try:
        partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
        left: dict[int, int] = {}
        for partition in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
            if high > low:
                left[partition] = high
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in left])
        deadline = time.monotonic() + 60
        while left and time.monotonic() < deadline:
            for message in consumer.consume(10_000, 0.5):
                value, partition, offset = message.value(), message.partition(), message.offset()
                if message.error() is None and value is not None and partition is not None and offset is not None:
                    yield value
                    if offset + 1 >= left.get(partition, 0):
                        left.pop(partition, None)
    finally:
        consumer.close()


def _presence(what: str, found: Iterable[K], expected: Mapping[K, object], verdict: Verdict) -> tuple[int, int]:
    """How many of the expected keys are missing, and how many rows are one too many; unknown keys are problems."""
    seen = Counter(found)
    lost = [key for key in expected if key not in seen]
    doubled = [key for key, n in seen.items() if n > 1]
    strange = [key for key in seen if key not in expected]
    for kind, keys in (("lost", lost), ("doubled", doubled), ("strange", strange)):
        if keys:
            _note(verdict, f"{what} {kind}", f"{len(keys)}, such as {keys[:_EXAMPLES]}")
    return len(lost), sum(n - 1 for n in seen.values())


def _note(verdict: Verdict, kind: str, example: str) -> None:
    examples = verdict.problems.setdefault(kind, ["1"])
    examples[0] = str(int(examples[0]) + 1 if len(examples) > 1 else 1)
    if len(examples) <= _EXAMPLES:
        examples.append(example)
