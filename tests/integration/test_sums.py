"""Sums over rows come out the same, in every bit: in any order, and whether ClickHouse compiles the query or not."""

import random
import struct

import pytest
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.stream_processors.evaluate.sums import bounded_sum


def _bits(value: float) -> bytes:
    return struct.pack("<d", value)


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e6, 1e11])
def test_a_sum_is_the_same_however_it_is_computed(clickhouse: ClickHouse, scale: float) -> None:
    rng = random.Random(3)
    values = [rng.uniform(-1, 1) * scale for _ in range(2000)] + [rng.uniform(0, 1) for _ in range(500)]
    exact = sum(int(value * 2**64) for value in values) / 2**64
    seen: set[bytes] = set()
    for settings in ("compile_expressions = 0", "compile_expressions = 1, min_count_to_compile_expression = 0"):
        for _ in range(5):
            rng.shuffle(values)
            array = ", ".join(map(repr, values))
            ((total,),) = clickhouse.rows(
                f"SELECT {bounded_sum('x', 'x != 2')} FROM (SELECT arrayJoin([{array}]::Array(Float64)) AS x) "
                f"SETTINGS {settings}"
            )
            seen.add(_bits(total))
    assert len(seen) == 1
    assert total == pytest.approx(exact, rel=1e-15, abs=1e-15)


def test_a_query_that_is_run_often_enough_to_be_compiled_goes_on_saying_the_same(clickhouse: ClickHouse) -> None:
    table = f"{clickhouse.database}.scores"
    clickhouse.command(f"CREATE TABLE {table} (x Float64, y Float64) ENGINE = MergeTree ORDER BY tuple()")
    clickhouse.command(f"INSERT INTO {table} SELECT rand() / 4294967296, rand(1) / 4294967296 FROM numbers(20000)")
    query = (
        f"SELECT {bounded_sum('(x - y) * (x - y)')}, {bounded_sum('-log(greatest(x, 1e-15))', 'y > 0.5')}, "
        f"{bounded_sum('x * y + 1')} / count() FROM {table}"
    )
    said = {tuple(_bits(value) for value in clickhouse.rows(query)[0]) for _ in range(12)}
    assert len(said) == 1
