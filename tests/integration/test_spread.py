"""Few rows of a long stretch: the same each time, from all of it, and not more of it read than said."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.stream_processors.evaluate import spread as spreads
from loopwatch.stream_processors.evaluate.spread import Spread, read_spread
from loopwatch.stream_processors.records import micros_of
from msgspec.structs import replace

from .monitored import BEGIN

MODEL, N = "large", 400_000
HOURS = 100
WHOLE = Spread(MODEL, (BEGIN, BEGIN + timedelta(hours=HOURS)), N, most=500, scanned=40_000, seed=1)
COLUMNS = {"id": "prediction_id", "hour": f"intDiv(toUnixTimestamp64Micro(ts) - {micros_of(BEGIN)}, 3600000000)"}


@pytest.fixture(scope="module")
def large(clickhouse: ClickHouse) -> Iterator[ClickHouse]:
    """Ids that follow time, a prediction each 0.9 s; and as many of another model."""
    made = f"fromUnixTimestamp64Micro({micros_of(BEGIN)} + number * {HOURS * 3_600_000_000 // N}, 'UTC')"
    # A table of its own has no panes to be made.
    clickhouse.command("CREATE DATABASE spread")
    clickhouse.command(f"CREATE TABLE spread.predictions AS {clickhouse.database}.predictions")
    for model in (MODEL, "other"):
        clickhouse.command(
            "INSERT INTO spread.predictions (prediction_id, model, ts, _ingested_at) "
            f"SELECT concat('{model}', leftPad(toString(number), 8, '0')), '{model}', {made}, now64(3) "
            f"FROM numbers({N})"
        )
    kept, clickhouse.database = clickhouse.database, "spread"
    yield clickhouse
    clickhouse.database = kept
    clickhouse.command("DROP DATABASE spread")


def test_rows_are_the_same_each_time_and_from_all_of_the_stretch(large: ClickHouse) -> None:
    rows, again = read_spread(large, WHOLE, COLUMNS), read_spread(large, WHOLE, COLUMNS)
    assert rows is not None
    assert rows == again
    assert rows.column_names == list(COLUMNS)
    ids = rows.column("id").to_pylist()
    assert len(ids) == len(set(ids)) == 500
    assert all(id_.startswith(MODEL) for id_ in ids)
    hours = rows.column("hour").to_pylist()
    assert len(set(hours)) > 75
    assert 40 < sum(hours) / len(hours) < 60
    others = read_spread(large, replace(WHOLE, seed=2), COLUMNS)
    assert others is not None
    assert len(set(ids) & set(others.column("id").to_pylist())) < 50


def test_no_more_than_slots_of_a_large_stretch_are_read(large: ClickHouse) -> None:
    ((within,),) = large.rows(f"SELECT count() FROM spread.predictions WHERE {replace(WHOLE, most=10**9).condition}")
    assert 0.9 * WHOLE.scanned <= within <= 1.01 * WHOLE.scanned
    huge = replace(WHOLE, predictions=10**11)
    assert huge.slots is not None
    assert (huge.slots[0], len(huge.slots[1])) == (1, 50)


def test_a_small_stretch_is_read_as_it_is(large: ClickHouse) -> None:
    hour = replace(WHOLE, stretch=(BEGIN, BEGIN + timedelta(minutes=5)), predictions=N // HOURS // 12)
    assert hour.slots is None
    rows = read_spread(large, hour, COLUMNS)
    assert rows is not None
    assert len(rows) == N // HOURS // 12 + 1


def test_what_takes_too_long_is_given_up(large: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreads, "_LONGEST_S", 0.05)
    columns = {"id": "prediction_id", "slow": "sleepEachRow(0.02)"}
    assert read_spread(large, replace(WHOLE, most=50), columns) is None
