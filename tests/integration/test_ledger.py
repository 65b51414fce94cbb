"""The ledger finds what is wrong: each row or count that is missing, doubled or attached to nothing is named."""

import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from loopwatch.infra.child_process import ChildProcess, accepts_connections, free_port
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.ledger import read_ledger
from loopwatch.infra.settings import Settings
from loopwatch.infra.tables import apply_tables
from loopwatch.schemas.config import parse_config
from loopwatch.schemas.ledger import LedgerReport, OutcomeCounts

CONFIG = parse_config(
    {"models": {"shop": {"outcomes": {"click": {"actions": ["click"]}, "buy": {"actions": ["purchase"]}}}}}
)
PREDICTIONS, ACTIONS, LIFE = "loopwatch.predictions", "loopwatch.actions", "life-1"


class World:
    """A database that balances: 6 records of predictions on offsets 0 to 5, and 6 of actions.

    Predictions: p0 to p3 are accepted, one is a duplicate, one is invalid. Actions: two clicks matched, one was late
    and revised a timeout, one is ignored, one is held, one is a duplicate.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self.clickhouse = clickhouse
        self.database = clickhouse.database
        for n in range(4):
            self.prediction(f"p{n}", offset=n)
        self.dead_letter(PREDICTIONS, 5)
        self.checkpoint(PREDICTIONS, 0, 5, {("shop", "received"): 5, ("shop", "accepted"): 4, ("shop", "duplicate"): 1})
        self.count(PREDICTIONS, 0, 5, {("", "received"): 1, ("", "invalid"): 1})
        self.action("p0", "a0", "matched", offset=0)
        self.action("p1", "a1", "matched", offset=1)
        self.action("p2", "a2", "late_revised", offset=2)
        self.action("p0", "a3", "ignored", offset=3, reason="no_outcome")
        self.action("p9", "a4", "held", offset=4, model="")
        self.checkpoint(ACTIONS, 0, 5, {("", "received"): 6, ("shop", "duplicate"): 1})
        for prediction_id, status in (("p0", "matched"), ("p1", "matched"), ("p2", "revised"), ("p3", "expired")):
            self.feedback(prediction_id, "click", status)
        self.feedback("p0", "buy", "expired")

    def prediction(self, prediction_id: str, *, offset: int) -> None:
        self.insert(
            "predictions",
            "prediction_id, model, ts, _topic, _topic_id, _partition, _offset, _ingested_at",
            f"('{prediction_id}', 'shop', now(), '{PREDICTIONS}', '{LIFE}', 0, {offset}, now())",
        )

    def action(
        self,
        prediction_id: str,
        action_id: str,
        action_class: str,
        *,
        offset: int,
        reason: str = "",
        model: str = "shop",
    ) -> None:
        self.insert(
            "actions",
            "prediction_id, action_id, name, ts, model, class, reason, "
            "_topic, _topic_id, _partition, _offset, _ingested_at",
            f"('{prediction_id}', '{action_id}', 'click', now(), '{model}', '{action_class}', '{reason}', '{ACTIONS}', "
            f"'{LIFE}', 0, {offset}, now())",
        )

    def feedback(self, prediction_id: str, outcome: str, status: str, *, at: str = "2024-07-15 12:00:00") -> None:
        self.insert(
            "feedback",
            "model, outcome, prediction_id, status, prediction_ts, revision, _ingested_at",
            f"('shop', '{outcome}', '{prediction_id}', '{status}', '{at}', 1, now())",
        )

    def status(self, prediction_id: str, action_id: str, action_class: str) -> None:
        self.insert(
            "action_status",
            "prediction_id, action_id, model, class, rank, _ingested_at",
            f"('{prediction_id}', '{action_id}', '', '{action_class}', 1, now())",
        )

    def dead_letter(self, topic: str, offset: int) -> None:
        self.insert(
            "dead_letters",
            "reason, _topic, _topic_id, _partition, _offset, _ingested_at",
            f"('schema', '{topic}', '{LIFE}', 0, {offset}, now())",
        )

    def checkpoint(
        self, topic: str, first: int, last: int, counts: dict[tuple[str, str], int], *, at: str = "now()"
    ) -> None:
        self.count(topic, first, last, {("", "checkpoint"): 0} | counts, at=at)

    def count(
        self, topic: str, first: int, last: int, counts: dict[tuple[str, str], int], *, at: str = "now()"
    ) -> None:
        rows = (
            f"('{topic}', '{LIFE}', 0, {first}, {last}, '{model}', '{event_class}', {n}, {at})"
            for (model, event_class), n in counts.items()
        )
        columns = "_topic, _topic_id, _partition, first_offset, last_offset, model, class, n, _ingested_at"
        self.insert("ledger", columns, ", ".join(rows))

    def insert(self, table: str, columns: str, rows: str) -> None:
        # A row that is inserted twice shall be there twice: ClickHouse drops a block that it has seen.
        token = f"insert_deduplication_token = '{uuid.uuid4().hex}'"
        self.clickhouse.command(f"INSERT INTO {self.database}.{table} ({columns}) SETTINGS {token} VALUES {rows}")

    def ledger(self) -> LedgerReport:
        return read_ledger(self.clickhouse, CONFIG)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """An embedded ClickHouse of this module's own."""
    port = free_port()
    command = [sys.executable, "-m", "loopwatch.infra.embedded_clickhouse", "--port", str(port)]
    with ChildProcess(command, name="embedded ClickHouse") as child:
        child.wait_until(lambda: accepts_connections(port), 60)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def empty(address: str) -> ClickHouse:
    """A database of this test's own, without rows."""
    settings = Settings(clickhouse_url=address, clickhouse_database=f"t_{uuid.uuid4().hex[:12]}")
    clickhouse = ClickHouse(settings)
    apply_tables(clickhouse, settings)
    return clickhouse


