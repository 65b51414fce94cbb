"""NannyML's estimates, in NannyML's own environment: reads a request on standard input, writes its answer to a file.

The request is JSON: `rows`, a Parquet file of columns made_us, known_us, score, said and positive, and `tasks`, each
with the reference's since_us, until_us and known_by_us, and the chunk's. The answer: a list of metrics for each task.
"""

import json
import sys
import warnings
from typing import Any

import pandas as pd

warnings.filterwarnings("ignore")
COLUMNS = ["score", "said", "positive"]


def main() -> None:
    """Answer the request; an estimator is fitted once for each reference."""
    import nannyml

    request = json.load(sys.stdin)
    rows = pd.read_parquet(request["rows"])
    fitted: dict[tuple[int, ...], Any] = {}
    answers = []
    for task in request["tasks"]:
        key = tuple(task["reference"])
        if key not in fitted:
            since, until, known_by = key
            made = (rows.made_us >= since) & (rows.made_us < until) & (rows.known_us < known_by)
            fitted = {key: nannyml.CBPE(
                metrics=request["metrics"], y_pred_proba="score", y_pred="said", y_true="positive",
                problem_type="classification_binary", chunk_size=request["chunk_size"],
            ).fit(rows.loc[made, COLUMNS])}  # fmt: skip
        since, until = task["chunk"]
        chunk = rows.loc[(rows.made_us >= since) & (rows.made_us < until), COLUMNS[:2]]
        table = fitted[key].estimate(chunk).filter(period="analysis").to_df()
        (answer,) = [[float(row[name, "value"]) for name in request["metrics"]] for _, row in table.iterrows()]
        answers.append(answer)
    with open(request["answer"], "w", encoding="utf-8") as file:
        json.dump({"version": nannyml.__version__, "estimates": answers}, file)


if __name__ == "__main__":
    main()
