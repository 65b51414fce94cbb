"""A few of the fault runs, small: the worker killed at exact spots, answers of inserts lost, poison."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.faults import inputs, sigkill
from benchmarks.faults.bench import Bench, Result

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One Kafka and one ClickHouse for these tests; each has topics and a database of its own."""
    directory: Path = tmp_path_factory.mktemp("faults")
    with Bench(directory, seed=1) as shared:
        yield shared


def assert_exact(result: Result) -> None:
    """Nothing lost, doubled or wrong, the ledger balances, and the fault did happen."""
    assert (result.verdict.problems, result.verdict.exact) == ({}, True)
    assert result.runs > 0


def test_a_worker_killed_at_exact_spots_of_a_flush_loses_and_doubles_nothing(bench: Bench) -> None:
    result = sigkill.kill_at(bench, ["during:predictions", "before:kafka", "after:commit-record"])

    assert_exact(result)
    assert result.runs == 3, result.notes


def test_inserts_whose_answer_is_lost_are_stored_once(bench: Bench) -> None:
    assert_exact(inputs.lost_answers(bench, quick=True))


def test_poison_goes_to_the_dead_letters_with_reasons_and_the_rest_is_right(bench: Bench) -> None:
    assert_exact(inputs.some_poison(bench, quick=True))
