"""What a worker says of itself while it runs: samples of its metrics and of its memory."""

import time
import urllib.request
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import psutil
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families


class Sample(Struct, frozen=True):
    """One look. `known_ids_bytes` is the filter of known ids: it grows with every id, up to a limit.

    `lag` is in records; `watermark_age_s` is how far the slowest partition's watermark is behind the clock.
    """

    at_s: float
    rss_bytes: int
    hot_bytes: int
    hot_predictions: int
    held_actions: int
    known_ids_bytes: int
    lag: int
    watermark_age_s: float
    cpu_s: float


class WorkerWatch:
    """Looks at one worker; times count from `began_s` of the monotonic clock."""

    def __init__(self, metrics_url: str, worker: psutil.Process, began_s: float) -> None:
        self._metrics_url = metrics_url
        self._worker = worker
        self._began_s = began_s
        self.samples: list[Sample] = []

    def look(self) -> Sample:
        """Take a sample. Blocks for one HTTP request.

        Raises OSError if the metrics don't answer and psutil.NoSuchProcess if the worker is gone.
        """
        with urllib.request.urlopen(self._metrics_url, timeout=30) as answer:
            values = _by_name(answer.read().decode())
        watermarks = values["loopwatch_watermark_seconds"]
        cpu = self._worker.cpu_times()
        sample = Sample(
            at_s=time.monotonic() - self._began_s,
            rss_bytes=self._worker.memory_info().rss,
            hot_bytes=int(sum(values["loopwatch_hot_state_bytes"])),
            hot_predictions=int(sum(values["loopwatch_hot_predictions"])),
            held_actions=int(sum(values["loopwatch_held_actions"])),
            known_ids_bytes=int(sum(values["loopwatch_known_ids_bytes"])),
            lag=int(sum(values["loopwatch_lag_records"])),
            watermark_age_s=time.time() - min(watermarks) if watermarks and min(watermarks) > 0 else 0.0,
            cpu_s=cpu.user + cpu.system,
        )
        self.samples.append(sample)
        return sample


class Trend(Struct, frozen=True):
    """A straight line through bytes over time. `error` is the standard error of the slope: what noise alone makes."""

    mb_per_minute: float
    error: float

    @classmethod
    def of(cls, at_s: Sequence[float], sizes: Sequence[int]) -> "Trend":
        """Fit it by least squares; needs three points."""
        minutes, megabytes = np.array(at_s) / 60, np.array(sizes) / 1e6
        slope, level = np.polyfit(minutes, megabytes, 1)
        left = megabytes - (slope * minutes + level)
        spread = float(((minutes - minutes.mean()) ** 2).sum())
        return cls(float(slope), float(np.sqrt((left**2).sum() / (len(minutes) - 2) / spread)))

    def __str__(self) -> str:
        return f"{self.mb_per_minute:+.2f} ± {self.error:.2f} MB/min"


def _by_name(text: str) -> dict[str, list[float]]:
    values: dict[str, list[float]] = defaultdict(list)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            values[sample.name].append(sample.value)
    return values
