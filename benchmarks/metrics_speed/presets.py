"""Evidently's classification and drift presets over the rows; only running the reports counts, not importing it."""

import os
import time

import pyarrow as pa
import pyarrow.compute as pc

from .rows import half


def presets(table: pa.Table) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of both presets together and of classification alone, and the metrics that have one number."""
    # It would tell its makers that it was used. Its import takes ten seconds.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from evidently import BinaryClassification, DataDefinition, Dataset, Report
    from evidently.presets import ClassificationPreset, DataDriftPreset

    definition = DataDefinition(
        numerical_columns=[name for name in table.column_names if name[0] == "n" and name[1:].isdigit()],
        categorical_columns=[name for name in table.column_names if name[0] == "t" and name[1:].isdigit()],
        classification=[
            BinaryClassification(target="label", prediction_labels="prediction", prediction_probas="score")
        ],
    )
    is_reference = pc.less(table["ts"], pa.scalar(half(), table["ts"].type))
    columns = table.drop_columns(["ts", "prediction_id"])
    reference, current = (
        Dataset.from_pandas(columns.filter(mask).to_pandas(), data_definition=definition)
        for mask in (is_reference, pc.invert(is_reference))
    )
    seconds: dict[str, float] = {}
    metrics: dict[str, float] = {}
    for name, chosen in (
        ("classification", [ClassificationPreset()]),
        ("classification and drift", [ClassificationPreset(), DataDriftPreset()]),
    ):
        began = time.perf_counter()
        found = Report(chosen).run(current, reference).dict()
        seconds[name] = time.perf_counter() - began
        for metric in found["metrics"]:
            if isinstance(metric["value"], int | float):
                metrics[metric["metric_name"].split("(")[0]] = float(metric["value"])
    return seconds, metrics
