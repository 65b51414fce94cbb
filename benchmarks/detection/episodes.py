"""Errors of a model on streams with a drift in each: what detectors are judged on. Made once, then read from a file.

A trial shuffles the stream, so that nothing drifts in it but what is put in. A Hoeffding tree (River's defaults) is
tested on each row, then trained with it, from the first row to the last; detectors hear of its errors after the first
quarter. The onset is drawn from the third fifth to the fourth: [0.5, 0.8) of the stream. What comes before the onset is
the same for all kinds of drift of a trial.
"""

import copy
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from river.tree import HoeffdingTreeClassifier

from ..throughput import ROOT
from .injection import Drift, Kind, Labelled, Row

CACHE = ROOT / ".loopwatch" / "detection"
TRAINED, FIRST_ONSET, LAST_ONSET = 0.25, 0.5, 0.8
WIDTH = 2_500
MODES = {"abrupt": 0, "gradual": WIDTH}


class Episode(NamedTuple):
    """The errors of one run: 0 and 1, each at its position in the stream; the drift begins at `onset`."""

    kind: Kind
    mode: str
    onset: int
    length: int
    positions: np.ndarray
    errors: np.ndarray


def episodes(name: str, stream: Labelled, trials: int, seed: int) -> list[Episode]:
    """Of each trial, kind and mode one, from the cache where it has them."""
    wanted = hashlib.sha256(repr((stream.names, len(stream.rows), stream.rows[:50], seed)).encode()).hexdigest()[:12]
    folder = CACHE / f"{name}-{wanted}"
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Episode] = []
    for trial in range(trials):
        path = folder / f"{trial}.npz"
        if not path.exists():
            _store(path, _trial(stream, np.random.default_rng([seed, trial])))
        found += _stored(path)
    return found


def _trial(stream: Labelled, rng: np.random.Generator) -> Iterator[Episode]:
    n = len(stream.rows)
    order = rng.permutation(n).tolist()
    rows, labels = [stream.rows[at] for at in order], [stream.labels[at] for at in order]
    onset = int(n * rng.uniform(FIRST_ONSET, LAST_ONSET))
    drift = Drift(stream, onset, rng)
    model = HoeffdingTreeClassifier()
    before = ((at, rows[at], labels[at]) for at in range(onset))
    positions, errors = _prequential(model, stream.names, before)
    heard = positions > int(n * TRAINED)
    for kind in Kind:
        for mode, width in MODES.items():
            then, then_errors = _prequential(copy.deepcopy(model), stream.names, drift.apply(kind, width, rows, labels))
            yield Episode(
                kind,
                mode,
                onset,
                n,
                np.concatenate([positions[heard], then]),
                np.concatenate([errors[heard], then_errors]),
            )


def _prequential(
    model: HoeffdingTreeClassifier, names: tuple[str, ...], events: Iterable[tuple[int, Row, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Positions, and whether the model was wrong there before it was trained with the row."""
    positions: list[int] = []
    errors: list[bool] = []
    for at, row, label in events:
        features = dict(zip(names, row, strict=True))
        positions.append(at)
        errors.append(model.predict_one(features) != label)
        model.learn_one(features, label)
    return np.array(positions, np.int32), np.array(errors, np.uint8)


def _store(path: Path, made: Iterable[Episode]) -> None:
    arrays: dict[str, np.ndarray] = {}
    for each in made:
        key = f"{each.kind.value}/{each.mode}"
        arrays[f"{key}/positions"], arrays[f"{key}/errors"] = each.positions, each.errors
        arrays["where"] = np.array([each.onset, each.length])
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, **arrays)
    partial.rename(path)


def _stored(path: Path) -> list[Episode]:
    with np.load(path) as arrays:
        onset, length = (int(number) for number in arrays["where"])
        return [
            Episode(kind, mode, onset, length, arrays[f"{key}/positions"], arrays[f"{key}/errors"])
            for kind in Kind
            for mode in MODES
            for key in [f"{kind.value}/{mode}"]
        ]
