"""The labelled predictions that an estimate is calibrated with, as they were known at one instant."""

from collections import defaultdict
from datetime import datetime, timedelta

from msgspec import Struct

from ...detectors.label_free.calibration import BINS_PER_LOGIT, LAST_BIN, Calibration, LabelledBin, calibrate
from ...detectors.label_free.delays import BUCKETS, BUCKETS_PER_E, delay_weights
from ...infra.clickhouse import ClickHouse, quote
from ..lookups import instant as sql_instant
from ..records import micros_of
from .classes import has_label, is_positive
from .windows import Windows

LONGEST = timedelta(days=400)
"""How far back a reference goes: as long as an outcome may be waited for."""
STRATA = 50
"""So many combinations of segments, the most frequent ones, have a calibration of their own; the others share one."""
OTHERS = 0

SCORE_BIN = (
    f"toInt16(greatest(-{LAST_BIN}, least({LAST_BIN}, floor({BINS_PER_LOGIT} * "
    "log(assumeNotNull(score) / (1 - assumeNotNull(score)))))))"
)
"""SQL of `detectors.label_free.calibration.bin_of`."""
STRATUM = "cityHash64(toString(mapSort(segments)))"
"""SQL of a number for the segments of a row, in whichever order they were sent."""
# Weights are summed as whole numbers: sums of floats depend on who adds first.
_WEIGHT_UNIT = 10_000


class Reference(Struct, frozen=True):
    """Scored predictions made before `before` whose labels were known before `known_by`.

    `within`: only labels that took at most so long, to compare with predictions that had no more time.
    """

    windows: Windows
    before: datetime
    known_by: datetime
    within: timedelta | None = None

    def calibration(self, clickhouse: ClickHouse) -> Calibration | None:
        """What scores meant then; None when too few labels were known.

        Reads two bounded answers: how many predictions are how old and labels took how long (some hundred buckets), and
        sums of weights by stratum, bin of score and class.
        """
        ages, delays = self._histograms(clickhouse)
        if not delays:
            return None
        weights = delay_weights(ages, delays)
        weight = (
            f"toUInt64(round({_WEIGHT_UNIT} * {list(weights.of_age)}[1 + age] * {list(weights.of_delay)}[1 + delay]))"
        )
        sums = "toFloat64(sum(w)), toFloat64(sumIf(w, happened)), toFloat64(sum(w * w))"
        frequent = f"SELECT stratum FROM labelled GROUP BY stratum ORDER BY count() DESC, stratum LIMIT {STRATA}"
        rows = clickhouse.rows(
            f"WITH labelled AS (SELECT {STRATUM} AS stratum, {SCORE_BIN} AS bin, "
            f"{is_positive(self.windows.outcome.positive)} AS happened, {self._age('prediction_ts')} AS age, "
            f"{delay_bucket(self.delay_s)} AS delay, {weight} AS w FROM {self._labelled(clickhouse)}) "
            f"SELECT if(stratum IN ({frequent}), stratum, {OTHERS}) AS shared, bin, {sums} FROM labelled "
            "GROUP BY shared, bin ORDER BY shared, bin"
        )
        return calibrate(
            [
                LabelledBin(stratum, bin_, w / _WEIGHT_UNIT, positive / _WEIGHT_UNIT, squares / _WEIGHT_UNIT**2)
                for stratum, bin_, w, positive, squares in rows
                if w
            ]
        )

    @property
    def delay_s(self) -> str:
        """SQL of the seconds from a prediction to its label, for an expired one to the end of its window."""
        window_s = self.windows.outcome.window.total_seconds()
        taken = "(toUnixTimestamp64Micro(assumeNotNull(action_ts)) - toUnixTimestamp64Micro(prediction_ts)) / 1e6"
        return f"if(action_ts IS NULL, {window_s!r}, {taken})"

    def _histograms(self, clickhouse: ClickHouse) -> tuple[dict[int, int], dict[int, int]]:
        model, since = quote(self.windows.model), _instant(self.before - LONGEST)
        made = (
            f"SELECT 'made' AS what, {self._age('ts')} AS bucket, count() AS n FROM {clickhouse.database}.predictions "
            f"WHERE model = {model} AND ts >= {since} AND ts < {_instant(self.before)} AND score IS NOT NULL "
            "GROUP BY bucket"
        )
        known = f"SELECT 'known' AS what, {delay_bucket(self.delay_s)} AS bucket, count() AS n "
        known += f"FROM {self._labelled(clickhouse)} GROUP BY bucket"
        found: dict[str, dict[int, int]] = defaultdict(dict)
        for what, bucket, n in clickhouse.rows(f"{made} UNION ALL {known}"):
            found[what][bucket] = n
        return found["made"], found["known"]

    def _labelled(self, clickhouse: ClickHouse) -> str:
        conditions = [
            self.windows.feedback,
            has_label(self.windows.outcome.positive),
            "score IS NOT NULL",
            f"prediction_ts >= {_instant(self.before - LONGEST)}",
            f"prediction_ts < {_instant(self.before)}",
            f"toUnixTimestamp64Micro(prediction_ts) / 1e6 + {self.delay_s} < {micros_of(self.known_by)} / 1e6",
        ]
        if self.within is not None:
            conditions.append(f"{self.delay_s} <= {self.within.total_seconds()!r}")
        return f"{clickhouse.database}.feedback_current WHERE {' AND '.join(conditions)}"

    def _age(self, clock: str) -> str:
        return delay_bucket(f"({micros_of(self.known_by)} - toUnixTimestamp64Micro({clock})) / 1e6")


def delay_bucket(seconds: str) -> str:
    """SQL of `detectors.label_free.delays.bucket`."""
    return f"toUInt16(least({BUCKETS - 1}, floor({BUCKETS_PER_E} * log1p(greatest(0, {seconds})))))"


def _instant(at: datetime) -> str:
    return sql_instant(micros_of(at))