@pytest.fixture
def world(empty: ClickHouse) -> World:
    return World(empty)


def test_an_empty_ledger_balances(empty: ClickHouse) -> None:
    report = read_ledger(empty, CONFIG)
    assert (report.balanced, report.predictions.models, report.actions.models) == (True, {}, {})


def test_every_class_is_counted(world: World) -> None:
    report = world.ledger()
    assert (report.imbalances, report.balanced) == ([], True)
    shop = report.predictions.models["shop"]
    assert (shop.received, shop.duplicate, shop.accepted) == (5, 1, 4)
    assert shop.outcomes == {"click": OutcomeCounts(0, 3, 1), "buy": OutcomeCounts(3, 0, 1)}
    assert (report.predictions.received, report.predictions.invalid) == (6, 1)
    actions = report.actions
    assert (actions.received, actions.duplicate, actions.matched, actions.late_revised) == (6, 1, 2, 1)
    assert (actions.held, actions.orphan, actions.ignored_reasons) == (1, 0, {"no_outcome": 1})
    assert actions.models[""].held == 1


def test_a_watermark_that_goes_on_without_records_changes_nothing(world: World) -> None:
    before = world.ledger()
    for topic in (PREDICTIONS, ACTIONS):
        world.count(topic, 6, 5, {("", "idle"): 0})
    assert world.ledger() == before
    # What comes then begins where the idle stretch does, and is no overlap.
    world.checkpoint(PREDICTIONS, 6, 6, {("shop", "received"): 1, ("shop", "duplicate"): 1})
    assert world.ledger().balanced


def test_a_held_action_that_was_given_up_is_an_orphan(world: World) -> None:
    world.status("p9", "a4", "orphan")
    report = world.ledger()
    assert (report.balanced, report.actions.held, report.actions.orphan) == (True, 0, 1)


