"""Three workers; every ten seconds one joins, leaves, is frozen beyond its session, or is killed."""

import random
import signal
import time

from .bench import Bench, Result, Scenario, concluded
from .run import Run
from .stream import Traits

RATE = 2000
WORKERS = 3


class Churn:
    """Disturbs the workers of a run, by seed. A worker that leaves or is killed comes back ten seconds later."""

    def __init__(self, run: Run, period_s: float, seed: int) -> None:
        self.run = run
        self.period_s = period_s
        self.actions: list[str] = []
        self._random = random.Random(seed)
        self._next = time.monotonic() + period_s
        self._wakes: dict[int, float] = {}
        self._kinds: list[str] = []

    def __call__(self) -> None:
        """To be called often."""
        now = time.monotonic()
        for number, wakes_at in list(self._wakes.items()):
            if now >= wakes_at:
                del self._wakes[number]
                self.run.workers.signal(number, signal.SIGCONT)
        self.run.workers.tend()
        if now >= self._next:
            self._next = now + self.period_s
            self._disturb(now)

    def end(self) -> None:
        """Let frozen workers go on."""
        for number in self._wakes:
            self.run.workers.signal(number, signal.SIGCONT)
        self._wakes.clear()

    def _disturb(self, now: float) -> None:
        workers = self.run.workers
        awake = [number for number in workers.running() if number not in self._wakes]
        missing = [number for number in range(WORKERS) if number not in workers.running()]
        if missing:
            workers.start(missing[0])
            self.actions.append(f"join {missing[0]}")
            return
        self._kinds = self._kinds or self._random.sample(["stop", "kill", "freeze", "freeze"], 4)
        kind, number = self._kinds.pop(), self._random.choice(awake)
        self.actions.append(f"{kind} {number}")
        if kind == "stop":
            workers.stop(number)
        elif kind == "kill":
            workers.kill(number)
        else:
            workers.signal(number, signal.SIGSTOP)
            self._wakes[number] = now + self._random.uniform(12, 15)


def play(bench: Bench, quick: bool) -> Result:
    """Under load, with a session timeout of six seconds."""
    seconds, period_s = (45, 5) if quick else (180, 10)
    run = bench.run("churn", Traits(late_s=4000), fetch_max_records=500, session_timeout_s=6.0, hot_state_bytes=1 << 20)
    try:
        for number in range(WORKERS):
            run.workers.start(number)
        churn = Churn(run, period_s, run.seed)
        run.send_for(seconds, RATE, churn)
        churn.end()
        run.finish()
        return concluded(run, len(churn.actions), "; ".join(churn.actions))
    finally:
        run.end()


SCENARIOS = (Scenario("churn", "three workers joining, leaving, frozen, killed", play),)
