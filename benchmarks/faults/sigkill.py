"""SIGKILL of the worker under load: at random moments, and at exact spots of a flush."""

import random
import sys
import time

from loopwatch.infra.clickhouse import ClickHouse

from .bench import Bench, Result, Scenario, concluded
from .killed_worker import SPOTS
from .run import Run
from .stream import Traits

RATE = 2500
KILLED_WORKER = (sys.executable, "-m", "benchmarks.faults.killed_worker")
# Small flushes: more of them, and more of each moment between two steps. Little memory: predictions wait in ClickHouse.
_SMALL = {"fetch_max_records": 300, "flush_linger_s": 0.2, "session_timeout_s": 2.0, "hot_state_bytes": 1 << 20}


def at_random(bench: Bench, quick: bool) -> Result:
    """Up to 1.5 s after the worker has begun to write."""
    kills = 3 if quick else 50
    run = bench.run("sigkill-random", Traits(late_s=4000), **_SMALL)
    rnd = random.Random(run.seed)
    try:
        for _ in range(kills):
            run.workers.start()
            _send_until_written(run)
            run.send_for(rnd.uniform(0.0, 1.5), RATE)
            run.workers.kill()
        run.workers.start()
        run.finish()
        return concluded(run, kills)
    finally:
        run.end()


def at_spots(bench: Bench, quick: bool) -> Result:
    """Before, during and after every insert, around the producer's flush, behind the commit record."""
    return kill_at(bench, [] if quick else all_spots(50, bench.seed))


def kill_at(bench: Bench, spots: list[str]) -> Result:
    """Have a worker kill itself at each of the spots (by default three that matter most)."""
    spots = spots or ["during:predictions", "before:kafka", "after:commit-record"]
    run = bench.run("sigkill-spots", Traits(late_s=4000), **_SMALL)
    rnd = random.Random(run.seed)
    missed: list[str] = []
    try:
        for spot in spots:
            env = {
                "FAULT_SPOT": spot,
                "FAULT_NTH": str(rnd.randint(1, 3)),
                "FAULT_DURING_S": f"{rnd.uniform(0.0005, 0.02):.4f}",
            }
            worker = run.workers.start(command=KILLED_WORKER, env=env)
            deadline = time.monotonic() + 40
            run.send_until(lambda _, w=worker, d=deadline: not w.running or time.monotonic() > d, RATE, lambda: None)
            if worker.running:
                missed.append(f"{spot} was never reached")
            run.workers.kill()
        run.workers.start()
        run.finish()
        return concluded(run, len(spots) - len(missed), *missed)
    finally:
        run.end()


def all_spots(n: int, seed: int) -> list[str]:
    """`n` spots: every one in turn, in random order."""
    rnd = random.Random(seed)
    spots: list[str] = []
    while len(spots) < n:
        spots += rnd.sample(SPOTS, len(SPOTS))
    return spots[:n]


def _send_until_written(run: Run, timeout_s: float = 40.0) -> None:
    """Send until the worker has written something since now."""
    clickhouse = ClickHouse(run.settings)
    before = run.received(clickhouse)
    deadline = time.monotonic() + timeout_s
    run.send_until(lambda _: run.received(clickhouse) > before or time.monotonic() > deadline, RATE // 2, lambda: None)
    clickhouse.close()


SCENARIOS = (
    Scenario("sigkill-random", "worker SIGKILLed at random moments", at_random),
    Scenario("sigkill-spots", "worker SIGKILLed at exact spots of a flush", at_spots),
)
