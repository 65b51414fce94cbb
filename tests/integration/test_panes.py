"""Panes beside the rows they are made of: exact in any order and batches, under retries, and after a crash."""

import contextlib
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loopwatch.infra.tables import apply_tables
from loopwatch.schemas.errors import LoopwatchError, ServiceUnavailable
from loopwatch.stream_processors.evaluate.panes import (
    HOUR,
    MINUTE,
    Distribution,
    Series,
    Slice,
    Stretch,
    distributions,
    label_delays,
    slices,
    volumes,
)
from loopwatch.stream_processors.sink.fence import Fence
from loopwatch.stream_processors.sink.pane_repair import Difference, pane_differences

from .embedded_clickhouse.server import Server
from .paned import OLD, Block, Event, N, Store, chosen, events_of, hour_of

ERROR = 1 / 128
LEVELS = (0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 1.0)


@pytest.fixture(scope="module")
def old(clickhouse_url: str) -> Iterator[tuple[Store, list[Event]]]:
    store, events = Store(clickhouse_url), events_of(OLD, 1)
    store.insert(events)
    yield store, events
    store.clickhouse.close()


def stretch(model: str = "fraud", hours: int = 24, size: timedelta | None = None, **more: Any) -> Stretch:
    begin = OLD.replace(hour=0, minute=0)
    return Stretch(model, begin, begin + timedelta(days=1, hours=hours), size, **more)


def values(events: Sequence[Event], name: str, *types: type) -> list[Any]:
    return [value for event in events if type(value := event["features"].get(name)) in types]


def near_quantiles(found: Distribution, truth: Sequence[float]) -> None:
    assert found.numbers.n == len(truth)
    for level in LEVELS:
        exact = float(np.quantile(truth, level, method="lower"))
        assert found.numbers.quantile(level) == pytest.approx(exact, rel=ERROR), level
    assert found.numbers.mean == pytest.approx(np.mean(truth), rel=1e-6)
    assert found.numbers.deviation == pytest.approx(np.std(truth, ddof=1), rel=1e-6)


def test_volumes_are_those_of_the_rows(old: tuple[Store, list[Event]]) -> None:
    store, events = old
    for model in ("fraud", "churn"):
        found = volumes(store.clickhouse, stretch(model, size=HOUR))
        assert found == dict(sorted(Counter(map(hour_of, chosen(events, model))).items()))
    days = volumes(store.clickhouse, stretch(size=timedelta(days=1)))
    assert sum(days.values()) == len(chosen(events))
    assert len(days) == 2
    assert pane_differences(store.clickhouse) == []


def test_numbers_have_the_quantiles_of_numpy_within_the_stated_error(old: tuple[Store, list[Event]]) -> None:
    store, events = old
    (found,) = distributions(store.clickhouse, stretch(), [Series("amount")]).values()
    near_quantiles(found, values(chosen(events), "amount", float))
    assert (found.null, found.invalid, found.texts) == (len(values(chosen(events), "amount", type(None))), 0, 0)
    assert found.missing == found.null


def test_a_value_of_the_wrong_type_is_invalid_and_one_that_was_not_sent_missing(old: tuple[Store, list[Event]]) -> None:
    store, events = old
    found = {series.name: each for (_, series), each in distributions(store.clickhouse, stretch()).items()}
    strange = values(chosen(events), "age", str)
    assert (found["age"].invalid, found["age"].categories) == (len(strange), {"unknown": len(strange)})
    assert found["age"].numbers.quantile(0.5) == np.quantile(values(chosen(events), "age", int), 0.5, method="lower")
    sent = values(chosen(events), "country", str)
    assert found["country"].missing == len(chosen(events)) - len(sent)
    assert found["country"].categories == dict(Counter(sent).most_common())
    assert found["returning"].categories == Counter(
        str(value).lower() for value in values(chosen(events), "returning", bool)
    )


