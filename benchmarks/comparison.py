"""Repeated measurements of rows to medians, ratios and a table."""

from collections.abc import Mapping, Sequence
from statistics import median

from msgspec import Struct
from rich.table import Table

from .measurement import Measurement
from .rows import Row


class Ratio(Struct, frozen=True):
    """How many times as fast as row `of`; `target` is what it shall be at least, `met` whether it is."""

    of: str
    factor: float
    target: float | None
    met: bool | None


class Result(Struct, frozen=True):
    """One row of the table: medians of its runs."""

    letter: str
    title: str
    events: int
    pairs: int | None
    events_per_second: float
    slowest: float
    fastest: float
    cpu_us_per_event: float
    rss_bytes: int
    ratios: list[Ratio]
    runs: list[Measurement]


def compare(runs: Mapping[str, Sequence[Measurement]], rows: Sequence[Row]) -> list[Result]:
    """Medians of each row that has runs, and its ratios to the first row and to those that its targets name."""
    speeds = {letter: median(run.events_per_second for run in of_row) for letter, of_row in runs.items()}
    return [_result(row, list(runs[row.letter]), speeds, rows[0].letter) for row in rows if row.letter in runs]


def _result(row: Row, runs: list[Measurement], speeds: Mapping[str, float], limit: str) -> Result:
    targets = {target.of: target.factor for target in row.targets}
    ratios = []
    for of in dict.fromkeys([limit, *targets]):
        if of in speeds and of != row.letter:
            factor, target = speeds[row.letter] / speeds[of], targets.get(of)
            ratios.append(Ratio(of, factor, target, None if target is None else factor >= target))
    return Result(
        letter=row.letter,
        title=row.title,
        events=runs[0].events,
        pairs=runs[0].pairs,
        events_per_second=speeds[row.letter],
        slowest=min(run.events_per_second for run in runs),
        fastest=max(run.events_per_second for run in runs),
        cpu_us_per_event=median(run.cpu_us_per_event for run in runs),
        rss_bytes=int(median(run.rss_bytes for run in runs)),
        ratios=ratios,
        runs=runs,
    )


def as_table(results: Sequence[Result], caption: str) -> Table:
    """The results as a table for people."""
    table = Table(title="Throughput of one worker process", caption=caption, caption_justify="left")
    table.add_column("row")
    table.add_column("what", overflow="fold")
    for heading in ("events", "pairs", "events/s", "slowest–fastest", "CPU µs/event", "RSS MB"):
        table.add_column(heading, justify="right")
    table.add_column("ratios, targets")
    for result in results:
        table.add_row(
            f"({result.letter})",
            result.title,
            f"{result.events:,}",
            "" if result.pairs is None else f"{result.pairs:,}",
            f"{result.events_per_second:,.0f}",
            f"{result.slowest:,.0f}–{result.fastest:,.0f}",
            f"{result.cpu_us_per_event:.2f}",
            f"{result.rss_bytes / 1e6:,.0f}",
            "\n".join(map(_shown, result.ratios)),
        )
    return table


def _shown(ratio: Ratio) -> str:
    text = f"{ratio.factor:.3g} × ({ratio.of})"
    if ratio.target is None:
        return text
    return f"{text}, target ≥ {ratio.target:g}: " + ("[green]met[/]" if ratio.met else "[red]missed[/]")
