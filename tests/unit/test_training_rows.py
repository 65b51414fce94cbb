"""Training data is the same whichever kind of file it comes in, and a file that can't be meant is named."""

import csv
import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loopwatch.console.training_rows import Roles, training_rows
from loopwatch.schemas.errors import LoopwatchError
from loopwatch.stream_processors.evaluate.panes import Series

ROWS: list[dict[str, Any]] = [
    {"age": index * 0.5 if index % 10 else None, "country": ["de", "fr", None][index % 3], "new": index % 4 == 0,
     "visits": index % 7, "said": index % 2 == 0, "p": (index % 100) / 100, "id": f"u-{index}"}
    for index in range(12_000)
]  # fmt: skip
ROLES = Roles(prediction="said", score="p", ignore=("id",))
EXPECTED = {
    Series("age"), Series("country"), Series("new"), Series("visits"), Series("prediction", False),
    Series("score", False),
}  # fmt: skip

Whole = dict[Series, tuple[list[float], Counter[str]]]


def whole(path: Path, roles: Roles = ROLES) -> tuple[int, Whole]:
    """All rows: numbers in order, and texts."""
    rows = 0
    found: Whole = {}
    for n, columns in training_rows(path, roles):
        rows += n
        for series, column in columns.items():
            numbers, texts = found.setdefault(series, ([], Counter()))
            numbers += column.numbers[np.isfinite(column.numbers)].tolist()
            texts.update(column.texts)
    return rows, found


def write(path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    """In the format that the name says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.jsonl", "t.jsonl.gz"])
def test_every_kind_of_file_has_the_same_rows(tmp_path: Path, name: str) -> None:
    n, found = whole(write(tmp_path / name))
    assert n == len(ROWS)
    assert found.keys() == EXPECTED
    assert found[Series("age")] == ([row["age"] for row in ROWS if row["age"] is not None], Counter())
    assert found[Series("country")] == ([], Counter(row["country"] for row in ROWS if row["country"]))
    assert found[Series("new")] == ([], Counter({"true": 3000, "false": 9000}))
    assert found[Series("visits")][0] == [row["visits"] for row in ROWS]
    assert found[Series("prediction", False)][1] == Counter({"true": 6000, "false": 6000})
    assert found[Series("score", False)][0] == [row["p"] for row in ROWS]


@pytest.mark.parametrize("name", ["e.parquet", "e.jsonl"])
def test_events_name_their_features_and_outputs(tmp_path: Path, name: str) -> None:
    events = [
        {"prediction_id": row["id"], "model": "m", "ts": "2026-01-01T00:00:00Z", "prediction": row["said"],
         "score": row["p"], "features": {"age": row["age"], "visits": row["visits"]}}
        for row in ROWS
    ]  # fmt: skip
    path = write(tmp_path / name, events)
    if name == "e.jsonl":
        with path.open("a") as file:
            file.write('{"action_id": "a", "prediction_id": "u-1", "name": "label", "ts": "2026-01-01T00:00:00Z"}\n')
    n, found = whole(path, Roles(ignore=("visits",)))
    assert n == len(ROWS)
    assert found.keys() == {Series("age"), Series("prediction", False), Series("score", False)}
    assert found[Series("age")][0] == [row["age"] for row in ROWS if row["age"] is not None]
    with pytest.raises(LoopwatchError, match="are events, which name prediction and score themselves"):
        whole(path, Roles(score="age"))


def test_a_text_far_down_in_a_column_of_numbers_is_a_value_of_another_type(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = [*(str(each) for each in range(2_000_000, 2_700_000)), "NA", "", "unknown", "-1.5e3"]
    path.write_text("\n".join(["x", *(f"{line}," for line in lines)]).replace("x", "x,y", 1))
    n, found = whole(path, Roles())
    assert n == len(lines)
    numbers, texts = found[Series("x")]
    assert (len(numbers), numbers[-1], texts) == (700_001, -1500.0, Counter({"unknown": 1}))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("no.parquet", None, "cannot be read as Parquet"),
        ("no.csv", None, "cannot be read as CSV"),
        ("no.jsonl", None, "cannot be read"),
        ("t.parquet", b"x,y\n", "cannot be read as Parquet"),
        ("t.xlsx", b"x", "training data is .parquet, .csv or .jsonl"),
        ("t.jsonl", b"", "no rows"),
        ("t.csv", b"x,y\n", "no rows"),
        ("t.jsonl", b'{"x": 1}\n[1]\n', "t.jsonl:2: no JSON object"),
        ("t.jsonl", b'{"x": {"y": 1}}\n', "column x holds a dict, .*--ignore x"),
    ],
)
def test_a_file_that_is_no_training_data_is_named(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(LoopwatchError, match=said) as error:
        whole(tmp_path / name, Roles())
    assert str(tmp_path / name) in str(error.value)


@pytest.mark.parametrize("roles", [Roles(prediction="yhat"), Roles(score="yhat"), Roles(ignore=("id", "yhat"))])
def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path, roles: Roles) -> None:
    with pytest.raises(LoopwatchError, match=r"^--\w+ yhat: .* has age, country, new"):
        whole(write(tmp_path / "t.csv"), roles)


def test_a_column_of_times_is_no_feature_unless_it_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": [1.0], "at": pa.array([0], pa.timestamp("us"))}), path)
    with pytest.raises(LoopwatchError, match="column at is timestamp"):
        whole(path, Roles())
    assert whole(path, Roles(ignore=("at",)))[1].keys() == {Series("x")}
