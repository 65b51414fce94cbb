"""Users' own files: read in pieces, merged by time, bad records reported where they stand."""

import gzip
import json
import tracemalloc
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loopwatch.producers.files import FileReplay, InvalidRecord, file_events
from loopwatch.schemas.errors import RejectReason, SettingsError
from loopwatch.schemas.events import Action, Generation, Prediction, Retrieved

START = datetime(2024, 7, 15, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def prediction(name: str, seconds: float, **fields: Any) -> dict[str, Any]:
    return {"prediction_id": name, "model": "m", "ts": at(seconds).isoformat(), **fields}


def action(name: str, seconds: float, **fields: Any) -> dict[str, Any]:
    return {"action_id": name, "prediction_id": "p", "name": "click", "ts": at(seconds).isoformat(), **fields}


def write_lines(path: Path, records: Iterable[dict[str, Any] | bytes]) -> Path:
    lines = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
    content = b"\n".join(lines) + b"\n"
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def replay_of(*paths: Path, **options: Any) -> tuple[FileReplay, list[InvalidRecord]]:
    invalid: list[InvalidRecord] = []
    return file_events(paths, on_invalid=invalid.append, **options), invalid


def ids(replay: FileReplay) -> list[str]:
    return [event.action_id if isinstance(event, Action) else event.prediction_id for event in replay]


def test_a_record_with_an_action_id_is_an_action_and_any_other_a_prediction(tmp_path: Path):
    replay, invalid = replay_of(write_lines(tmp_path / "e.jsonl", [prediction("p", 0), action("a", 1, value=3)]))
    assert list(replay) == [Prediction("p", "m", START), Action("a", "p", "click", at(1), value=3)]
    assert (invalid, replay.invalid, replay.position) == ([], 0, replay.size)


@pytest.mark.parametrize("name", ["e.ndjson", "e.json", "e.JSONL", "e.jsonl.gz"])
def test_json_lines_go_by_several_names_and_gzipped(tmp_path: Path, name: str):
    replay, _ = replay_of(write_lines(tmp_path / name, [prediction("p", 0), prediction("q", 1)]))
    assert ids(replay) == ["p", "q"]
    assert replay.position == replay.size > 0


def test_several_files_are_merged_by_time(tmp_path: Path):
    predictions = write_lines(tmp_path / "p.jsonl", [prediction(f"p{i}", i * 2) for i in range(5)])
    actions = write_lines(tmp_path / "a.jsonl", [action(f"a{i}", i * 3 + 0.5) for i in range(3)])
    assert ids(replay_of(predictions, actions)[0]) == ["p0", "a0", "p1", "a1", "p2", "p3", "a2", "p4"]


def test_a_file_that_is_not_sorted_keeps_its_own_order(tmp_path: Path):
    unsorted = write_lines(tmp_path / "u.jsonl", [prediction("late", 9), prediction("early", 1), prediction("mid", 5)])
    assert ids(replay_of(unsorted)[0]) == ["late", "early", "mid"]


def test_bad_lines_are_reported_with_their_place_and_reason_and_left_out(tmp_path: Path):
    lines = [
        prediction("p", 0),
        b"",
        b"{not json",
        b'{"action_id": "a"}',
        b"\xff\xfe",
        b"[" * 100_000,
        prediction("later", 2, features={"x": "y" * 3000}),
        prediction("q", 1),
        b"   ",
        b'{"prediction_id": "cut off"',
    ]
    path = write_lines(tmp_path / "bad.jsonl", lines)
    replay, invalid = replay_of(path, max_event_bytes=2000)
    assert ids(replay) == ["p", "q"]
    assert [(record.line, record.reason) for record in invalid] == [
        (3, RejectReason.NOT_JSON),
        (4, RejectReason.SCHEMA),
        (5, RejectReason.NOT_JSON),
        (6, RejectReason.TOO_LARGE),
        (7, RejectReason.TOO_LARGE),
        (10, RejectReason.NOT_JSON),
    ]
    assert replay.invalid == 6
    assert str(invalid[1]) == f"{path}:4: schema: Object missing required field `prediction_id`"


def test_a_byte_order_mark_and_windows_line_ends_are_taken(tmp_path: Path):
    path = tmp_path / "windows.jsonl"
    lines = [json.dumps(prediction(name, 0)).encode() for name in ("p", "q")]
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines))
    replay, invalid = replay_of(path)
    assert (ids(replay), invalid) == (["p", "q"], [])


