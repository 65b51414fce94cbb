"""Rows drawn from stored distributions are distributed as they say."""

import math

import numpy as np
import pytest
from loopwatch.detectors.drift.column import Kind
from loopwatch.detectors.drift.numbers import counts_of
from loopwatch.detectors.histogram import Bin, Histogram
from loopwatch.stream_processors.evaluate.panes import Distribution
from loopwatch.stream_processors.evaluate.samples import TARGET, drawn


def histogram(values: np.ndarray) -> Histogram:
    counts = counts_of(values)
    return Histogram(tuple(Bin(*map(int, each)) for each in zip(*counts, strict=True)))


@pytest.mark.parametrize("values", [np.random.default_rng(3).normal(2, 3, 50_000), np.arange(50_000) % 7 - 3.0])
def test_numbers_have_the_quantiles_of_the_histogram(values: np.ndarray) -> None:
    rows = drawn({"x": (Distribution(50_000, histogram(values)), Kind.NUMERIC)}, 1000)
    found = rows["x"].to_numpy()
    assert len(found) == 1000
    for level in (0.01, 0.25, 0.5, 0.75, 0.99):
        assert np.quantile(found, level) == pytest.approx(np.quantile(values, level), rel=0.02, abs=0.02)
    if float(values[0]).is_integer():
        assert set(found) == set(values)


def test_values_that_are_missing_stay_missing_and_shares_of_categories_hold() -> None:
    rows = drawn(
        {
            "x": (Distribution(1000, histogram(np.ones(750)), null=250), Kind.NUMERIC),
            "town": (Distribution(1000, categories={"a": 600, "b": 300}, other=100), Kind.CATEGORICAL),
            "gone": (Distribution(1000, null=1000), Kind.CATEGORICAL),
        },
        500,
    )
    assert rows["x"].null_count == 125
    counts = {each["values"]: each["counts"] for each in rows["town"].value_counts().to_pylist()}
    assert counts == {"a": 300, "b": 150, "(other)": 50}
    assert (rows["gone"].null_count, rows[TARGET].null_count, rows.num_rows) == (500, 500, 500)


def test_counts_can_be_added_and_leave_out_what_is_no_number() -> None:
    counts = counts_of([1.0, 1.0, -2.0, math.inf, math.nan])
    assert (counts.n.tolist(), counts.steps.tolist(), counts.squares.tolist()) == ([1, 2], [0.0, 0.0], [0.0, 0.0])
