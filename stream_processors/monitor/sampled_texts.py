"""Prompts and responses of generating models, in sampled rows of a window and of before it."""

from collections.abc import Iterator

import pyarrow as pa

from ...detectors.drift.compare import compare_rates
from ...detectors.drift.result import Drift, Shift
from ...detectors.drift.text import Texts, compare_texts
from ...detectors.drift.words import MOST_CHARACTERS, Text, texts_of, words_of
from ...infra.clickhouse import quote
from .answers import Answer
from .counted import Counted
from .hourly import ID, Hourly

PROMPT, RESPONSE = "prompt", "response"
WRITER = "(writer)"


def text_columns(name: str) -> dict[str, str]:
    """SQL of what is read of each prediction, by name."""
    return {
        WRITER: "entity_id",
        name: f"substringUTF8({_text(name)}, 1, {MOST_CHARACTERS})",
        _length(name): f"lengthUTF8({_text(name)})",
    }


def compare_sampled_texts(hourly: Hourly, name: str, before: pa.Table, now: pa.Table) -> Iterator[Answer]:
    """Prompts or responses, if the reference has any: are they missing, how long are they, which words have they?"""
    sides = [_texts(name, rows) for rows in (before, now)]
    if all(text is None for text in sides[0]):
        return
    ids, current = now.column(ID).to_pylist(), sides[1]
    of = texts_of(*sides)
    missing, _ = compare_rates(of[0].lengths, of[1].lengths, name=name)
    lacking = [id_ for id_, text in zip(ids, current, strict=True) if text is None]
    yield hourly.answer(missing, lacking, f"countIf({_text(name)} IS NULL) / count() AS missing")
    lengths, vocabulary = compare_texts(*of, name=name)
    grown = _grown(lengths)
    within = [
        id_
        for id_, text in zip(ids, current, strict=True)
        if text is not None and grown is not None and grown.low <= text.characters < grown.high
    ]
    counted = (_counted(side) for side in of)
    yield hourly.answer(lengths, within, f"avg(lengthUTF8({_text(name)})) AS characters", *counted)
    grown = _grown(vocabulary)
    having = [
        id_
        for id_, text in zip(ids, current, strict=True)
        if text is not None and grown is not None and grown.name in words_of(text.beginning)
    ]
    first = vocabulary.evidence[0].name if vocabulary.evidence else ""
    has_word = f"positionCaseInsensitiveUTF8({_text(name)}, {quote(first)}) > 0"
    yield hourly.answer(vocabulary, having, f"avg({has_word}) AS share")


def _texts(name: str, rows: pa.Table) -> list[Text | None]:
    columns = (rows.column(each).to_pylist() for each in (name, _length(name), WRITER))
    return [
        None if beginning is None else Text(beginning, characters, writer)
        for beginning, characters, writer in zip(*columns, strict=True)
    ]


def _grown(drift: Drift) -> Shift | None:
    largest = max(drift.evidence, key=lambda each: each.seen - each.expected, default=None)
    return largest if largest is not None and largest.seen > largest.expected else None


def _counted(texts: Texts) -> Counted:
    return Counted(texts.lengths.rows, texts.lengths.numbers)


def _length(name: str) -> str:
    return f"{name} (length)"


def _text(name: str) -> str:
    """SQL, NULL where there is none."""
    return f"JSONExtract(generation, {quote(name)}, 'Nullable(String)')"
