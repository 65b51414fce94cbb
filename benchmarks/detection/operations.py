"""Faults of a model's own series, as operators know them: ``python -m benchmarks.detection.operations``.

Simulated series (volume, click rate, error rate, latency, cost, share of missing values), hourly for six weeks and by
minutes for five days, with courses of the day and week, overdispersion and dependence. Each fault begins in the last
third and lasts 24 steps. Found: something is found within the fault. False: stretches of findings a week in the same
series without a fault, counted after the first third. Ours alarm at the monitor's probability; for
River's scorers each step size has the one threshold at which they err as often as `baseline` does, or once where that
does not err, found on the same series: that favours them. Writes ``benchmarks/results/operations.json``.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from loopwatch.detectors.anomaly.baseline import Baseline
from loopwatch.detectors.anomaly.kinds import Kind
from loopwatch.detectors.anomaly.points import Point
from loopwatch.detectors.anomaly.series import SeriesAnomalies
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from river import anomaly

from ..machine import Machine
from ..throughput import RESULTS

Numbers = npt.NDArray[np.float64]
Step = Literal["hours", "minutes"]
SECONDS: dict[Step, int] = {"hours": 3600, "minutes": 60}
LENGTH: dict[Step, int] = {"hours": 6 * 168, "minutes": 5 * 1440}
LASTS, APART = 24, 5
_MONTH_S, _SERIES = 28 * 86_400, 50


class Trial(Struct, frozen=True):
    """A series with a fault from `begin` to before `end`; without one, both are its length."""

    name: str
    fault: str
    step: Step
    kind: Kind
    values: Numbers
    n: npt.NDArray[np.int64] | None
    begin: int
    end: int


class Figures(Struct, frozen=True):
    """Of a detector and a fault: share found, and the median of the steps until then."""

    detector: str
    step: Step
    fault: str
    trials: int
    found: float
    delay: float | None


class False_(Struct, frozen=True):
    """Of a detector, in series without faults."""

    detector: str
    step: Step
    a_series_week: float


def _noise(random: np.random.Generator, length: int, dependence: float) -> Numbers:
    noise = random.normal(0, 1, length)
    for at in range(1, length):
        noise[at] += dependence * noise[at - 1]
    return noise


def _series(
    random: np.random.Generator, step: Step, rates: dict[str, Numbers]
) -> Iterator[tuple[str, Kind, Numbers, Numbers | None]]:
    length, seconds = LENGTH[step], SECONDS[step]
    hours = np.arange(length) * seconds / 3600
    course = (1 + 0.7 * np.sin(hours * 2 * np.pi / 24)) * np.where(hours // 24 % 7 > 4, 0.7, 1.0)
    expected = 400 * course * rates.get("volume", 1.0)
    volume = random.poisson(expected * random.gamma(200, 1 / 200, length)).astype(float)
    n = np.maximum(volume, 1).astype(np.int64)
    yield "volume", "count", volume, None
    for name, share in (("click rate", 0.10), ("error rate", 0.02), ("missing", 0.0)):
        chance = np.clip(share * rates.get(name, 1.0) + rates.get(f"{name} +", 0.0), 0, 1)
        yield name, "share", random.binomial(n, chance * np.ones(length)) / n, n.astype(float)
    busy = 40 * (1 + 0.15 * (course - 1)) * np.exp(0.02 * _noise(random, length, 0.5))
    yield "latency", "mean", busy * rates.get("latency", 1.0), n.astype(float)
    cost = 0.004 * np.exp(0.5 * random.normal(0, 1, length) / np.sqrt(n)) * rates.get("cost", 1.0)
    yield "cost", "mean", np.asarray(cost, dtype=np.float64), n.astype(float)


FAULTS: dict[str, tuple[str, Callable[[int], npt.NDArray[Any] | float]]] = {
    "volume to 0": ("volume", lambda lasts: 0.0),
    "volume to 20 %": ("volume", lambda lasts: 0.2),
    "volume doubled": ("volume", lambda lasts: 2.0),
    "click rate halved": ("click rate", lambda lasts: 0.5),
    "error rate x 3": ("error rate", lambda lasts: 3.0),
    "missing 0 to 1": ("missing +", lambda lasts: 1.0),
    "missing 0 to 0.10": ("missing +", lambda lasts: 0.10),
    "latency x 1.5": ("latency", lambda lasts: 1.5),
    "latency x 2.5": ("latency", lambda lasts: 2.5),
    "cost x 3": ("cost", lambda lasts: 3.0),
    "latency leaks 3 % a step": ("latency", lambda lasts: 1.03 ** np.arange(1, lasts + 1)),
}


def trials(seed: int, step: Step, fault: str | None) -> list[Trial]:
    """Series of one seed: the one that the fault is in, or all of them without one."""
    random, length = np.random.default_rng([seed, step == "hours"]), LENGTH[step]
    begin = int(random.integers(length * 2 // 3, length - LASTS)) if fault else length
    end = begin + LASTS if fault else length
    rates: dict[str, Numbers] = {}
    on = ""
    if fault:
        on, by = FAULTS[fault]
        usual = 0.0 if on.endswith("+") else 1.0
        rates[on] = np.full(length, usual)
        rates[on][begin:end] = by(LASTS)
    return [
        Trial(name, fault or "", step, kind, values, None if n is None else n.astype(np.int64), begin, end)
        for name, kind, values, n in _series(random, step, rates)
        if not fault or name == on.removesuffix(" +")
    ]


def points(trial: Trial) -> list[Point]:
    """What the monitor gives a detector."""
    step_us = SECONDS[trial.step] * 1_000_000
    ns = [None] * len(trial.values) if trial.n is None else trial.n.tolist()
    return [Point(at * step_us, value, n) for at, (value, n) in enumerate(zip(trial.values.tolist(), ns, strict=True))]


def baseline(trial: Trial) -> list[int]:
    """The monitor's default."""
    return [each.at for each in Baseline(trial.kind, _alarm(trial)).update(points(trial))]


