"""The rows: predictions of a wide model with what became of them, half of them as a reference."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NUMERIC, CATEGORICAL = 40, 10
BEGIN = datetime(2025, 3, 3, tzinfo=UTC)
DAYS = 10
MODEL, OUTCOME = "wide", "label"
_MICROS = 86_400_000_000
_STAMP = pa.timestamp("us", "UTC")


def rows(n: int, seed: int = 5) -> pa.Table:
    """`n` rows in order of time: id, ts, score, prediction and label (0 or 1), 40 numbers and 10 texts."""
    rng = np.random.default_rng(seed)
    at = np.sort(rng.integers(0, DAYS * _MICROS, n))
    score = rng.random(n)
    columns: dict[str, pa.Array] = {
        "prediction_id": pa.array([f"{index:032x}" for index in range(n)]),
        "ts": pa.array(at + int(BEGIN.timestamp() * 1_000_000), _STAMP),
        "score": pa.array(score),
        "prediction": pa.array((score >= 0.5).astype(np.int8)),
        "label": pa.array((rng.random(n) < score).astype(np.int8)),
    }
    columns |= {f"n{index}": pa.array(rng.normal(index, 1 + index / 10, n)) for index in range(NUMERIC)}
    for index in range(CATEGORICAL):
        names = pa.array([f"c{each}" for each in range(3 + 3 * index)])
        columns[f"t{index}"] = pa.DictionaryArray.from_arrays(rng.integers(0, len(names), n), names).cast(pa.string())
    return pa.table(columns)


def half() -> datetime:
    """Before it is the reference, from it on what is looked at."""
    return BEGIN + timedelta(days=DAYS / 2)


def predictions(table: pa.Table) -> pa.Table:
    """The rows as those of table `predictions`."""
    numbers, texts = [f"n{index}" for index in range(NUMERIC)], [f"t{index}" for index in range(CATEGORICAL)]
    return (
        _shared(table)
        .append_column("ts", table["ts"])
        .append_column("features_num", _maps(table, numbers, pa.float64()))
        .append_column("features_cat", _maps(table, texts, pa.string()))
    )


def feedback(table: pa.Table) -> pa.Table:
    """The rows as those of table `feedback`: a label for each."""
    n, is_true = len(table), table["label"].cast(pa.bool_())
    labels = _booleans(is_true)
    return (
        _shared(table)
        .append_column("outcome", pa.array([OUTCOME] * n))
        .append_column("status", pa.array(["matched"] * n))
        .append_column("label", labels)
        .append_column("label_value", table["label"].cast(pa.float64()))
        .append_column("prediction_ts", table["ts"])
        .append_column("action_ts", table["ts"])
        .append_column("revision", pa.array(np.full(n, 2), pa.uint32()))
    )


def _shared(table: pa.Table) -> pa.Table:
    n = len(table)
    return pa.table(
        {
            "prediction_id": table["prediction_id"],
            "model": pa.array([MODEL] * n),
            "prediction": _booleans(table["prediction"].cast(pa.bool_())),
            "prediction_value": table["prediction"].cast(pa.float64()),
            "score": table["score"],
            "_ingested_at": pa.array([datetime.now(UTC)] * n, pa.timestamp("ms", "UTC")),
        }
    )


def _booleans(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(values, "true", "false")


def _maps(table: pa.Table, names: list[str], kind: pa.DataType) -> pa.Array:
    """A map of the named columns for each row."""
    n = len(table)
    keys = pa.DictionaryArray.from_arrays(np.tile(np.arange(len(names), dtype=np.int32), n), pa.array(names))
    columns = [table[name].combine_chunks().to_numpy(zero_copy_only=False) for name in names]
    values = np.stack(columns, axis=1).ravel()
    offsets = np.arange(n + 1, dtype=np.int32) * len(names)
    return pa.MapArray.from_arrays(offsets, keys.cast(pa.string()), pa.array(values, kind))
