"""What the training data of a model looked like: table `references`, a distribution a feature or output."""

from collections.abc import Mapping
from datetime import datetime

import pyarrow as pa

from ...detectors.histogram import Bin, Histogram
from ...infra.clickhouse import ClickHouse, quote
from ..sink.inserts import Inserter, token_of
from .panes import Distribution, Series

_COUNT = pa.uint64()
_BIN = pa.struct([("bin", pa.int32()), ("n", _COUNT), ("steps", _COUNT), ("squares", _COUNT)])
_SCHEMA = pa.schema(
    [
        ("model", pa.string()), ("subject", pa.string()), ("is_feature", pa.bool_()), ("predictions", _COUNT),
        ("nulls", _COUNT), ("bins", pa.list_(_BIN)), ("categories", pa.map_(pa.string(), _COUNT)), ("other", _COUNT),
        ("source", pa.string()), ("_written_at", pa.timestamp("us", "UTC")),
    ]
)  # fmt: skip


def training_of(clickhouse: ClickHouse, model: str) -> dict[Series, Distribution]:
    """What was stored last, by feature and output; empty where nothing was."""
    rows = clickhouse.rows(
        "SELECT subject, is_feature, predictions, nulls, bins, categories, other "
        f"FROM {clickhouse.database}.references FINAL WHERE model = {quote(model)} AND _written_at = "
        f"(SELECT max(_written_at) FROM {clickhouse.database}.references WHERE model = {quote(model)})"
    )
    return {
        Series(subject, bool(is_feature)): Distribution(
            predictions, Histogram(tuple(Bin(*_counts(each)) for each in bins)), dict(categories), other, nulls
        )
        for subject, is_feature, predictions, nulls, bins, categories, other in rows
    }


def store_training(
    inserter: Inserter, model: str, distributions: Mapping[Series, Distribution], source: str, now: datetime
) -> None:
    """Store distributions in place of those there are.

    Raises:
        ServiceUnavailable: ClickHouse doesn't answer.
    """
    rows = [
        {
            "model": model, "subject": series.name, "is_feature": series.is_feature, "predictions": each.predictions,
            "nulls": each.null, "categories": sorted(each.categories.items()), "other": each.other, "source": source,
            "bins": [{"bin": b.bin, "n": b.n, "steps": b.steps, "squares": b.squares} for b in each.numbers.bins],
            "_written_at": now,
        }
        for series, each in distributions.items()
    ]  # fmt: skip
    inserter.insert("references", pa.Table.from_pylist(rows, _SCHEMA), token_of([f"references:{model}:{now}"]), ())


def _counts(bin_: Mapping[str, int] | tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    if isinstance(bin_, Mapping):
        return bin_["bin"], bin_["n"], bin_["steps"], bin_["squares"]
    return bin_
