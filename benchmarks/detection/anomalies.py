"""Anomaly detectors on the Numenta Anomaly Benchmark: ``python -m benchmarks.detection.anomalies``.

The series that are there (34 of 58), one configuration of each detector for all of them, NAB's scoring: one threshold
for each profile, best over the corpus. Beside it the score that each folder has by the threshold that is best for the
other folders, and each half of the series by that of the other half. The data is not part of the repository:
LOOPWATCH_SHARED_DATA names the folder that it is in. Writes ``benchmarks/results/anomalies.json``.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import msgspec
from loopwatch.schemas.errors import LoopwatchError
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from ..machine import Machine
from ..throughput import RESULTS
from .anomaly_peers import SCORERS, Scorer
from .nab import PROFILES, Judged, Series, judge, judge_unseen
from .nab_files import nab_series

TARGETS = {"standard": 74.9, "reward_low_FP": 67.0}
"""The best known on the full benchmark: ARTime, and CAD OSE."""


class Result(Struct, frozen=True):
    """One detector. Scores by profile: at the best threshold, and at thresholds from other folders or another half."""

    detector: str
    values_per_second: float
    judged: dict[str, Judged]
    folders_unseen: dict[str, float]
    halves_unseen: dict[str, float]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection.anomalies", description=__doc__)
    parser.add_argument("--detector", action="append", choices=SCORERS, help="one of them; may be given again")
    chosen = parser.parse_args(arguments).detector or SCORERS
    try:
        corpus = nab_series()
    except LoopwatchError as exc:
        sys.exit(str(exc))
    results = [_measure(name, SCORERS[name], corpus) for name in chosen]
    machine = Machine.here()
    Console().print(_as_table(results, corpus, machine))
    RESULTS.mkdir(exist_ok=True)
    document = {"machine": machine, "series": [each.name for each in corpus], "targets": TARGETS, "results": results}
    (RESULTS / "anomalies.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))


def _measure(name: str, scorer: Scorer, corpus: Sequence[Series]) -> Result:
    began = time.perf_counter()
    scored = [(series, scorer(series)) for series in corpus]
    taken = time.perf_counter() - began
    folders: dict[str, list[tuple[Series, Sequence[float]]]] = {}
    for series, scores in scored:
        folders.setdefault(series.name.partition("/")[0], []).append((series, scores))
    return Result(
        detector=name,
        values_per_second=sum(len(series.values) for series in corpus) / taken,
        judged={profile.name: judge(scored, profile) for profile in PROFILES},
        folders_unseen={profile.name: judge_unseen(list(folders.values()), profile) for profile in PROFILES},
        halves_unseen={profile.name: judge_unseen([scored[::2], scored[1::2]], profile) for profile in PROFILES},
    )


def _as_table(results: Sequence[Result], corpus: Sequence[Series], machine: Machine) -> Table:
    windows = sum(len(series.windows) for series in corpus)
    caption = (
        "NAB score, 100 at best: best threshold (threshold of other folders / of the other half of the series)\n"
        f"targets, of the best known on all 58 series: {TARGETS}\n{machine}"
    )
    title = f"Anomalies in {len(corpus)} series with {windows} windows"
    table = Table(title=title, caption=caption, caption_justify="left")
    table.add_column("detector")
    for heading in (*(profile.name for profile in PROFILES), "found", "false alarms", "values/s"):
        table.add_column(heading, justify="right")
    for result in results:
        standard = result.judged["standard"]
        cells = [
            f"{judged.score:.1f} ({result.folders_unseen[name]:.1f} / {result.halves_unseen[name]:.1f})"
            for name, judged in result.judged.items()
        ]
        speed = f"{result.values_per_second:,.0f}"
        table.add_row(result.detector, *cells, str(standard.found), str(standard.false_alarms), speed)
    return table


if __name__ == "__main__":
    main()
