"""How near the estimated final share of a window comes to the truth: ``python -m benchmarks.completeness``.

Takes the hotel bookings (Antonio, Almeida & Nunes, Data in Brief 2019) as predictions made at booking, whose label
(check-out, cancellation, no-show) comes days to months later. For each attribution window and each week of bookings,
the share that will be labelled is estimated one, two and four weeks after the week's end, from nothing but what was
known then, and held against the share that was labelled in the end. Writes ``benchmarks/results/completeness.json``.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import msgspec
import numpy as np
from loopwatch.detectors.completeness.covariates import STRATA
from loopwatch.detectors.completeness.final_share import Cohort, Waiting, delays, final_share
from loopwatch.detectors.completeness.history import Sample, history
from loopwatch.detectors.quality.estimates import Estimate
from loopwatch.schemas.errors import LoopwatchError
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from .hotel import DAY_S, Bookings, read_bookings
from .machine import Machine
from .throughput import RESULTS

WINDOWS_D = (30, 60, 90, 180, 400)
AGES_D = (7, 14, 28)
WEEK_D = 7
FIRST_WEEK_D = 97
"""From the first booking: 2015-10-05, with three months of history."""
SAMPLE = 30_000
HISTORY_WINDOWS = 4
TARGET_POINTS = 3.0


class Week(Struct, frozen=True):
    """One week of bookings: shares estimated at an age, and the share that was labelled in the end."""

    estimate: Estimate
    kaplan_meier: float
    last_mature: float | None
    known: float
    truth: float


class Row(Struct, frozen=True):
    """Mean absolute errors in percentage points over the weeks, for one attribution window and age."""

    window_d: int
    age_d: int
    weeks: int
    ours: float
    kaplan_meier: float
    last_mature: float | None
    known: float
    bias: float
    coverage: float
    """Share of the weeks whose 95 % interval holds the truth."""
    covariates: dict[str, int]
    """How often each was chosen, over all estimates of the attribution window."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns the exit status: 2 without the data."""
    options = _options(arguments)
    try:
        bookings = read_bookings()
    except LoopwatchError as exc:
        print(exc, file=sys.stderr)
        return 2
    console, machine = Console(), Machine.here()
    with ProcessPoolExecutor(max_workers=options.processes) as pool:
        futures = [pool.submit(measure, bookings, window_d, options.every) for window_d in sorted(WINDOWS_D)]
        rows = [row for future in futures for row in future.result()]
    console.print(_as_table(rows, machine))
    RESULTS.mkdir(exist_ok=True)
    document = {"machine": machine, "target_points": TARGET_POINTS, "rows": rows}
    (RESULTS / "completeness.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))
    return 0


def measure(bookings: Bookings, window_d: int, every: int = 1) -> list[Row]:
    """The rows of one attribution window, over each `every`-th day of asking, a week apart."""
    weeks: dict[int, list[Week]] = defaultdict(list)
    covariates: dict[str, int] = defaultdict(int)
    last_week_d = bookings.last_label_d - window_d - WEEK_D
    for now_d in range(FIRST_WEEK_D + WEEK_D + AGES_D[0], last_week_d + WEEK_D + AGES_D[-1] + 1, WEEK_D * every):
        asked = {age_d: now_d - age_d - WEEK_D for age_d in AGES_D}
        asked = {age_d: start_d for age_d, start_d in asked.items() if FIRST_WEEK_D <= start_d <= last_week_d}
        for age_d, chosen, week in _as_of(bookings, now_d, window_d, asked):
            weeks[age_d].append(week)
            for name in chosen:
                covariates[name] += 1
    return [_row(window_d, age_d, weeks[age_d], dict(covariates)) for age_d in AGES_D]


def _as_of(
    bookings: Bookings, now_d: int, window_d: int, asked: dict[int, int]
) -> Iterator[tuple[int, tuple[str, ...], Week]]:
    """Weeks by age, from what was known at the beginning of day `now_d`."""
    made_d, delay_d = bookings.made_d, bookings.delay_d
    age_d = now_d - made_d
    known = delay_d <= age_d
    recent = np.flatnonzero((age_d > 0) & (age_d <= HISTORY_WINDOWS * window_d))
    taken = recent[np.sort(np.random.default_rng(now_d).permutation(len(recent))[:SAMPLE])]
    sample = Sample(
        age_d[taken] * DAY_S,
        np.where(known, delay_d, np.nan)[taken] * DAY_S,
        {name: values[taken] for name, values in bookings.numbers.items()},
        {name: values[taken] for name, values in bookings.texts.items()},
    )
    in_weeks = np.zeros(len(made_d), np.bool_)
    for start_d in asked.values():
        in_weeks |= (made_d >= start_d) & (made_d < start_d + WEEK_D)
    window_s = window_d * DAY_S
    waiting = in_weeks[taken] & ~(known & (delay_d <= window_d))[taken] & (age_d[taken] < window_d)
    table = history(sample, window_s)
    ours = delays(table, sample.ages_s[waiting])
    pooled = delays(history(Sample(sample.ages_s, sample.delays_s), window_s), sample.ages_s[waiting])
    mature = (made_d < now_d - window_d) & (made_d >= now_d - window_d - 4 * WEEK_D)
    for age, start_d in asked.items():
        of_week = np.flatnonzero((made_d >= start_d) & (made_d < start_d + WEEK_D))
        labelled = known[of_week] & (delay_d[of_week] <= window_d)
        waits = of_week[~labelled & (age_d[of_week] < window_d)]
        strata = np.zeros(len(waits), np.int64)
        for name, coding in ours.codings.items():
            values = bookings.numbers.get(name, bookings.texts.get(name))
            strata = strata * STRATA + coding.codes(values[waits])
        estimates = [
            final_share(each, Cohort(len(of_week), int(labelled.sum()), _waiting(of_stratum, age_d[waits])))
            for each, of_stratum in ((ours, strata), (pooled, np.zeros_like(strata)))
        ]
        yield (
            age,
            tuple(ours.codings),
            Week(
                estimates[0],
                estimates[1].value,
                float((delay_d[mature] <= window_d).mean()) if mature.any() else None,
                float(labelled.mean()),
                float((delay_d[of_week] <= window_d).mean()),
            ),
        )


def _waiting(strata: np.ndarray, age_d: np.ndarray) -> list[Waiting]:
    groups, n = np.unique(np.stack([strata, age_d]), axis=1, return_counts=True)
    return [
        Waiting(int(stratum), float(age) * DAY_S, int(number)) for stratum, age, number in zip(*groups, n, strict=True)
    ]


def _row(window_d: int, age_d: int, weeks: Sequence[Week], covariates: dict[str, int]) -> Row:
    errors = np.array([week.estimate.value - week.truth for week in weeks])
    mature = [abs(week.last_mature - week.truth) for week in weeks if week.last_mature is not None]
    inside = [week.estimate.lower - 1e-9 <= week.truth <= week.estimate.upper + 1e-9 for week in weeks]
    return Row(
        window_d,
        age_d,
        len(weeks),
        100 * float(np.abs(errors).mean()),
        100 * float(np.mean([abs(week.kaplan_meier - week.truth) for week in weeks])),
        100 * float(np.mean(mature)) if mature else None,
        100 * float(np.mean([week.truth - week.known for week in weeks])),
        100 * float(errors.mean()),
        float(np.mean(inside)),
        covariates,
    )


def _as_table(rows: Sequence[Row], machine: Machine) -> Table:
    table = Table(
        title="Estimated final share of a week of bookings: mean absolute error in points",
        caption=f"target ≤ {TARGET_POINTS:g}\n{machine}",
        caption_justify="left",
    )
    headings = ("window", "age", "weeks", "ours", "Kaplan–Meier", "last mature", "known so far", "bias", "95 % holds")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("by")
    for row in rows:
        of_window = sorted(row.covariates, key=lambda name: -row.covariates[name])[:3]
        table.add_row(
            f"{row.window_d} d", f"{row.age_d} d", str(row.weeks), f"{row.ours:.2f}", f"{row.kaplan_meier:.2f}",
            "–" if row.last_mature is None else f"{row.last_mature:.2f}", f"{row.known:.2f}", f"{row.bias:+.2f}",
            f"{100 * row.coverage:.0f} %", ", ".join(of_window),
            end_section=row.age_d == AGES_D[-1],
        )  # fmt: skip
    return table


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.completeness", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="ask each so many weeks")
    parser.add_argument("--processes", type=int, default=2, help="that work side by side")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
