"""Two batches in flight, the second acknowledged first: the committed offset must wait for the first."""

import contextlib
import sys
import time
from collections import defaultdict
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from loopwatch.infra.child_process import ChildProcess

from .bench import Bench, Result, Scenario, concluded
from .run import Run
from .stream import Traits

HELD_WORKER = (sys.executable, "-m", "benchmarks.faults.held_back_worker")
_COMMITS_S = 5.0
"""Several commit intervals of the worker (1 s)."""


def play(bench: Bench, quick: bool) -> Result:
    """First with a group of its own, to see the commit follow once the first batch is acknowledged; then for real."""
    run = bench.run("two-in-flight", Traits(), fetch_max_records=100, stream_buffer_batches=16)
    release = bench.directory / f"release-{run.seed}"
    notes: list[str] = []
    try:
        for group in (f"{run.settings.consumer_group}-watched", run.settings.consumer_group):
            env = {"LOOPWATCH_CONSUMER_GROUP": group, "HELD_RELEASE": str(release)}
            worker = run.workers.start(command=HELD_WORKER, env=env)
            _wait_for_three_batches(run, worker)
            passed = _passed(run, group, worker)
            if passed:
                notes.append(f"committed past a batch that was not acknowledged: {passed}")
            if group != run.settings.consumer_group:
                release.touch()
                notes += _not_following(run, group, worker)
                release.unlink()
            run.workers.kill()
        run.workers.start()
        run.finish()
        result = concluded(run, 2)
        if notes:
            result.verdict.problems["commit"] = notes
        return result
    finally:
        run.end()


def _lines(run: Run) -> dict[TopicPartition, list[tuple[str, int, int]]]:
    """What the latest worker said: by partition, (held or acked, first offset, last offset)."""
    said: dict[tuple[str, int], list[tuple[str, int, int]]] = defaultdict(list)
    for line in (run.workers.directory / "worker-0.log").read_text(errors="replace").splitlines():
        word, *rest = line.split(" ")
        if word in ("held", "acked") and len(rest) == 4:
            said[rest[0], int(rest[1])].append((word, int(rest[2]), int(rest[3])))
    return {TopicPartition(*key): entries for key, entries in said.items()}


def _wait_for_three_batches(run: Run, worker: ChildProcess) -> None:
    """Send until on each partition one batch is held and two behind it are acknowledged."""
    log = run.workers.directory / "worker-0.log"
    Path(log).write_text("")

    def enough() -> bool:
        lines = _lines(run)
        return len(lines) == 2 * run.settings.partitions and all(len(entries) >= 3 for entries in lines.values())

    deadline = time.monotonic() + 60
    run.send_until(lambda _: enough() or time.monotonic() > deadline, 2500, lambda: None)
    if not enough() or not worker.running:
        raise RuntimeError(f"the held-back worker did not read on: {worker.log_tail()}")


def _passed(run: Run, group: str, worker: ChildProcess) -> list[str]:
    """Partitions whose committed offset went past the held batch, watched for some commit intervals."""
    deadline = time.monotonic() + _COMMITS_S
    passed: list[str] = []
    while not passed and time.monotonic() < deadline:
        held = {(tp.topic, tp.partition): entries[0][1] for tp, entries in _lines(run).items()}
        for tp, offset in _committed(run, group).items():
            if offset > held.get(tp, 0):
                passed.append(f"{tp[0]}[{tp[1]}] at {offset}, held from {held.get(tp)}")
        time.sleep(0.3)
    return passed


def _not_following(run: Run, group: str, worker: ChildProcess) -> list[str]:
    """Partitions whose committed offset does not come to the end of what is acknowledged."""
    deadline = time.monotonic() + 3 * _COMMITS_S
    behind: list[str] = ["nothing"]
    while behind and time.monotonic() < deadline:
        committed = _committed(run, group)
        behind = [
            f"{tp.topic}[{tp.partition}] committed {committed.get((tp.topic, tp.partition))}, acknowledged {last + 1}"
            for tp, entries in _lines(run).items()
            if committed.get((tp.topic, tp.partition), -1) != (last := max(entry[2] for entry in entries)) + 1
        ]
        time.sleep(0.3)
    return behind


def _committed(run: Run, group: str) -> dict[tuple[str, int], int]:
    consumer = Consumer({"bootstrap.servers": run.settings.kafka_bootstrap, "group.id": group, "log_level": 0})
    with contextlib.closing(consumer):
        wanted = [
            TopicPartition(topic, partition)
            for topic in run.settings.topics.inputs
            for partition in range(run.settings.partitions)
        ]
        return {(tp.topic, tp.partition): tp.offset for tp in consumer.committed(wanted, timeout=20)}


SCENARIOS = (Scenario("two-in-flight", "two batches in flight, the second acknowledged first", play),)