def series_anomalies(trial: Trial) -> list[int]:
    """The detector of any series."""
    return [each.at for each in SeriesAnomalies(_alarm(trial)).update(points(trial))]


def _alarm(trial: Trial) -> float:
    return SECONDS[trial.step] / _MONTH_S / _SERIES


def gaussian(trial: Trial) -> list[float]:
    """River's GaussianScorer: the probability of no such value, as nines."""
    scorer, scores = anomaly.GaussianScorer(window_size=1_000, grace_period=100), []
    for value in trial.values.tolist():
        try:
            score = float(scorer.score_one({}, value))
        except TypeError:  # River's variance over a window was rounded to less than 0, and its deviation is complex
            score = 0.0
        scores.append(score)
        scorer.learn_one({}, value)
    varied = np.maximum.accumulate(trial.values) > np.minimum.accumulate(trial.values)
    return np.where(varied, scores, 0.0).tolist()


def deviation(trial: Trial) -> list[float]:
    """River's StandardAbsoluteDeviation."""
    scorer, scores = anomaly.StandardAbsoluteDeviation(), []
    for value in trial.values.tolist():
        scorer.learn_one({}, value)
        scores.append(abs(float(scorer.score_one({}, value))))
    return scores


def episodes(found: Sequence[int], since: int) -> int:
    """Findings that follow each other closely are one."""
    kept = [at for at in found if at >= since]
    return sum(1 for i, at in enumerate(kept) if i == 0 or at - kept[i - 1] > APART)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection.operations", description=__doc__)
    parser.add_argument("--trials", type=int, default=20, help="of each fault")
    parser.add_argument("--nulls", type=int, default=10, help="seeds of series without a fault")
    chosen = parser.parse_args(arguments)
    figures: list[Figures] = []
    wrong: list[False_] = []
    for step in SECONDS:
        nulls = [trial for seed in range(chosen.nulls) for trial in trials(1_000 + seed, step, None)]
        weeks = sum(len(each.values) * 2 / 3 * SECONDS[step] / 604_800 for each in nulls)
        detect: dict[str, Callable[[Trial], list[int]]] = {"baseline": baseline, "series_anomalies": series_anomalies}
        rates = {name: _rate([finds(each) for each in nulls], LENGTH[step], weeks) for name, finds in detect.items()}
        for name, scorer in (("River GaussianScorer", gaussian), ("River StandardAbsoluteDeviation", deviation)):
            threshold, rates[name] = _threshold(scorer, nulls, max(rates["baseline"], 1.0 / weeks), weeks)
            detect[name] = lambda trial, scorer=scorer, threshold=threshold: [
                at for at, score in enumerate(scorer(trial)) if score > threshold
            ]
        wrong += [False_(name, step, rate) for name, rate in rates.items()]
        for fault in FAULTS:
            faulty = [trial for seed in range(chosen.trials) for trial in trials(seed, step, fault)]
            figures += [_judged(name, finds, fault, faulty) for name, finds in detect.items()]
    machine = Machine.here()
    for step in SECONDS:
        Console().print(_as_table(step, figures, wrong, machine))
    RESULTS.mkdir(exist_ok=True)
    document = {"machine": machine, "trials": chosen.trials, "faults": figures, "false": wrong}
    (RESULTS / "operations.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2))


def _rate(found: Sequence[Sequence[int]], length: int, weeks: float) -> float:
    return sum(episodes(each, length // 3) for each in found) / weeks


def _threshold(
    scorer: Callable[[Trial], list[float]], nulls: Sequence[Trial], allowed: float, weeks: float
) -> tuple[float, float]:
    scores = [np.asarray(scorer(each)) for each in nulls]
    length = len(nulls[0].values)
    highest = np.sort(np.concatenate([each[length // 3 :] for each in scores]))[::-1]
    low, high = 0, len(highest) - 1
    while low < high:
        middle = (low + high + 1) // 2
        found = [np.flatnonzero(each > highest[middle]).tolist() for each in scores]
        low, high = (middle, high) if _rate(found, length, weeks) <= allowed else (low, middle - 1)
    found = [np.flatnonzero(each > highest[low]).tolist() for each in scores]
    return float(highest[low]), _rate(found, length, weeks)


def _judged(name: str, finds: Callable[[Trial], list[int]], fault: str, faulty: Sequence[Trial]) -> Figures:
    delays: list[int] = []
    for trial in faulty:
        within = [at - trial.begin for at in finds(trial) if trial.begin <= at < trial.end]
        delays += within[:1]
    share = len(delays) / len(faulty)
    return Figures(name, faulty[0].step, fault, len(faulty), share, median(delays) if delays else None)


def _as_table(step: Step, figures: Sequence[Figures], wrong: Sequence[False_], machine: Machine) -> Table:
    names = [each.detector for each in wrong if each.step == step]
    table = Table(title=f"Faults in {step}: found (median steps until then)", caption=str(machine))
    for column in ("fault", *names):
        table.add_column(column)
    for fault in FAULTS:
        of = {each.detector: each for each in figures if each.fault == fault and each.step == step}
        cells = [f"{of[name].found:.0%}" + (f" ({of[name].delay:g})" if of[name].found else "") for name in names]
        table.add_row(fault, *cells)
    rates = {each.detector: each.a_series_week for each in wrong if each.step == step}
    table.add_row("false a series-week", *(f"{rates[name]:.3f}" for name in names))
    return table


if __name__ == "__main__":
    main()
