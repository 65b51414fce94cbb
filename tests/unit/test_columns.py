"""Rows become Arrow columns of the types that the tables have, whatever is missing in them."""

from datetime import UTC, datetime

import pyarrow as pa
from loopwatch.infra.kafka_admin import TopicInfo
from loopwatch.schemas.dead_letters import DeadLetter
from loopwatch.schemas.decode import Rejected
from loopwatch.schemas.errors import RejectReason
from loopwatch.schemas.events import Action, Generation, Prediction
from loopwatch.schemas.feedback import FeedbackStatus
from loopwatch.schemas.ledger import ActionClass, IgnoreReason
from loopwatch.schemas.outcomes import LoopwatchConfig
from loopwatch.stream_processors.join.commons import Common
from loopwatch.stream_processors.join.output import Accepted, ActionRow, Count, OutcomeRow, SettledAction
from loopwatch.stream_processors.join.rules import Rules
from loopwatch.stream_processors.join.state import Entry
from loopwatch.stream_processors.join.watermark import NEVER
from loopwatch.stream_processors.output import Checkpoint, Refused
from loopwatch.stream_processors.prediction_rows import PredictionRows
from loopwatch.stream_processors.sink import columns
from loopwatch.stream_processors.sink.source import Source

from ..simulation.events import NOON, NOON_US, action, prediction, record, us

SOURCE = Source(TopicInfo("t.predictions", "P1", 4, 1), TopicInfo("t.actions", "A1", 4, 1), 1234)
MICROS = pa.timestamp("us", "UTC")


def predictions(*events: Prediction) -> pa.Table:
    rows = PredictionRows()
    rows.add(2, NEVER, Accepted(range(10, 10 + len(events)), [NOON_US] * len(events), events))
    return columns.predictions(rows, SOURCE)


def actions(*events: Action, reason: IgnoreReason | None = None) -> pa.Table:
    rows = [
        ActionRow(event, NOON_US, "m", ActionClass.IGNORED if reason else ActionClass.MATCHED, reason, 2, offset)
        for offset, event in enumerate(events)
    ]
    return columns.actions(rows, SOURCE)


def only(table: pa.Table) -> dict[str, object]:
    (row,) = table.to_pylist()
    return row


def with_features(**features: float | str | bool | None) -> Prediction:
    return Prediction("p", "m", NOON, features=features)


def test_features_are_split_by_kind_and_a_null_is_a_number_that_is_missing() -> None:
    row = only(predictions(with_features(age=3, rate=0.5, gone=None, city="Oslo", member=True, new=False)))
    assert row["features_num"] == [("age", 3.0), ("rate", 0.5), ("gone", None)]
    assert row["features_cat"] == [("city", "Oslo"), ("member", "true"), ("new", "false")]


def test_features_stay_with_their_row() -> None:
    table = predictions(with_features(a=1, b="x"), prediction("none"), with_features(c=None), with_features(d="y", e=2))
    assert table.column("features_num").to_pylist() == [[("a", 1.0)], [], [("c", None)], [("e", 2.0)]]
    assert table.column("features_cat").to_pylist() == [[("b", "x")], [], [], [("d", "y")]]


def test_maps_that_nobody_sent_are_empty_and_keep_their_type() -> None:
    table = predictions(prediction("p"), prediction("q"))
    for name, item in (
        ("scores", pa.float64()), ("segments", pa.string()), ("variants", pa.string()), ("attributes", pa.string()),
    ):  # fmt: skip
        of = table.schema.field(name).type
        assert (of.key_type.value_type, of.item_type) == (pa.string(), item)
        assert table.column(name).to_pylist() == [[], []]
    for name in ("features_num", "features_cat"):
        assert table.column(name).to_pylist() == [[], []]


def test_maps_of_some_rows_stay_with_them() -> None:
    table = predictions(prediction("p"), Prediction("q", "m", NOON, segments={"country": "Ñ"}), prediction("r"))
    assert table.column("segments").to_pylist() == [[], [("country", "Ñ")], []]


def test_columns_without_any_value_keep_their_types() -> None:
    schema = predictions(prediction("p")).schema
    assert schema.field("prediction").type == pa.string()
    for name in ("prediction_value", "score", "latency_ms", "cost_usd"):
        assert schema.field(name).type == pa.float64()
    assert (schema.field("ts").type, schema.field("_ingested_at").type) == (MICROS, pa.timestamp("ms", "UTC"))
    assert (schema.field("_partition").type, schema.field("_offset").type) == (pa.uint32(), pa.uint64())


