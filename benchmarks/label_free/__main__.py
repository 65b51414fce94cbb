"""How far estimates are from what came out: ``python -m benchmarks.label_free``.

Chunks of 5,000 predictions; accuracy, ROC AUC and F1 are estimated when a chunk ends, from labels known by then, and
compared with what came out once every label was there: Loopwatch, NannyML's CBPE (in an environment of its own, made at
the first run) and "as in the reference". First with the labels that are known when the model begins, the same for all;
then with those known at the end of each chunk, again the same for all. No estimate sees a label before its time.
Hotel bookings and electricity are not part of the repository: LOOPWATCH_SHARED_DATA names the folder they are in.
Writes ``benchmarks/results/label_free.json``.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from loopwatch.detectors.quality.estimates import Estimate
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.settings import Settings
from loopwatch.infra.tables import apply_tables
from loopwatch.schemas.errors import LoopwatchError
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from ..clickhouse_process import clickhouse_process
from ..machine import Machine
from ..throughput import RESULTS
from . import loopwatch_estimates, nannyml_estimates
from .stream import CHUNK, METRICS, Floats, Stream, references
from .streams import STREAMS


class Result(Struct, frozen=True):
    """Errors of one method on one stream: mean absolute, and mean, over its chunks; by metric.

    `held`: the share of chunks in which its 95 % interval held what came out; None without intervals.
    """

    stream: str
    labels: str
    method: str
    chunks: int
    mean_absolute_error: dict[str, float]
    mean_error: dict[str, float]
    held: dict[str, float] | None
    estimates: list[list[float]]
    realised: list[list[float]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    options = _options(arguments)
    console, machine = Console(), Machine.here()
    try:
        streams = [STREAMS[name]() for name in options.stream or STREAMS]
    except LoopwatchError as exc:
        sys.exit(str(exc))
    python = nannyml_estimates.environment()
    results: list[Result] = []
    with clickhouse_process() as server:
        settings = Settings(clickhouse_url=server.url, clickhouse_database="label_free")
        clickhouse = ClickHouse(settings)
        apply_tables(clickhouse, settings)
        for stream in streams:
            results += _measure(clickhouse, python, stream)
    console.print(_as_table(results, machine))
    RESULTS.mkdir(exist_ok=True)
    document = {"machine": machine, "nannyml": nannyml_estimates.pins(), "chunk": CHUNK, "results": results}
    (RESULTS / "label_free.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))


def _measure(clickhouse: ClickHouse, python: Path, stream: Stream) -> Iterator[Result]:
    models = {"Loopwatch": stream.name}
    if stream.segments:
        models["Loopwatch, scores alone"] = f"{stream.name}, scores alone"
    for method, model in models.items():
        loopwatch_estimates.store(clickhouse, stream, model, segments=method == "Loopwatch")
    realised = [stream.realised(stream.labelled(chunk.since_us, chunk.until_us)) for chunk in stream.chunks]
    for refreshed, labels in ((False, "of the beginning"), (True, "so far")):
        found = {
            "as in the reference": [
                stream.realised(stream.labelled(stream.reference_us, before, known_by))
                for _, before, known_by in references(stream, refreshed=refreshed)
            ],
            "NannyML CBPE": nannyml_estimates.estimates(python, stream, refreshed=refreshed),
        }
        intervals = {
            method: loopwatch_estimates.estimates(clickhouse, stream, model, refreshed=refreshed)
            for method, model in models.items()
        }
        found |= {method: [[each.value for each in row] for row in rows] for method, rows in intervals.items()}
        for method, estimates in found.items():
            errors = np.array(estimates) - np.array(realised)
            absolute, mean = _by_metric(np.abs(errors)), _by_metric(errors)
            held = _by_metric(_held(intervals[method], realised)) if method in intervals else None
            yield Result(stream.name, labels, method, len(errors), absolute, mean, held, estimates, realised)


def _held(intervals: list[list[Estimate]], realised: list[list[float]]) -> Floats:
    bounds = np.array([[(each.lower, each.upper) for each in row] for row in intervals])
    return ((bounds[..., 0] <= realised) & (realised <= bounds[..., 1])).astype(np.float64)


def _by_metric(of_chunks: Floats) -> dict[str, float]:
    """Means over chunks."""
    return dict(zip(METRICS, of_chunks.mean(axis=0).tolist(), strict=True))


def _as_table(results: Sequence[Result], machine: Machine) -> Table:
    caption = (
        "mean absolute error (mean error) over chunks, how often the interval held; bold: least with the same labels\n"
    )
    table = Table(title="Estimates before labels", caption=f"{caption}{machine}", caption_justify="left")
    for heading in ("stream", "labels", "method"):
        table.add_column(heading)
    for heading in ("chunks", *METRICS):
        table.add_column(heading, justify="right")
    for result in results:
        peers = [each for each in results if (each.stream, each.labels) == (result.stream, result.labels)]
        cells = []
        for name in METRICS:
            error = result.mean_absolute_error[name]
            text = f"{error:.4f} ({result.mean_error[name]:+.4f})"
            if result.held is not None:
                text += f" {result.held[name]:.0%}"
            is_least = error == min(peer.mean_absolute_error[name] for peer in peers)
            cells.append(f"[bold]{text}[/]" if is_least else text)
        table.add_row(
            result.stream, result.labels, result.method, str(result.chunks), *cells, end_section=result is peers[-1]
        )
    return table


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.label_free", description=__doc__)
    parser.add_argument("--stream", action="append", choices=STREAMS, help="one of them; may be given again")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
