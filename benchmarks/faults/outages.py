"""Services away: a broker, one of three brokers, ClickHouse; and the embedded stack, whose broker forgets."""

import random
import signal
import time

from loopwatch.infra.embedded_kafka import EmbeddedKafka
from loopwatch.infra.real_kafka import RealKafka

from ..clickhouse_process import ClickHouseProcess, clickhouse_process
from .bench import Bench, Result, Scenario, concluded
from .stream import Sent, Traits

RATE = 2000


def broker(bench: Bench, quick: bool) -> Result:
    """The only broker killed, five seconds away, back with its data."""
    times = 1 if quick else 3
    with RealKafka(data_dir=bench.directory / "one-broker") as kafka:
        run = bench.run("broker", kafka=kafka.bootstrap)
        try:
            run.workers.start()
            for _ in range(times):
                run.send_for(8, RATE)
                kafka.kill(1)
                run.send_for(5, RATE)
                kafka.restart(1)
            run.send_for(5, RATE)
            run.finish(flush_s=150)
            return concluded(run, times)
        finally:
            run.end()


def three_brokers(bench: Bench, quick: bool) -> Result:
    """Each of three brokers killed in turn, ten seconds away."""
    nodes = (1,) if quick else (1, 2, 3)
    with RealKafka(brokers=3) as kafka:
        run = bench.run("three-brokers", kafka=kafka.bootstrap, replication_factor=3)
        try:
            run.workers.start()
            for node in nodes:
                run.send_for(6, RATE)
                kafka.kill(node)
                run.send_for(10, RATE)
                kafka.restart(node)
            run.send_for(5, RATE)
            run.finish(flush_s=150)
            return concluded(run, len(nodes))
        finally:
            run.end()


def clickhouse_away(bench: Bench, quick: bool) -> Result:
    """Killed, and back on the same directory a minute later."""
    away_s = 10 if quick else 60
    with clickhouse_process() as server:
        run = bench.run("clickhouse-away", clickhouse=server.url, fetch_max_records=500)
        try:
            run.workers.start()
            run.send_for(6, RATE)
            server.process.kill()
            run.send_for(away_s, RATE // 2, run.workers.tend)
            server.start()
            run.send_for(5, RATE, run.workers.tend)
            run.finish()
            return concluded(run, 1)
        finally:
            run.end()


def clickhouse_frozen(bench: Bench, quick: bool) -> Result:
    """SIGSTOP for twenty seconds: it keeps its connections and answers nothing."""
    times, frozen_s = (1, 8) if quick else (2, 20)
    with clickhouse_process() as server:
        run = bench.run("clickhouse-frozen", clickhouse=server.url, fetch_max_records=500)
        try:
            run.workers.start()
            for _ in range(times):
                run.send_for(6, RATE, run.workers.tend)
                server.process.signal(signal.SIGSTOP)
                run.send_for(frozen_s, RATE // 2)
                server.process.signal(signal.SIGCONT)
            run.send_for(5, RATE, run.workers.tend)
            run.finish()
            return concluded(run, times)
        finally:
            run.end()


def embedded(bench: Bench, quick: bool) -> Result:
    """Stopped in order when all is stored."""
    return _embedded(bench, "embedded", 1 if quick else 3, killed=False)


def embedded_killed(bench: Bench, quick: bool) -> Result:
    """All of it killed in the middle of the work."""
    return _embedded(bench, "embedded-killed", 1 if quick else 6, killed=True)


def _embedded(bench: Bench, name: str, restarts: int, *, killed: bool) -> Result:
    """Start again on the same directory, send everything again, and more."""
    n, rnd = 2500, random.Random(bench.seed)
    kafka = EmbeddedKafka()
    server = ClickHouseProcess(bench.directory / name)
    try:
        kafka.start()
        server.start()
        run = bench.run(name, Traits(late=0.2), fetch_max_records=500, kafka=kafka.bootstrap, clickhouse=server.url)
        try:
            sent: list[Sent] = []
            for _ in range(restarts):
                fresh = run.stream.take(n)
                run.workers.start()
                run.sender.send(fresh)
                run.sender.flush(60)
                if killed:
                    run.wait(lambda clickhouse: run.received(clickhouse) > 0, 60)
                    time.sleep(rnd.uniform(0, 0.7))
                    run.truth.counted = False
                    run.workers.kill()
                    server.process.kill()
                else:
                    run.wait(run.all_read, 60)
                    run.workers.stop()
                    server.process.stop(20)
                kafka.stop()
                kafka.start()
                server.start()
                run.reconnect()
                # The broker has forgotten all of it, also what was never read.
                sent += fresh
                for record in sent:
                    run.truth.sent[record.is_action] += 1
                run.sender.send(sent)
            run.workers.start()
            run.send(n)
            run.finish()
            # Its broker tells end offsets that are short, and forgot the feedback of before.
            return concluded(run, restarts, feedback_topic=False)
        finally:
            run.end()
    finally:
        kafka.stop()
        server.process.kill()


SCENARIOS = (
    Scenario("broker", "the broker killed and restarted", broker),
    Scenario("three-brokers", "one of three brokers killed", three_brokers),
    Scenario("clickhouse-away", "ClickHouse killed, back after 60 s", clickhouse_away),
    Scenario("clickhouse-frozen", "ClickHouse stopped for 20 s by SIGSTOP", clickhouse_frozen),
    Scenario("embedded", "the embedded stack stopped and started, all sent again", embedded),
    Scenario("embedded-killed", "the embedded stack killed at work, all sent again", embedded_killed),
)
