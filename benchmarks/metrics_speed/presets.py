"""Evidently's classification and drift presets over the rows of a file, in an environment of its own.

Reads ``{"rows": FILE, "half": MICROSECONDS}`` and writes ``{"seconds": {…}, "metrics": {…}}``; only running the reports
counts, neither reading nor importing.
"""

import json
import sys
import time

import pandas as pd
from evidently import BinaryClassification, DataDefinition, Dataset, Report
from evidently.presets import ClassificationPreset, DataDriftPreset


def main() -> None:
    """Run both presets together, and that of classification alone."""
    request = json.load(sys.stdin)
    frame = pd.read_parquet(request["rows"])
    definition = DataDefinition(
        numerical_columns=[name for name in frame.columns if name[0] == "n" and name[1:].isdigit()],
        categorical_columns=[name for name in frame.columns if name[0] == "t" and name[1:].isdigit()],
        classification=[
            BinaryClassification(target="label", prediction_labels="prediction", prediction_probas="score")
        ],
    )
    is_reference = frame["ts"].astype("int64") < request["half"]
    data = frame.drop(columns=["ts", "prediction_id"])
    current = Dataset.from_pandas(data[~is_reference].reset_index(drop=True), data_definition=definition)
    reference = Dataset.from_pandas(data[is_reference].reset_index(drop=True), data_definition=definition)
    seconds: dict[str, float] = {}
    answer: dict[str, float] = {}
    for name, presets in (
        ("classification", [ClassificationPreset()]),
        ("classification and drift", [ClassificationPreset(), DataDriftPreset()]),
    ):
        began = time.perf_counter()
        snapshot = Report(presets).run(current, reference)
        found = snapshot.dict()
        seconds[name] = time.perf_counter() - began
        for metric in found["metrics"]:
            if isinstance(metric["value"], int | float):
                answer[metric["metric_name"].split("(")[0]] = float(metric["value"])
    json.dump({"seconds": seconds, "metrics": answer}, sys.stdout)


if __name__ == "__main__":
    main()