def test_a_predicted_value_is_kept_as_text_and_as_the_number_it_is() -> None:
    values = (12.5, 3, True, False, "high", "3", None, 2**63 - 1)
    table = predictions(*(Prediction("p", "m", NOON, prediction=value) for value in values))
    texts = ["12.5", "3", "true", "false", "high", "3", None, "9223372036854775807"]
    assert table.column("prediction").to_pylist() == texts
    assert table.column("prediction_value").to_pylist() == [12.5, 3.0, 1.0, 0.0, None, None, None, 2.0**63]


def test_rows_of_several_batches_are_one_table_whatever_their_names() -> None:
    rows = PredictionRows()
    rows.add(2, NEVER, Accepted([10], [NOON_US], [Prediction("p", "m", NOON, "1", features={"a": 1.0, "b": "x"})]))
    rows.add(
        3,
        NOON_US,
        Accepted(
            [4, 6], [NOON_US] * 2, [Prediction("q", "n", NOON, "2", features={"b": "y", "c": 2}), prediction("r")]
        ),
    )
    rows.add(1, NEVER, Accepted([], [], []))
    table = columns.predictions(rows, SOURCE)
    assert (len(rows), rows.partitions) == (3, {2, 3})
    assert {column.num_chunks for column in table.columns} == {1}
    assert table["features_num"].to_pylist() == [[("a", 1.0)], [("c", 2.0)], []]
    assert table["features_cat"].to_pylist() == [[("b", "x")], [("b", "y")], []]
    assert table["version"].to_pylist()[:2] == ["1", "2"]
    assert table["_partition"].to_pylist() == [2, 3, 3]
    assert table["_offset"].to_pylist() == [10, 4, 6]


def test_a_row_says_where_it_came_from() -> None:
    row = only(predictions(prediction("p")))
    assert [row[name] for name in ("_topic", "_topic_id", "_partition", "_offset")] == ["t.predictions", "P1", 2, 10]


