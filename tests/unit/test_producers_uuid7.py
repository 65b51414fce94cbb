"""UUIDv7 ids: their layout, their order, and that they never repeat."""

import os
import random
import subprocess
import sys
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from loopwatch.producers.uuid7 import Uuid7, uuid7, uuid7_of

START = datetime(2013, 3, 1, 10, tzinfo=UTC)


def milliseconds(text: str) -> int:
    return uuid.UUID(text).int >> 80


def test_is_a_uuid_of_version_7_and_the_rfc_variant():
    made = uuid.UUID(uuid7())
    assert (made.version, made.variant, str(made)) == (7, uuid.RFC_4122, str(made).lower())


def test_starts_with_the_unix_time_in_milliseconds():
    before = time.time_ns() // 1_000_000
    # A generator of its own: the shared one may be ahead of the clock after another test.
    made = milliseconds(Uuid7()())
    assert before <= made <= time.time_ns() // 1_000_000


def test_ids_of_one_thread_increase_strictly():
    ids = [uuid7() for _ in range(50_000)]
    assert all(a < b for a, b in pairwise(ids))


def test_ids_of_several_threads_are_distinct_and_increase_in_each():
    made: list[list[str]] = []

    def make() -> None:
        made.append([uuid7() for _ in range(5_000)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(ids == sorted(ids) for ids in made)
    assert len({one for ids in made for one in ids}) == 20_000


def test_increase_when_the_clock_steps_back_and_when_a_millisecond_runs_out(monkeypatch: pytest.MonkeyPatch):
    clock = [2_000_000_000_000_000_000]
    monkeypatch.setattr(time, "time_ns", lambda: clock[0])
    make = Uuid7()
    ids = [make()]
    clock[0] -= 3_600 * 10**9
    ids.append(make())
    make._counter = (1 << 42) - 1
    ids += [make(), make()]
    assert ids == sorted(set(ids))
    assert milliseconds(ids[1]) == milliseconds(ids[0])
    assert milliseconds(ids[3]) == milliseconds(ids[0]) + 1


def test_seeding_python_does_not_repeat_ids(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(time, "time_ns", lambda: 2_000_000_000_000_000_000)
    state = random.getstate()
    random.seed(42)
    first = Uuid7()()
    random.seed(42)
    second = Uuid7()()
    random.setstate(state)
    assert first != second


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_makes_other_ids():
    # In a process of its own: threads of libraries may hold locks. The clock stands: only random bits tell ids apart.
    program = """
import os, time
from loopwatch.producers.uuid7 import uuid7
time.time_ns = lambda: 2_000_000_000_000_000_000
uuid7()
child = os.fork()
if child:
    assert os.waitpid(child, 0)[1] == 0
print(*(uuid7() for _ in range(1000)))
"""
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
    of_child, of_parent = (set(line.split()) for line in said.splitlines())
    assert len(of_child) == len(of_parent) == 1000
    assert of_parent.isdisjoint(of_child)


def test_ids_of_a_history_are_the_same_each_time_and_sort_by_time_then_sequence():
    order = [(START, 0), (START, 1), (START, 2**32 - 1), (START + timedelta(milliseconds=1), 0)]
    ids = [uuid7_of(ts, sequence, "flights") for ts, sequence in order]
    assert ids == sorted(set(ids))
    assert ids == [uuid7_of(ts, sequence, "flights") for ts, sequence in order]
    assert {uuid.UUID(one).version for one in ids} == {7}
    assert milliseconds(ids[0]) == START.timestamp() * 1000


def test_ids_of_another_namespace_differ():
    assert uuid7_of(START, 1, "flights") != uuid7_of(START, 1, "arrival")