def test_rows_of_a_flush_that_has_not_ended_are_not_counted(world: World) -> None:
    world.prediction("p4", offset=6)
    world.action("p4", "a6", "matched", offset=6)
    world.feedback("p4", "click", "matched")
    world.dead_letter(ACTIONS, 7)
    report = world.ledger()
    assert (report.imbalances, report.predictions.accepted, report.actions.matched) == ([], 4, 2)


def test_another_life_of_a_topic_has_the_same_offsets(world: World) -> None:
    world.insert(
        "predictions",
        "prediction_id, model, ts, _topic, _topic_id, _partition, _offset, _ingested_at",
        f"('other', 'shop', now(), '{PREDICTIONS}', 'life-2', 0, 0, now())",
    )
    assert world.ledger().balanced


def test_entries_older_than_the_rows_may_live_are_left_out(world: World) -> None:
    world.checkpoint(
        PREDICTIONS, 6, 9, {("shop", "received"): 4, ("shop", "accepted"): 4}, at="now() - INTERVAL 2 YEAR"
    )
    report = world.ledger()
    assert (report.imbalances, report.predictions.accepted) == ([], 4)
    assert any("time to live" in note for note in report.notes)


def test_without_a_configuration_the_outcomes_are_those_of_the_feedback(world: World) -> None:
    report = read_ledger(world.clickhouse, None)
    assert report.balanced
    assert report.predictions.models["shop"].outcomes.keys() == {"click", "buy"}


def test_an_outcome_that_is_not_configured_any_more_is_a_note(world: World) -> None:
    world.feedback("p0", "return", "expired")
    report = world.ledger()
    assert report.balanced
    assert any("return" in note for note in report.notes)


@dataclass
class Wrong:
    change: Callable[[World], None]
    says: str


def lose(table: str, condition: str) -> Callable[[World], None]:
    return lambda world: world.clickhouse.command(
        f"ALTER TABLE {world.database}.{table} DELETE WHERE {condition} SETTINGS mutations_sync = 2"
    )


WRONG = {
    "prediction lost": Wrong(lose("predictions", "prediction_id = 'p1'"), "accepted 4, but table predictions has 3"),
    "prediction doubled": Wrong(lambda w: w.prediction("p1", offset=1), "table predictions: 1 keys"),
    "action lost": Wrong(
        lose("actions", "action_id = 'a1'"), "actions: received 6, but all their classes together are 5"
    ),
    "action doubled": Wrong(lambda w: w.action("p1", "a1", "matched", offset=1), "table actions: 1 keys"),
    "action of no class": Wrong(lambda w: w.action("p1", "b", "lost", offset=5), "all their classes together are 7"),
    "dead letter lost": Wrong(lose("dead_letters", "1"), "predictions: invalid 1, but table dead_letters has 0"),
    "feedback doubled": Wrong(
        lambda w: w.feedback("p1", "click", "matched", at="2024-07-15 13:00:00"),
        "outcome click: accepted 4, but pending 0 + matched 4 + expired 1 = 5",
    ),
    "feedback for nothing": Wrong(
        lambda w: w.feedback("nobody", "click", "expired"), "table feedback: 1 rows whose prediction is not"
    ),
    "feedback of no status": Wrong(
        lambda w: w.feedback("p1", "buy", "maybe"), "outcome buy: accepted 4, but pending 2"
    ),
    "status for nothing": Wrong(
        lambda w: w.status("nobody", "a", "orphan"), "table action_status: 1 rows whose action"
    ),
    "stretch counted twice": Wrong(
        lambda w: w.checkpoint(PREDICTIONS, 4, 5, {}),
        "1 stretches of the ledger overlap another, the first from offset 4",
    ),
    "count without a record": Wrong(
        lambda w: w.count(PREDICTIONS, 0, 5, {("shop", "received"): 1}), "7 records are counted on 6 offsets"
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_named(world: World, wrong: Wrong) -> None:
    wrong.change(world)
    report = world.ledger()
    assert not report.balanced
    assert any(wrong.says in imbalance for imbalance in report.imbalances), report.imbalances