def test_event_times_are_exact_to_the_microsecond() -> None:
    rows = PredictionRows()
    rows.add(0, NEVER, Accepted([0], [7_258_118_399_999_999], [prediction("p")]))
    assert only(columns.predictions(rows, SOURCE))["ts"] == datetime(2199, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


def test_generation_is_json_and_empty_where_there_is_none() -> None:
    table = predictions(Prediction("p", "m", NOON, generation=Generation(provider="x")), prediction("q"))
    assert table.column("generation").to_pylist() == [b'{"provider":"x"}', b""]


def test_attributes_of_a_prediction_are_text() -> None:
    shown = Prediction("p", "m", NOON, attributes={"request_id": "r-1", "position": 3, "pinned": True, "page": None})
    table = predictions(prediction("none"), shown)
    as_text = [("request_id", "r-1"), ("position", "3"), ("pinned", "true"), ("page", "")]
    assert table.column("attributes").to_pylist() == [[], as_text]


def test_an_action_keeps_its_value_its_attributes_and_its_class() -> None:
    event = Action("a", "p", "rating", NOON, 4.5, attributes={"n": 2, "ok": True, "none": None, "t": "x"})
    row = only(actions(event, reason=IgnoreReason.OUTSIDE_WINDOW))
    assert (row["value"], row["value_num"]) == ("4.5", 4.5)
    assert row["attributes"] == [("n", "2"), ("ok", "true"), ("none", ""), ("t", "x")]
    assert (row["class"], row["reason"], row["_topic"]) == ("ignored", "outside_window", "t.actions")


def test_an_action_without_value_and_attributes_keeps_the_types() -> None:
    table = actions(action("p"))
    assert table.schema.field("value").type == pa.string()
    assert table.schema.field("value_num").type == pa.float64()
    assert only(table)["attributes"] == []


def test_what_is_settled_outranks_an_orphan() -> None:
    rows = [
        SettledAction(0, "p", "a", "", ActionClass.ORPHAN, None),
        SettledAction(0, "p", "b", "m", ActionClass.MATCHED, None),
        SettledAction(0, "p", "c", "m", ActionClass.IGNORED, IgnoreReason.NO_OUTCOME),
    ]
    table = columns.action_status(rows, SOURCE)
    assert table.column("rank").to_pylist() == [1, 2, 2]
    assert table.column("reason").to_pylist() == ["", "", "no_outcome"]


def test_feedback_of_an_action_says_how_long_it_took() -> None:
    common = Common(Rules(LoopwatchConfig()).of("m"), "v1", {"country": "no"}, None)
    entry = Entry(us(0), common, 0.25, 0.5)
    matched = OutcomeRow("p", entry, "default", FeedbackStatus.MATCHED, "yes", None, "a", us(1.5), 1, 2, 3, True, 77)
    expired = OutcomeRow("p", entry, "default", FeedbackStatus.EXPIRED, None, None, None, None, 0, 1, 3, False, 9)
    table = columns.feedback([matched, expired], SOURCE)
    assert table.column("delay_ms").to_pylist() == [1500.0, None]
    assert table.column("_topic").to_pylist() == ["t.actions", "t.predictions"]
    assert table.column("segments").to_pylist() == [[("country", "no")]] * 2
    assert table.column("label").to_pylist() == ["yes", None]
    only_expired = columns.feedback([expired], SOURCE)
    assert only_expired.schema == table.schema


def test_a_dead_letter_says_where_the_record_is_and_how_large_it_was() -> None:
    rejected = Rejected(0, RejectReason.NOT_JSON, "why")
    rows = [Refused("t.actions", "A1", 1, record(5, value), rejected) for value in (b"{", None)]
    letters = [DeadLetter.of("t.actions", 1, 5, RejectReason.NOT_JSON, "why", None, b"{", NOON) for _ in rows]
    table = columns.dead_letters(rows, letters, SOURCE)
    assert table.column("size_bytes").to_pylist() == [1, 0]
    assert table.column("_offset").to_pylist() == [5, 5]


def checkpoint(*, of_actions: bool, partition: int = 0, **fields: object) -> Checkpoint:
    topic = SOURCE.actions if of_actions else SOURCE.predictions
    made = Checkpoint(topic.name, topic.topic_id, partition, of_actions, 3, 8, NEVER, NEVER, False, {}, None)
    return made._replace(**fields)


def test_a_checkpoint_that_counted_nothing_is_a_row() -> None:
    row = only(columns.ledger([checkpoint(of_actions=False)], {}, SOURCE, "w"))
    assert (row["class"], row["n"], row["first_offset"], row["last_offset"]) == ("checkpoint", 0, 3, 8)
    assert row["max_ts"] == row["watermark"] == datetime(1970, 1, 1, tzinfo=UTC)


def test_a_checkpoint_of_no_offsets_is_idle() -> None:
    mark = checkpoint(of_actions=False, first_offset=9, watermark_us=5_000_000)
    row = only(columns.ledger([mark], {}, SOURCE, "w"))
    assert (row["class"], row["n"], row["first_offset"], row["last_offset"]) == ("idle", 0, 9, 8)
    assert row["watermark"] == datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)


def test_counts_go_with_the_checkpoint_of_their_topic_and_partition() -> None:
    counts = {
        Count(False, 0, "m", 7, "accepted"): 5,
        Count(True, 0, "", 7, "received"): 2,
        Count(False, 1, "m", 7, "accepted"): 9,
    }
    marks = [checkpoint(of_actions=False, origins={2: 41}), checkpoint(of_actions=True)]
    rows = columns.ledger(marks, counts, SOURCE, "w").to_pylist()
    assert [(row["_topic"], row["class"], row["n"]) for row in rows] == [
        ("t.predictions", "checkpoint", 0),
        ("t.predictions", "origin", 0),
        ("t.predictions", "accepted", 5),
        ("t.actions", "checkpoint", 0),
        ("t.actions", "received", 2),
    ]
    assert (rows[1]["origin_partition"], rows[1]["origin_offset"]) == (2, 41)
    assert rows[2]["bucket"] == datetime(1970, 1, 1, 7, tzinfo=UTC)


def test_a_checkpoint_with_counts_of_its_own_takes_no_others() -> None:
    mark = checkpoint(of_actions=False, counts={("m", 7, "received"): 1})
    rows = columns.ledger([mark], {Count(False, 0, "m", 7, "received"): 100}, SOURCE, "w").to_pylist()
    assert [(row["class"], row["n"]) for row in rows] == [("checkpoint", 0), ("received", 1)]
