"""Apache Kafka itself without Docker: one or three brokers in KRaft mode on loopback, for tests and for use by hand.

``python -m loopwatch.infra.real_kafka --brokers 3 --port 9092`` prints ``ready BOOTSTRAP`` and runs until SIGTERM or
SIGINT. It needs Java 17 and, the first time, Maven.
"""

import argparse
import base64
import contextlib
import shutil
import signal
import sys
import tempfile
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from ..schemas.errors import EmbeddedServiceError
from .broker_metadata import known_brokers
from .child_process import ChildProcess, accepts_connections, free_port
from .kafka_jars import java_command, kafka_jars
from .kafka_properties import node_properties

_START_TIMEOUT_S = 90.0
_STOP_GRACE_S = 15.0

_JVM_OPTIONS = (
    "-Xms64m",
    "-Xmx320m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # half the time to ready; a broker of a test never runs long enough to earn it back
    "-Xshare:auto",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Dlog4j2.level=WARN",
    "-Dlog4j2.StatusLogger.level=OFF",
)


class RealKafka:
    """A cluster of one or three nodes, each broker and controller, as child processes. Nodes are counted from 1.

    >>> with RealKafka(brokers=3) as kafka:      # doctest: +SKIP
    ...     Producer({"bootstrap.servers": kafka.bootstrap, "acks": "all"})
    ...     kafka.kill(2)
    """

    def __init__(self, brokers: int = 1, data_dir: Path | None = None, port: int = 0) -> None:
        """Lay out a cluster whose node 1 listens on `port`, node 2 on the next one … (0: on free ports).

        Data and logs are kept in `data_dir`, and found again there by the next cluster of as many nodes; without one
        they go to a temporary directory, which `stop` removes.
        """
        if brokers not in (1, 3):
            raise EmbeddedServiceError(f"a test cluster has 1 or 3 brokers, not {brokers}")
        self.brokers = brokers
        self._data_dir = data_dir
        self._directory: Path | None = None
        self._ports = {node: port + node - 1 if port else free_port() for node in range(1, brokers + 1)}
        self._controller_ports = {node: free_port() for node in self._ports}
        self._nodes: dict[int, ChildProcess] = {}

    @property
    def bootstrap(self) -> str:
        """The addresses of all brokers for `bootstrap.servers`: the same after each restart."""
        return ",".join(f"127.0.0.1:{port}" for port in self._ports.values())

    def start(self) -> None:
        """Start all nodes and return once each broker has joined; with an empty directory, format it first.

        Raises EmbeddedServiceError if Java or Maven is missing, a port is taken, or a node ends or isn't ready in time
        (the message has the end of its log).
        """
        for port in self._ports.values():
            if accepts_connections(port):
                raise EmbeddedServiceError(
                    f"port {port} of 127.0.0.1 is taken; stop what listens there, or use another"
                )
        java, class_path = java_command(), ":".join(str(jar) for jar in kafka_jars())
        self._directory = self._data_dir or Path(tempfile.mkdtemp(prefix="loopwatch-kafka-"))
        try:
            for node in self._ports:
                self._write_configuration(self._directory, node)
            self._format([java, *_JVM_OPTIONS, "-cp", class_path, "kafka.tools.StorageTool"])
            for node in self._ports:
                home = self._directory / f"node-{node}"
                command = [java, *_JVM_OPTIONS, "-cp", class_path, "kafka.Kafka", str(home / "server.properties")]
                name = f"Kafka node {node} on 127.0.0.1:{self._ports[node]}"
                self._nodes[node] = ChildProcess(command, name=name, log_file=home / "kafka.log")
                self._nodes[node].start()
            for node in self._nodes:
                self._wait_until_joined(node, set(self._ports))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all nodes: in order when the data is kept, at once when it is thrown away. May be called at any time."""
        if self._data_dir is not None:
            # All at once: the last ones would wait for a quorum of controllers that is gone.
            for process in self._nodes.values():
                with contextlib.suppress(EmbeddedServiceError):
                    process.signal(signal.SIGCONT)
                    process.signal(signal.SIGTERM)
        for process in self._nodes.values():
            process.stop(_STOP_GRACE_S if self._data_dir is not None else 0)
        self._nodes.clear()
        if self._data_dir is None and self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
        self._directory = None

    def kill(self, node: int) -> None:
        """End one node by SIGKILL, as a crash would."""
        self._node(node).kill()

    def restart(self, node: int) -> None:
        """Stop one node in order (if it still runs), start it again and wait until it has joined."""
        process = self._node(node)
        process.stop(_STOP_GRACE_S)
        process.start()
        self._wait_until_joined(node, {node})

    def pause(self, node: int) -> None:
        """Freeze one node by SIGSTOP: it keeps its connections and answers nothing."""
        self._node(node).signal(signal.SIGSTOP)

    def resume(self, node: int) -> None:
        """Let a paused node go on."""
        self._node(node).signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        """Start the cluster."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the cluster."""
        self.stop()

    def _node(self, node: int) -> ChildProcess:
        if node not in self._nodes:
            raise EmbeddedServiceError(f"no node {node} has been started; there are {sorted(self._nodes) or 'none'}")
        return self._nodes[node]

    def _wait_until_joined(self, node: int, brokers: set[int]) -> None:
        """Block until `node` answers and names all of `brokers` as in the cluster."""
        process, port = self._node(node), self._ports[node]
        process.wait_until(lambda: accepts_connections(port), _START_TIMEOUT_S, poll_s=0.05)
        process.wait_until(lambda: brokers <= known_brokers(f"127.0.0.1:{port}"), _START_TIMEOUT_S, poll_s=0.1)

    def _format(self, storage_tool: list[str]) -> None:
        """Give each node's empty directory the metadata of a new cluster; leave formatted ones as they are."""
        assert self._directory is not None
        homes = [self._directory / f"node-{node}" for node in self._ports]
        homes = [home for home in homes if not (home / "data" / "meta.properties").exists()]
        cluster_id = base64.urlsafe_b64encode(b"L" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        tools: list[ChildProcess] = []
        try:
            for home in homes:
                command = [*storage_tool, "format", "-t", cluster_id, "-c", str(home / "server.properties")]
                tools.append(ChildProcess(command, name=f"formatting {home}", log_file=home / "format.log"))
                tools[-1].start()
            for tool in tools:
                if tool.wait_for_exit(_START_TIMEOUT_S):
                    raise EmbeddedServiceError(f"{tool.name} failed:\n{tool.log_tail()}")
        finally:
            for tool in tools:
                tool.kill()

    def _write_configuration(self, directory: Path, node: int) -> None:
        home = directory / f"node-{node}"
        home.mkdir(parents=True, exist_ok=True)
        properties = node_properties(node, self._ports, self._controller_ports, home / "data")
        (home / "server.properties").write_text(properties, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a cluster by hand until SIGTERM or SIGINT; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m loopwatch.infra.real_kafka", description=main.__doc__)
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1)
    parser.add_argument("--port", type=int, default=9092, help="of the first broker; the others have the next ones")
    parser.add_argument("--data", type=Path, help="directory to keep the data in (default: thrown away at the end)")
    options = parser.parse_args(arguments)
    asked_to_end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_end.set())
    try:
        with RealKafka(options.brokers, options.data, options.port) as kafka:
            print(f"ready {kafka.bootstrap}", flush=True)
            asked_to_end.wait()
    except EmbeddedServiceError as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