def test_beyond_the_top_categories_there_is_a_rest(old: tuple[Store, list[Event]]) -> None:
    store, events = old
    (found,) = distributions(store.clickhouse, stretch(), [Series("country")], top=2).values()
    counted = Counter(values(chosen(events), "country", str)).most_common()
    assert sorted(found.categories.values(), reverse=True) == [n for _, n in counted[:2]]
    assert found.other == sum(n for _, n in counted[2:])


def test_outputs_are_distributed_like_features(old: tuple[Store, list[Event]]) -> None:
    store, events = old
    output = {
        (model, series.name): each
        for model in ("fraud", "churn")
        for (_, series), each in distributions(store.clickhouse, stretch(model)).items()
        if not series.is_feature
    }
    near_quantiles(output["fraud", "score"], [event["score"] for event in chosen(events)])
    near_quantiles(output["fraud", "latency_ms"], [event["latency_ms"] for event in chosen(events)])
    near_quantiles(output["churn", "prediction"], [event["prediction"] for event in chosen(events, "churn")])
    said = Counter(str(event["prediction"]).lower() for event in chosen(events))
    assert output["fraud", "prediction"].categories == dict(said.most_common())
    assert ("churn", "score") not in output


@pytest.mark.parametrize(
    ("slice_", "belongs"),
    [
        (Slice("version", "v1"), lambda event: event["version"] == "v1"),
        (Slice("country", "it's \\ a"), lambda event: event["segments"]["country"] == "it's \\ a"),
        (Slice("country", ""), lambda event: event["segments"]["country"] == ""),
        (Slice("variants.checkout", "b"), lambda event: event["variants"]["checkout"] == "b"),
        (Slice("country", "nowhere"), lambda _: False),
    ],
)
def test_slices_have_panes_of_their_own(
    old: tuple[Store, list[Event]], slice_: Slice, belongs: Callable[[Event], bool]
) -> None:
    store, events = old
    inside = [event for event in chosen(events) if belongs(event)]
    assert sum(volumes(store.clickhouse, stretch(slice=slice_)).values()) == len(inside)
    for found in distributions(store.clickhouse, stretch(slice=slice_), [Series("amount")]).values():
        near_quantiles(found, values(inside, "amount", float))


def test_the_largest_slices_and_the_rest_are_all_there_is(old: tuple[Store, list[Event]]) -> None:
    store, events = old
    largest, rest = slices(store.clickhouse, stretch(), "country", top=3)
    counted = Counter(event["segments"]["country"] for event in chosen(events))
    assert list(largest.values()) == [n for _, n in counted.most_common(3)]
    assert all(counted[value] == n for value, n in largest.items())
    assert rest == len(chosen(events)) - sum(largest.values())


def test_any_order_and_any_batches_give_the_same_panes(clickhouse_url: str, old: tuple[Store, list[Event]]) -> None:
    store, events = old
    rng = np.random.default_rng(3)
    for sizes in ([1, 2, 700, 1300, N], [50] * 60):
        other = Store(clickhouse_url, partition=1)
        shuffled = [events[index] for index in rng.permutation(len(events))]
        for begin, end in zip(np.cumsum([0, *sizes]), np.cumsum(sizes), strict=False):
            if part := shuffled[begin:end]:
                other.insert(part)
        assert other.content() == store.content()
        assert other.names() == store.names()
        other.clickhouse.command(f"OPTIMIZE TABLE {other.clickhouse.database}.panes FINAL")
        assert other.content() == store.content()
        assert distributions(other.clickhouse, stretch(size=HOUR)) == distributions(
            store.clickhouse, stretch(size=HOUR)
        )
        other.clickhouse.close()


def test_fresh_predictions_have_panes_of_minutes(clickhouse_url: str) -> None:
    store = Store(clickhouse_url)
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=8)
    events = events_of(begin, 5)
    store.insert(events)
    minutes = volumes(store.clickhouse, Stretch("fraud", begin, begin + 4 * HOUR, MINUTE))
    expected = Counter(hour_of(e).replace(minute=datetime.fromisoformat(e["ts"]).minute) for e in chosen(events))
    assert minutes == expected
    assert volumes(store.clickhouse, Stretch("fraud", begin, begin + 4 * HOUR, HOUR)) == Counter(
        map(hour_of, chosen(events))
    )
    assert pane_differences(store.clickhouse) == []
    with pytest.raises(LoopwatchError, match="whole minutes"):
        volumes(store.clickhouse, Stretch("fraud", begin, begin + timedelta(seconds=30)))


