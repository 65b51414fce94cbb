"""What a turn of all rules costs: ``python -m benchmarks.alerts.rules_tick``.

Models with the default rules, a metric rule, one of slices and a budget, over tables as they are after weeks at 5,000
events a second: windows with a revision every few seconds, minutes of arrivals, signals. Between turns new revisions
come. CPU is that of this process and of ClickHouse together.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.settings import Settings
from loopwatch.infra.tables import apply_tables
from loopwatch.schemas.config import parse_config
from loopwatch.stream_processors.alerts.conditions.evaluate import Evaluator

from ..clickhouse_process import ClickHouseProcess, clickhouse_process

_RULES = {
    "LowAccuracy": {"metric": "accuracy", "below": 0.2},
    "LowSlice": {"metric": "recall", "below": 0.01, "slices": True},
    "Cost": {"budget": 1_000_000},
}
_METRICS = (
    "['labelled', 'accuracy', 'precision', 'recall', 'specificity', 'f1', 'prevalence', 'roc_auc', 'pr_auc', 'brier']"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alerts.rules_tick", description=__doc__)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--slices", type=int, default=10)
    parser.add_argument("--revisions", type=int, default=1200, help="of the window that is going on: an hour's")
    parser.add_argument("--signals", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--defaults", action="store_true", help="the default rules alone")
    options = parser.parse_args(arguments)
    with clickhouse_process() as server:
        settings = Settings(clickhouse_url=server.url)
        clickhouse = ClickHouse(settings)
        apply_tables(clickhouse, settings)
        now = datetime.now(UTC)
        _fill(clickhouse, options, now)
        config = parse_config({"alerting": {"rules": {} if options.defaults else _RULES}})
        evaluator = Evaluator(clickhouse, config, settings)
        first = _timed(lambda: evaluator.evaluate(now), server)
        turns: list[tuple[float, float]] = []
        for turn in range(options.turns):
            now += timedelta(seconds=2)
            _revise(clickhouse, options, now, 1, options.revisions + turn)
            turns.append(_timed(lambda at=now: evaluator.evaluate(at), server))
        found = evaluator.evaluate(now)
        ((rows,),) = clickhouse.rows(f"SELECT count() FROM {clickhouse.database}.metrics")
        wall, cpu = np.array(turns).T
        print(
            f"{options.models} models, {len(config.alerting.rules)} rules, {rows:,} rows of metrics; "
            f"{len(found.findings)} findings, errors {found.errors}"
        )
        print(f"first turn: {first[0]:.2f} s, {first[1]:.2f} s of CPU")
        print(f"a turn: {np.median(wall):.3f} s, {np.median(cpu):.3f} s of CPU; slowest {max(wall):.3f} s")
    return 0


def _timed(run: Callable[[], object], server: ClickHouseProcess) -> tuple[float, float]:
    before, began = _cpu_s(server), time.perf_counter()
    run()
    return time.perf_counter() - began, _cpu_s(server) - before


def _cpu_s(server: ClickHouseProcess) -> float:
    """Of this process and the server's."""
    import psutil

    pid = server.process.pid
    theirs = psutil.Process(pid).cpu_times() if pid else None
    ours = time.process_time()
    return ours + (theirs.user + theirs.system if theirs else 0.0)


def _fill(clickhouse: ClickHouse, options: argparse.Namespace, now: datetime) -> None:
    database, stamp = clickhouse.database, f"fromUnixTimestamp64Micro({int(now.timestamp() * 1e6)}, 'UTC')"
    for hour in range(72):
        _windows(clickhouse, options, now - timedelta(hours=hour + 1), 3600, 10, now - timedelta(hours=hour))
    _revise(clickhouse, options, now, options.revisions, 0)
    for kind, outcome in (("predictions", ""), ("labels", "answer")):
        clickhouse.command(
            f"INSERT INTO {database}.arrivals (kind, model, outcome, minute, n, live, newest, latest, usd, delays) "
            f"SELECT '{kind}', concat('m', toString(number % {options.models})), '{outcome}', "
            f"toStartOfMinute({stamp} - 60 * intDiv(number, {options.models})) AS at, 15000, 15000, at, at, 0.1, "
            f"map(toUInt8(80), toUInt64(9000), toUInt8(90), toUInt64(6000)) FROM numbers({options.models} * 40320)"
        )
    clickhouse.command(
        f"INSERT INTO {database}.signals (signal_id, model, kind, subject, detector, since, found_at, until, score, "
        "message, window_s, _detected_at) SELECT toString(cityHash64(number)), "
        f"concat('m', toString(number % {options.models})), 'data_drift', concat('f', toString(number % 20)), "
        f"'wasserstein', {stamp} - 60 * number AS at, at, at, 0.9, 'drifted', 3600, at FROM numbers({options.signals})"
    )
    reached_us = int(now.timestamp() * 1e6)
    clickhouse.command(
        f"INSERT INTO {database}.monitors (model, monitor, reached_us, _written_at) SELECT "
        f"concat('m', toString(number)), 'drift/1h', {reached_us}, now64(6) FROM numbers({options.models})"
    )


def _revise(clickhouse: ClickHouse, options: argparse.Namespace, now: datetime, revisions: int, first: int) -> None:
    for size in (3600, 86_400):
        _windows(clickhouse, options, now, size, revisions, now, first)


def _windows(
    clickhouse: ClickHouse, options: argparse.Namespace, at: datetime, size: int, revisions: int, until: datetime,
    first: int = 0,
) -> None:  # fmt: skip
    """Revisions of the windows of all models that hold an instant, the last one `until`, three seconds apart."""
    start = int(at.timestamp()) // size * size
    last_us = int(until.timestamp() * 1e6)
    for begin in range(0, revisions, 100):
        n = min(100, revisions - begin)
        clickhouse.command(
            f"INSERT INTO {clickhouse.database}.metrics (model, outcome, time_of, window_start, window_seconds, "
            "step_seconds, segment_key, segment, metric, value, lower, upper, n, predictions, completeness, revision, "
            "_content, _evaluated_at) SELECT concat('m', toString(m)), 'answer', time_of, "
            f"toDateTime({start}, 'UTC'), {size}, {size}, if(s = 0, '', 'country'), "
            "if(s = 0, '', concat('c', toString(s))), metric, 0.8, 0.79, 0.81, 1000, 1000, 1.0, "
            f"{first + begin} + r, {first + begin} + r, "
            f"fromUnixTimestamp64Micro({last_us} - 3000000 * ({revisions} - 1 - {begin} - r), 'UTC') "
            f"FROM (SELECT arrayJoin(range({options.models})) AS m, arrayJoin(range({n})) AS r, "
            f"arrayJoin(range({options.slices} + 1)) AS s, arrayJoin({_METRICS}) AS metric, "
            "arrayJoin(['prediction', 'label']) AS time_of)"
        )


if __name__ == "__main__":
    sys.exit(main())
