"""Evidently over sampled rows: its presets as HTML, its results as JSON, and what it says of each column."""

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import Struct

from ..detectors.drift.column import Kind as ColumnKind
from ..schemas.errors import LoopwatchError
from ..schemas.outcomes import Kind
from ..stream_processors.evaluate.samples import SAID, SCORE, TARGET

LEAST_LABELS = 30
"""Of both stretches, for the presets of quality."""
_INSTALL = "pip install 'loopwatch[reports]'"
_PRESETS = (Kind.CLASSIFICATION, Kind.MULTICLASS, Kind.REGRESSION)


class Verdict(Struct, frozen=True):
    """What Evidently says of one column."""

    method: str
    score: float
    threshold: float
    drifted: bool


class Found(Struct, frozen=True):
    """`verdicts` by column; the results as JSON; the files that were written; why there is none about quality."""

    verdicts: Mapping[str, Verdict]
    snapshot: str
    files: tuple[Path, ...]
    no_quality: str = ""


def evidently(
    reference: pa.Table, current: pa.Table, columns: Mapping[str, ColumnKind], kind: Kind | None, out: Path
) -> Found:
    """Run its drift preset; where both sides have labels, that of the model's kind too, into a file of its own.

    Columns that have no value on one side are left out: it refuses them.

    Raises:
        LoopwatchError: Evidently is not installed, or fails over drift.
    """
    # It would tell its makers that it was used.
    os.environ["DO_NOT_TRACK"] = "1"
    try:
        import evidently as library
        from evidently.presets import DataDriftPreset
    except ImportError as exc:
        raise LoopwatchError(f"reports need Evidently: {_INSTALL} ({exc})") from exc
    kept = [name for name in columns if all(side[name].null_count < side.num_rows for side in (reference, current))]
    if not kept:
        raise LoopwatchError("no column has values on both sides")
    definition = library.DataDefinition(
        numerical_columns=[name for name in kept if columns[name] is ColumnKind.NUMERIC],
        categorical_columns=[name for name in kept if columns[name] is not ColumnKind.NUMERIC],
    )
    preset = DataDriftPreset(columns=kept)
    try:
        drift = _run(library, preset, definition, current.select(kept), reference.select(kept), out, tested=True)
    except Exception as exc:
        raise LoopwatchError(f"Evidently failed: {type(exc).__name__}: {exc}") from exc
    verdicts, beside = _verdicts(drift), out.with_name(f"{out.stem}.quality{out.suffix}")
    before, now = (_answers(side, kind) for side in (reference, current))
    if min(before.num_rows, now.num_rows) < LEAST_LABELS:
        return Found(verdicts, _json({"drift": drift}), (out,), f"fewer than {LEAST_LABELS} labels on a side")
    try:
        preset, definition = _quality(
            library, kind, has_scores=SCORE in before.column_names and SCORE in now.column_names
        )
        quality = _run(library, preset, definition, now, before, beside)
    except Exception as exc:
        return Found(verdicts, _json({"drift": drift}), (out,), f"Evidently failed: {type(exc).__name__}: {exc}")
    return Found(verdicts, _json({"drift": drift, "quality": quality}), (out, beside))


def _run(
    library: Any,
    preset: Any,
    definition: Any,
    current: pa.Table,
    reference: pa.Table,
    out: Path,
    *,
    tested: bool = False,
) -> dict[str, Any]:
    """Its results; the page is written."""
    now, before = (library.Dataset.from_pandas(each.to_pandas(), definition) for each in (current, reference))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = library.Report([preset], include_tests=tested).run(now, before)
        run.save_html(str(out))
    return json.loads(run.json())


def _answers(side: pa.Table, kind: Kind | None) -> pa.Table:
    """Rows with labels, classes of two as integers, scores where all have one; no rows of kinds without a preset."""
    labelled = side.select([TARGET, SAID, SCORE]).filter(side[TARGET].is_valid())
    if kind not in _PRESETS:
        return labelled.slice(0, 0)
    if kind in (Kind.REGRESSION, Kind.MULTICLASS):
        return labelled.drop_columns([SCORE])
    named = {name: labelled[name].cast(pa.int64()) for name in (TARGET, SAID)}
    return pa.table(named if labelled[SCORE].null_count else {**named, SCORE: labelled[SCORE]})


def _quality(library: Any, kind: Kind | None, *, has_scores: bool) -> tuple[Any, Any]:
    """The preset of a kind, and its columns."""
    from evidently import presets

    match kind:
        case Kind.REGRESSION:
            of = library.Regression(target=TARGET, prediction=SAID)
            return presets.RegressionPreset(), library.DataDefinition(regression=[of])
        case Kind.MULTICLASS:
            of = library.MulticlassClassification(target=TARGET, prediction_labels=SAID)
        case _:
            of = library.BinaryClassification(
                target=TARGET, prediction_labels=SAID, prediction_probas=SCORE if has_scores else None, pos_label=1
            )
    return presets.ClassificationPreset(), library.DataDefinition(classification=[of])


def _verdicts(drift: Mapping[str, Any]) -> dict[str, Verdict]:
    configs = {each["config"]["column"]: each for each in drift["metrics"] if "column" in each["config"]}
    failed = {each["metric_config"]["params"].get("column") for each in drift["tests"] if each["status"] == "FAIL"}
    return {
        name: Verdict(each["config"]["method"], each["value"], each["config"]["threshold"], name in failed)
        for name, each in configs.items()
    }


def _json(results: Mapping[str, Any]) -> str:
    return msgspec.json.encode(results).decode()
