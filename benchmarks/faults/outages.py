"""Services away: a broker, one of three brokers, ClickHouse; and the embedded stack, whose broker forgets."""

import signal
import time

from loopwatch.infra.embedded_kafka import EmbeddedKafka
from loopwatch.infra.real_kafka import RealKafka

from .bench import Bench, Result, Scenario, concluded
from .stack import ClickHouseProcess, Run, clickhouse_process
from .stream import Traits

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
    """Stopped and started on the same directory; then everything is sent again, and more."""
    restarts, n = (1, 4000) if quick else (3, 10_000)
    kafka = EmbeddedKafka()
    server = ClickHouseProcess(bench.directory / "embedded")
    try:
        kafka.start()
        server.start()
        run = bench.run("embedded", Traits(late=0.2), kafka=kafka.bootstrap, clickhouse=server.url)
        try:
            for _ in range(restarts):
                sent = run.stream.take(n)
                run.workers.start()
                run.sender.send(sent)
                run.sender.flush(60)
                run.wait(run.all_read, 120)
                _restart(run, kafka, server)
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


def _restart(run: Run, kafka: EmbeddedKafka, server: ClickHouseProcess) -> None:
    run.workers.stop()
    kafka.stop()
    server.process.stop(20)
    time.sleep(0.5)
    kafka.start()
    server.start()
    run.reconnect()


SCENARIOS = (
    Scenario("broker", "the broker killed and restarted", broker),
    Scenario("three-brokers", "one of three brokers killed", three_brokers),
    Scenario("clickhouse-away", "ClickHouse killed, back after 60 s", clickhouse_away),
    Scenario("clickhouse-frozen", "ClickHouse stopped for 20 s by SIGSTOP", clickhouse_frozen),
    Scenario("embedded", "the embedded stack stopped and started, all sent again", embedded),
)