def test_an_insert_that_is_sent_again_changes_nothing(clickhouse_url: str) -> None:
    store = Store(clickhouse_url)
    block = store.insert(events_of(OLD, 6, 300))
    before = store.content()
    for _ in range(3):
        store.send(block)
    assert (store.content(), pane_differences(store.clickhouse)) == (before, [])


def test_what_was_lost_between_rows_and_panes_comes_with_the_retry(clickhouse_url: str) -> None:
    store = Store(clickhouse_url)
    store.insert(events_of(OLD, 7, 300))
    lose_views(store)
    block = store.insert(events_of(OLD, 8, 300))
    assert pane_differences(store.clickhouse)
    apply_tables(store.clickhouse, store.settings)
    for _ in range(2):
        store.send(block)
    assert pane_differences(store.clickhouse) == []
    assert store.repair() == 0


def test_without_a_retry_the_next_owner_finds_it_by_its_missing_account(clickhouse_url: str) -> None:
    store = Store(clickhouse_url)
    every = [events_of(OLD, seed, 300) for seed in (9, 10, 11, 12)]
    for number, events in enumerate(every):
        if number in (1, 2):
            lose_views(store)
        store.insert(events)
        apply_tables(store.clickhouse, store.settings)
    assert sum(each.rows - each.in_panes for each in pane_differences(store.clickhouse)) == 600
    assert (store.repair(), store.repair()) == (2, 0)
    whole = Store(clickhouse_url)
    whole.insert([event for events in every for event in events])
    assert pane_differences(store.clickhouse) == []
    assert (store.content(), store.names()) == (whole.content(), whole.names())


def test_a_database_that_is_older_than_its_panes_gets_them(clickhouse_url: str) -> None:
    store = Store(clickhouse_url)
    lose_views(store)
    for table in ("panes", "pane_names"):
        store.clickhouse.command(f"DROP TABLE {store.clickhouse.database}.{table} SYNC")
    before = [events_of(OLD, seed, 200) for seed in (13, 14, 15)]
    for events in before:
        store.insert(events)
    apply_tables(store.clickhouse, store.settings)
    after = events_of(OLD, 16, 200)
    store.insert(after)
    assert (store.repair(), store.repair()) == (3, 0)
    whole = Store(clickhouse_url)
    whole.insert([event for events in [*before, after] for event in events])
    assert (store.content(), store.names()) == (whole.content(), whole.names())


def test_who_lost_the_partition_repairs_nothing(clickhouse_url: str) -> None:
    store = Store(clickhouse_url)
    lose_views(store)
    store.insert(events_of(OLD, 17, 100))
    apply_tables(store.clickhouse, store.settings)
    Fence(store.clickhouse, "p", "another").claim(0)
    with pytest.raises(Exception, match="fenced"):
        store.repair()
    assert store.content() == []


def test_a_server_killed_at_any_moment_leaves_panes_that_equal_rows(tmp_path: Path) -> None:
    rnd, server = random.Random(20), Server(tmp_path)
    store = Store(server.url)
    for number in range(1, 9):
        block = store.block(events_of(OLD, 100 + number, 1000))
        sending = threading.Thread(target=try_to_send, args=(store, block))
        sending.start()
        sending.join(rnd.uniform(0.01, 0.3))
        store.give_up.set()
        server.stop(signal.SIGKILL)
        sending.join()
        offset, ingested_ms = store.offset, store.ingested_ms
        server = Server(tmp_path)
        store = Store(server.url, database=store.settings.clickhouse_database)
        store.offset, store.ingested_ms = offset, ingested_ms
        # Every other time nobody sends again what is stored: the next owner of the partition skips it by its offset.
        if number % 2 and store.count() == number * 1000:
            store.repair()
        else:
            store.send(block)
        assert (store.count(), pane_differences(store.clickhouse)) == (number * 1000, [])
    whole = Store(server.url)
    whole.insert([event for number in range(1, 9) for event in events_of(OLD, 100 + number, 1000)])
    assert (store.content(), store.names()) == (whole.content(), whole.names())
    server.stop()


