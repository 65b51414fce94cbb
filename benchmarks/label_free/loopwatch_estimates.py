"""What Loopwatch says of each chunk: the rows in an embedded ClickHouse, estimates by the function that users have."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from loopwatch.detectors.quality.estimates import Estimate
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.schemas.outcomes import Outcome
from loopwatch.schemas.windows import Window
from loopwatch.stream_processors.evaluate.label_free import estimated
from loopwatch.stream_processors.evaluate.windows import Windows

from .stream import METRICS, NEVER_US, Stream, references

OUTCOME = Outcome("label", window=timedelta(days=400))
# One window, cut to the chunk by `since` and `until`.
_ALL_TIME = Window.tumbling(timedelta(days=200 * 365))


def store(clickhouse: ClickHouse, stream: Stream, model: str, *, segments: bool) -> None:
    """Insert the stream's predictions from its reference on, and the feedback of those that ever get a label."""
    rows = np.flatnonzero(stream.made_us >= stream.reference_us)
    answered = stream.known_us[rows] != NEVER_US
    stamp = pa.timestamp("us", "UTC")
    maps: Sequence[list[tuple[str, str]]] = [[]] * len(rows)
    if segments and stream.segments:
        values = zip(*([texts[row] for row in rows] for texts in stream.segments.values()), strict=True)
        maps = [list(zip(stream.segments, each, strict=True)) for each in values]
    shared = {
        "prediction_id": pa.array([f"{model}-{row}" for row in rows]),
        "model": pa.array([model] * len(rows)),
        "prediction": pa.array(np.where(stream.said[rows], "true", "false")),
        "prediction_value": pa.array(stream.said[rows].astype(np.float64)),
        "score": pa.array(stream.score[rows]),
        "segments": pa.array(maps, pa.map_(pa.string(), pa.string())),
        "_ingested_at": pa.array([datetime.now(UTC)] * len(rows), pa.timestamp("ms", "UTC")),
    }
    made = pa.array(stream.made_us[rows]).cast(stamp)
    clickhouse.client.insert_arrow("predictions", pa.table({**shared, "ts": made}), database=clickhouse.database)
    feedback = pa.table(
        {
            **shared,
            "outcome": pa.array([OUTCOME.name] * len(rows)),
            "status": pa.array(["matched"] * len(rows)),
            "label": pa.array(np.where(stream.positive[rows], "true", "false")),
            "label_value": pa.array(stream.positive[rows].astype(np.float64)),
            "prediction_ts": made,
            "action_ts": pa.array(np.where(answered, stream.known_us[rows], 0)).cast(stamp),
            "revision": pa.array(np.full(len(rows), 2), pa.uint32()),
        }
    )
    clickhouse.client.insert_arrow("feedback", feedback.filter(pa.array(answered)), database=clickhouse.database)


def estimates(clickhouse: ClickHouse, stream: Stream, model: str, *, refreshed: bool) -> list[list[Estimate]]:
    """Each chunk's metrics, as estimated when it ended; from the labels of the beginning alone unless `refreshed`."""
    found = []
    for chunk, _, known_by_us in references(stream, refreshed=refreshed):
        since, until, known_by = (_instant(each) for each in (chunk.since_us, chunk.until_us, known_by_us))
        windows = Windows(model, OUTCOME, _ALL_TIME, since=since, until=until)
        (metrics,) = estimated(clickhouse, windows, known_by).values()
        found.append([metrics[name] for name in METRICS])
    return found


def _instant(us: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=us)
