"""Bad weather from outside: lost answers, poison, disorder of months, foreign clients."""

import random
import time
from datetime import timedelta

from loopwatch.infra.clickhouse import ClickHouse

from .bench import Bench, Result, Scenario, concluded
from .lossy_proxy import LossyProxy
from .poison import SMALL, poison
from .run import Run
from .sender import Sender
from .stream import Traits

RATE = 2500
EXIT_POISON = 65
MONTHS_S = 90 * 86_400.0


def lost_answers(bench: Bench, quick: bool) -> Result:
    """5 % of the inserts succeed and their answer never arrives; the worker tries again with the same token."""
    seconds = 6 if quick else 40
    with LossyProxy(bench.clickhouse.port, 0.2 if quick else 0.05, bench.seed) as proxy:
        run = bench.run("lost-answers", clickhouse=proxy.url, fetch_max_records=300, flush_linger_s=0.2)
        try:
            run.workers.start()
            run.send_for(seconds, RATE)
            run.finish()
            notes = [f"{proxy.lost} answers lost"] + ([] if proxy.lost else ["none was lost: no test"])
            return concluded(run, proxy.lost, *notes)
        finally:
            run.end()


def some_poison(bench: Bench, quick: bool) -> Result:
    """1 % of the records are no events, of every kind; a few are 5 MB."""
    n = 8000 if quick else 50_000
    run = bench.run("poison", Traits())
    rnd = random.Random(run.seed)
    try:
        run.workers.start()
        reasons: dict[str, int] = {}
        for bad in poison(n // 100, huge=2 if quick else 6):
            run.send(99)
            is_action = rnd.random() < 0.5
            run.sender.raw(is_action, bad.value, b"bad", rnd.randrange(run.settings.partitions))
            run.truth.poison[is_action] += 1
            reasons[bad.reason] = reasons.get(bad.reason, 0) + 1
        run.finish()
        result = concluded(run, 1)
        _check_reasons(run, reasons, result)
        return result
    finally:
        run.end()


def nothing_but_poison(bench: Bench, quick: bool) -> Result:
    """Good events, then poison only: the worker stops with status 65 and a reason. Made to go on, it lost nothing."""
    n = 2000 if quick else 20_000
    run = bench.run("all-poison", Traits(), poison_window=500)
    try:
        worker = run.workers.start()
        run.send(n)
        run.sender.flush(60)
        run.wait(run.all_read, 60)
        for number in range(4 * 1500):
            run.sender.raw(False, SMALL[number % len(SMALL)].value[:2000], b"bad", number % 4)
            run.truth.poison[False] += 1
        run.send(n)
        run.sender.flush(60)
        notes: list[str] = []
        code = worker.wait_for_exit(60)
        said = worker.log_tail(5)
        if code != EXIT_POISON or "LOOPWATCH_POISON_RATIO" not in said:
            notes.append(f"the worker ended with {code}, saying {said!r}")
        run.workers.forget()
        run.workers.start(env={"LOOPWATCH_POISON_RATIO": "1"})
        run.finish()
        result = concluded(run, 1)
        if notes:
            result.verdict.problems["exit"] = notes
        return result
    finally:
        run.end()


def disorder(bench: Bench, quick: bool) -> Result:
    """Shuffled, 5 % twice, 10 % before their prediction, 5 % months late, after a restart with a cold memory."""
    n = 6000 if quick else 60_000
    traits = Traits(duplicated=0.05, before_prediction=0.1, late=0.05, late_s=MONTHS_S, shuffled_s=1200)
    run = bench.run("disorder", traits, hot_state_bytes=1 << 20, held_actions=100)
    try:
        run.workers.start()
        run.send(n)
        run.sender.send(run.stream.rest(timedelta(days=40)))
        run.sender.flush(60)
        run.wait(run.all_read, 60)
        run.close_windows()
        run.wait(run.all_settled, 60)
        run.workers.stop()
        run.workers.start()
        late = run.stream.rest()
        run.sender.send(late)
        run.finish()
        return concluded(run, 1, f"{len(late)} actions months late")
    finally:
        run.end()


def foreign_clients(bench: Bench, quick: bool) -> Result:
    """Predictions placed by CRC32, actions with a random key, or none; the worker is killed a few times meanwhile."""
    kills = 1 if quick else 6
    run = bench.run("foreign", Traits(late_s=4000), fetch_max_records=500, session_timeout_s=2.0)
    rnd = random.Random(run.seed)
    sender = Sender(run.settings, "consistent_random")

    def send(seconds: float) -> None:
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            _send_as_strangers(run, sender, rnd, RATE // 10)
            time.sleep(0.1)

    try:
        for _ in range(kills):
            run.workers.start()
            send(rnd.uniform(5, 7))
            run.workers.kill()
        run.workers.start()
        send(4)
        for record in run.stream.rest():
            sender.raw(record.is_action, record.value, None)
        sender.flush(60)
        run.finish()
        clickhouse = ClickHouse(run.settings)
        ((forwarded,),) = clickhouse.rows(f"SELECT sum(n) FROM {clickhouse.database}.ledger WHERE class = 'forwarded'")
        clickhouse.close()
        return concluded(run, kills, f"{forwarded} records forwarded")
    finally:
        run.end()


def _send_as_strangers(run: Run, sender: Sender, rnd: random.Random, n: int) -> None:
    for record in run.stream.take(n):
        key: bytes | None = record.key.encode()
        if record.is_action:
            key = None if rnd.random() < 0.5 else rnd.randbytes(8)
        sender.raw(record.is_action, record.value, key)


def _check_reasons(run: Run, reasons: dict[str, int], result: Result) -> None:
    clickhouse = ClickHouse(run.settings)
    found = {
        reason: int(n)
        for reason, n in clickhouse.rows(
            f"SELECT reason, count() FROM {clickhouse.database}.dead_letters GROUP BY reason"
        )
    }
    clickhouse.close()
    if found != reasons:
        result.verdict.problems["reasons of dead letters"] = [f"{found}, not {reasons}"]


SCENARIOS = (
    Scenario("lost-answers", "inserts that succeed but whose answer is lost", lost_answers),
    Scenario("poison", "1 % poison", some_poison),
    Scenario("all-poison", "100 % poison: the worker stops, nothing is lost", nothing_but_poison),
    Scenario("disorder", "actions shuffled, doubled, early, months late", disorder),
    Scenario("foreign", "foreign partitioners and no keys, with SIGKILLs", foreign_clients),
)