def try_to_send(store: Store, block: Block) -> None:
    with contextlib.suppress(ServiceUnavailable):
        store.send(block)


def test_differences_name_model_and_hour(clickhouse_url: str) -> None:
    store = Store(clickhouse_url)
    events = [event for event in events_of(OLD, 18, 60) if hour_of(event) == hour_of({"ts": OLD.isoformat()})]
    lose_views(store)
    store.insert(chosen(events))
    hour = int(OLD.replace(minute=0).timestamp())
    assert pane_differences(store.clickhouse) == [Difference("fraud", hour, len(chosen(events)), 0)]


def test_analysts_read_the_same_numbers_from_a_view(old: tuple[Store, list[Event]]) -> None:
    store, events = old
    hour = max(map(hour_of, chosen(events)))
    database = store.clickhouse.database
    rows = {
        output or feature: row
        for output, feature, *row in store.clickhouse.rows(
            "SELECT output, feature, present, nulls, numbers, texts, categories, mean, p1_p25_p50_p75_p99 "
            f"FROM {database}.panes_hourly WHERE model = 'fraud' AND segment_key = 'country' AND segment = 'de' "
            f"AND hour = '{hour:%Y-%m-%d %H:00:00}'"
        )
    }
    inside = [e for e in chosen(events) if hour_of(e) == hour and e["segments"]["country"] == "de"]
    amounts, ages = values(inside, "amount", float), values(inside, "age", int)
    assert rows["predictions"][0] == len(inside)
    present, nulls, numbers, texts, _, mean, quantiles = rows["amount"]
    assert (present, numbers, nulls, texts) == (len(amounts), len(amounts), len(inside) - len(amounts), 0)
    assert mean == pytest.approx(np.mean(amounts), rel=1e-6)
    assert quantiles[2] == pytest.approx(np.quantile(amounts, 0.5, method="inverted_cdf"), rel=ERROR)
    assert rows["age"][6][2] == np.quantile(ages, 0.5, method="inverted_cdf")
    assert (rows["country"][3], rows["country"][4]) == (len(inside), 1)


def test_label_delays_count_a_revised_outcome_once(clickhouse_url: str) -> None:
    store = Store(clickhouse_url)
    database = store.clickhouse.database
    delays = np.random.default_rng(19).exponential(3_600_000, 500).round(3)
    for revision, factor in ((1, 3), (2, 1)):
        rows = ",".join(
            f"('fraud','click','{index}','matched',{delay * factor!r},map('country','{'df'[index % 2]}'),"
            f"'2025-03-03 10:00:00',{revision},now64(3))"
            for index, delay in enumerate(delays.tolist())
        )
        store.clickhouse.command(
            f"INSERT INTO {database}.feedback (model, outcome, prediction_id, status, delay_ms, segments, "
            f"prediction_ts, revision, _ingested_at) VALUES {rows}"
        )
    (found,) = label_delays(store.clickhouse, stretch(), "click").values()
    near_quantiles(Distribution(500, found), delays.tolist())
    (half,) = label_delays(store.clickhouse, stretch(slice=Slice("country", "f")), "click").values()
    near_quantiles(Distribution(250, half), delays[1::2].tolist())


def lose_views(store: Store) -> None:
    """From now on inserts reach the rows alone, as if ClickHouse died behind them each time."""
    for view in ("panes_of_predictions", "pane_slices_of_predictions", "pane_categories_of_predictions"):
        store.clickhouse.command(f"DROP VIEW {store.clickhouse.database}.{view} SYNC")
