"""All metrics of a model with 50 features: ``python -m benchmarks.metrics_speed``.

A million predictions with their labels, half of them as a reference. Loopwatch asks its ClickHouse (embedded) for the
quality of both halves with intervals, and for the distribution of every feature in both: missing rates, means,
quantiles, categories, and how far they moved (Wasserstein by deviation, Jensen–Shannon) from the panes' histograms.
Evidently runs its classification and drift presets over the same rows, in memory. What comes before is not counted:
storing here, importing and making data sets there. Writes ``results/metrics_speed.json``.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

import msgspec
import numpy as np
import pyarrow as pa
from loopwatch.infra.clickhouse import INSERT_SETTINGS, ClickHouse
from loopwatch.infra.settings import Settings
from loopwatch.infra.tables import apply_tables
from loopwatch.schemas.outcomes import Kind, Outcome
from loopwatch.schemas.windows import Window
from loopwatch.stream_processors.evaluate.panes import Distribution, Stretch, distributions
from loopwatch.stream_processors.evaluate.quality import Quality, quality
from loopwatch.stream_processors.evaluate.windows import Windows
from rich.console import Console
from rich.table import Table

from ..clickhouse_process import clickhouse_process
from ..machine import Machine
from ..throughput import RESULTS
from .presets import presets
from .rows import BEGIN, DAYS, MODEL, OUTCOME, feedback, half, predictions, rows

TARGET = 50.0
_BLOCK = 50_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metrics_speed", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="predictions, each with its label")
    parser.add_argument("--repeats", type=int, default=5, help="how often Loopwatch is asked; the median counts")
    options = parser.parse_args(arguments)
    console, machine, table = Console(), Machine.here(), rows(options.rows)
    evidently_s, evidently = presets(table)
    with clickhouse_process() as server:
        settings = Settings(clickhouse_url=server.url)
        clickhouse = ClickHouse(settings)
        apply_tables(clickhouse, settings)
        stored_s = _store(clickhouse, table)
        ours = {
            "quality": _seconds(lambda: _quality(clickhouse), options.repeats),
            "distributions and shifts": _seconds(lambda: _shifts(clickhouse), options.repeats),
        }
        accuracy = _quality(clickhouse)[1].metrics["accuracy"].value
    if abs(accuracy - evidently["Accuracy"]) > 1e-9:
        raise RuntimeError(f"accuracy is {accuracy} here and {evidently['Accuracy']} there")
    ratios = {
        "classification": evidently_s["classification"] / ours["quality"],
        "classification and drift": evidently_s["classification and drift"] / sum(ours.values()),
    }
    console.print(_as_table(options.rows, ours, evidently_s, ratios, machine))
    RESULTS.mkdir(exist_ok=True)
    document = {
        "machine": machine, "rows": options.rows, "loopwatch_s": ours, "stored_s": stored_s,
        "evidently_s": evidently_s, "ratios": ratios, "target": TARGET,
    }  # fmt: skip
    (RESULTS / "metrics_speed.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))
    return 0


def _store(clickhouse: ClickHouse, table: pa.Table) -> float:
    began = time.perf_counter()
    for first in range(0, len(table), _BLOCK):
        part = table.slice(first, _BLOCK)
        for name, block in (("predictions", predictions(part)), ("feedback", feedback(part))):
            clickhouse.client.insert_arrow(name, block, database=clickhouse.database, settings=dict(INSERT_SETTINGS))
    return time.perf_counter() - began


def _quality(clickhouse: ClickHouse) -> list[Quality]:
    """Of the reference and of what is looked at."""
    halves = Window.tumbling(timedelta(days=DAYS / 2))
    origin = int(BEGIN.timestamp()) % halves.size_s
    if origin:
        raise RuntimeError("windows are aligned to 1970: the rows have to begin with one")
    return quality(clickhouse, Windows(MODEL, Outcome(OUTCOME), halves), Kind.CLASSIFICATION)


def _shifts(clickhouse: ClickHouse) -> dict[str, float]:
    """How far each feature moved, by its name."""
    until = BEGIN + timedelta(days=DAYS)
    stretch = Stretch(MODEL, BEGIN, until, timedelta(days=DAYS / 2))
    found = distributions(clickhouse, stretch)
    names = sorted({series for _, series in found if series.is_feature})
    return {series.name: _shift(found[BEGIN, series], found[half(), series]) for series in names}


def _shift(before: Distribution, after: Distribution) -> float:
    if before.numbers.n:
        levels = np.linspace(0.005, 0.995, 100)
        pairs = [(before.numbers.quantile(level), after.numbers.quantile(level)) for level in levels.tolist()]
        return float(np.mean([abs(one - other) for one, other in pairs])) / before.numbers.deviation
    categories = sorted(before.categories.keys() | after.categories.keys())
    p, q = (np.array([of.categories.get(name, 0) / max(1, of.texts) for name in categories]) for of in (before, after))
    middle = (p + q) / 2
    divergences = [float(np.sum(each * np.log2(np.where(each > 0, each / middle, 1)))) for each in (p, q)]
    return float(np.sqrt(max(0.0, sum(divergences) / 2)))


def _seconds(call: Callable[[], object], repeats: int) -> float:
    taken: list[float] = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken))


def _as_table(
    n: int, ours: dict[str, float], evidently: dict[str, float], ratios: dict[str, float], machine: Machine
) -> Table:
    table = Table(
        title=f"All metrics of a model with 50 features, {n:,} rows", caption=str(machine), caption_justify="left"
    )
    for heading in ("what", "Loopwatch s", "Evidently s", "times as fast", "target"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    whole = {"classification": ours["quality"], "classification and drift": sum(ours.values())}
    for name, factor in ratios.items():
        target = f"≥ {TARGET:g}: " + ("[green]met[/]" if factor >= TARGET else "[red]missed[/]")
        table.add_row(
            name, f"{whole[name]:.2f}", f"{evidently[name]:.1f}", f"{factor:.0f}",
            target if name.endswith("drift") else "",
        )  # fmt: skip
    return table


if __name__ == "__main__":
    sys.exit(main())