def test_a_large_file_is_not_read_into_memory(tmp_path: Path):
    path = write_lines(
        tmp_path / "large.jsonl", (prediction(f"p{i}", i, features={"t": "x" * 500}) for i in range(20_000))
    )
    replay, _ = replay_of(path)
    tracemalloc.start()
    count = sum(1 for _ in replay)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < path.stat().st_size / 5


def parquet(path: Path, rows: dict[str, pa.Array], **options: Any) -> Path:
    pq.write_table(pa.table(rows), path, **options)
    return path


def test_parquet_with_structs_maps_and_timestamps(tmp_path: Path):
    generation = {"input_tokens": 7, "response": None, "retrieved": [{"doc_id": "d", "score": None}]}
    path = parquet(
        tmp_path / "p.parquet",
        {
            "prediction_id": pa.array(["p", "q"]).dictionary_encode(),
            "model": pa.array(["m", "m"]),
            "ts": pa.array([at(0), at(1)], pa.timestamp("ns", "Europe/Berlin")),
            "prediction": pa.array([True, None]),
            "score": pa.array([0.25, float("nan")]),
            "features": pa.array([{"a": 1.5, "b": "x"}, {"a": None, "b": "y"}]),
            "segments": pa.array([[("country", "de")], None], pa.map_(pa.string(), pa.string())),
            "scores": pa.array([{"x": 0.5, "y": None}, None]),
            "generation": pa.array([generation, None]),
            "somebody_elses": pa.array([b"\xff", b""]),
        },
        row_group_size=1,
    )
    replay, invalid = replay_of(path)
    assert list(replay) == [
        Prediction(
            "p",
            "m",
            at(0),
            prediction=True,
            score=0.25,
            scores={"x": 0.5},
            features={"a": 1.5, "b": "x"},
            segments={"country": "de"},
            generation=Generation(input_tokens=7, retrieved=[Retrieved("d")]),
        ),
        Prediction("q", "m", at(1), features={"a": None, "b": "y"}),
    ]
    assert (invalid, replay.position) == ([], replay.size)


def test_parquet_with_times_as_text_and_actions_among_it(tmp_path: Path):
    path = parquet(
        tmp_path / "mixed.parquet",
        {
            "action_id": pa.array([None, "a"]),
            "prediction_id": pa.array(["p", "p"]),
            "model": pa.array(["m", None]),
            "name": pa.array([None, "click"]),
            "ts": pa.array([at(0).isoformat(), at(1).isoformat()]),
        },
    )
    assert list(replay_of(path)[0]) == [Prediction("p", "m", at(0)), Action("a", "p", "click", at(1))]


def test_bad_parquet_rows_are_reported_by_their_number(tmp_path: Path):
    text = pa.array([b"p", b"\xff", b"", b"q"], pa.binary()).view(pa.string())
    columns = {"prediction_id": text, "model": pa.array(["m"] * 4), "ts": pa.array([at(i) for i in range(4)])}
    replay, invalid = replay_of(parquet(tmp_path / "bad.parquet", columns))
    assert ids(replay) == ["p", "q"]
    assert [(record.line, record.reason) for record in invalid] == [
        (2, RejectReason.NOT_UTF8),
        (3, RejectReason.SCHEMA),
    ]


def no_such_file(folder: Path) -> Path:
    return folder / "none.jsonl"


def another_kind(folder: Path) -> Path:
    return write_lines(folder / "e.csv", [])


def zipped_parquet(folder: Path) -> Path:
    return write_lines(folder / "e.parquet.gz", [])


def no_parquet(folder: Path) -> Path:
    return write_lines(folder / "e.parquet", [prediction("p", 0)])


def naive_times(folder: Path) -> Path:
    return parquet(folder / "e.parquet", {"ts": pa.array([datetime(2024, 7, 15)])})


@pytest.mark.parametrize("make", [no_such_file, another_kind, zipped_parquet, no_parquet, naive_times])
def test_a_file_that_cannot_be_replayed_is_refused_before_anything_is_sent(
    tmp_path: Path, make: Callable[[Path], Path]
):
    path = make(tmp_path)
    with pytest.raises(SettingsError, match=path.name):
        replay_of(path)


def test_an_archive_that_breaks_off_stops_the_replay(tmp_path: Path):
    path = write_lines(tmp_path / "e.jsonl.gz", [prediction(f"p{i}", i) for i in range(1000)])
    path.write_bytes(path.read_bytes()[:-20])
    replay, _ = replay_of(path)
    with pytest.raises(SettingsError, match="cannot be read any further"):
        list(replay)
