"""Values a second of the detectors of concept drift, for the table of speeds."""

import time
from statistics import median

import numpy as np

from .contenders import CONTENDERS, Detect

VALUES, SLOW_VALUES, REPEATS = 100_000, 2_000, 3


def values_per_second() -> dict[str, float]:
    """Of each contender on errors, a tenth of them 1, and 1 in 5 after half of them: the median of three runs on one
    core, by the processor's time."""
    random = np.random.default_rng(1)
    speeds = {}
    for each in CONTENDERS:
        n = SLOW_VALUES if each.slow else VALUES
        values = (random.random(n) < np.repeat([0.1, 0.2], n // 2)).astype(float).tolist()
        speeds[each.name] = median(_speed(each.detect, values) for _ in range(REPEATS))
    return speeds


def _speed(detect: Detect, values: list[float]) -> float:
    began = time.process_time()
    detect(values)
    return len(values) / (time.process_time() - began)
