"""Rules in table `rules`: workers that start at once agree, and who only reads finds what workers run."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.schemas.config import parse_config
from loopwatch.schemas.errors import ConfigError
from loopwatch.schemas.outcomes import LoopwatchConfig
from loopwatch.stream_processors.rule_epochs import outdated_rules, register_rules, registered_rules

DAY_US = 86_400_000_000


def config(model: str, outcome: dict[str, Any]) -> LoopwatchConfig:
    return parse_config({"models": {model: {"outcomes": {"it's": outcome}}}})


def test_workers_that_start_at_once_with_one_file_find_the_same_epochs(clickhouse: ClickHouse) -> None:
    register_rules(clickhouse, config("many", {"window": "1h"}), "before")
    changed = config("many", {"window": "2h"})
    with ThreadPoolExecutor(4) as threads:
        books = list(threads.map(lambda n: register_rules(clickhouse, changed, f"worker-{n}"), range(4)))
    assert [book.epochs.of("many", "it's") for book in books] == [1] * 4
    assert register_rules(clickhouse, changed, "later").epochs.of("many", "it's") == 1


def test_a_worker_with_an_older_file_is_outdated_and_its_restart_is_a_change(clickhouse: ClickHouse) -> None:
    old, new = config("two", {"window": "7d"}), config("two", {"window": "1h"})
    runs_old = register_rules(clickhouse, old, "one").epochs
    assert outdated_rules(clickhouse, runs_old) == []
    book = register_rules(clickhouse, new, "other")
    assert outdated_rules(clickhouse, runs_old) == [("two", "it's")]
    # What waits since the longer window must still be found.
    assert book.longest_window_us == 7 * DAY_US
    assert register_rules(clickhouse, old, "one").epochs.of("two", "it's") == 2


def test_who_reads_wants_the_rules_that_workers_run(clickhouse: ClickHouse) -> None:
    running = config("read", {"combine": "first"})
    with pytest.raises(ConfigError, match=r"models\.read\.outcomes\.it's: no worker runs this rule"):
        registered_rules(clickhouse, running, "read")
    register_rules(clickhouse, running, "worker")
    assert registered_rules(clickhouse, running, "read").epochs.of("read", "it's") == 0
    with pytest.raises(ConfigError, match="start the workers anew"):
        registered_rules(clickhouse, config("read", {"combine": "last"}), "read")
    # Models that no file names have one rule together.
    assert registered_rules(clickhouse, running, "never-configured").epochs.of("never-configured", "default") == 0
