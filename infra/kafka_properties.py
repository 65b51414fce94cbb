"""What each node of a test cluster of Apache Kafka is told in its `server.properties`."""

from collections.abc import Mapping
from pathlib import Path


def node_properties(node: int, ports: Mapping[int, int], controller_ports: Mapping[int, int], data_dir: Path) -> str:
    """Return the `server.properties` of `node`, one of those that `ports` and `controller_ports` list.

    Durable as a production cluster (three nodes: three replicas, two in sync), quick to notice what a test does to it,
    and small: its threads and buffers are a few megabytes beside the heap.
    """
    replicas = len(ports)
    voters = ",".join(f"{voter}@127.0.0.1:{port}" for voter, port in controller_ports.items())
    properties: dict[str, object] = {
        "node.id": node,
        "process.roles": "broker,controller",
        "controller.quorum.voters": voters,
        "listeners": f"PLAINTEXT://127.0.0.1:{ports[node]},CONTROLLER://127.0.0.1:{controller_ports[node]}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{ports[node]}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": data_dir,
        # Topics are made by those who need them, never by a misspelt name.
        "auto.create.topics.enable": "false",
        "unclean.leader.election.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": min(replicas, 2),
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": 3,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": min(replicas, 2),
        "transaction.state.log.num.partitions": 3,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": min(replicas, 2),
        "message.max.bytes": 16 << 20,
        "replica.fetch.max.bytes": 16 << 20,
        # Events replayed from years ago carry timestamps of then: no retention may delete them under a test.
        "log.retention.ms": -1,
        # Quick: no wait for more members of a group, short sessions allowed, a dead broker noticed in 2 s.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "broker.heartbeat.interval.ms": 400,
        "broker.session.timeout.ms": 2000,
        "replica.lag.time.max.ms": 5000,
        # Small: the cleaner alone takes 128 MB by default.
        "log.cleaner.dedupe.buffer.size": 4 << 20,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "num.recovery.threads.per.data.dir": 1,
        "background.threads": 2,
    }
    return "".join(f"{name}={value}\n" for name, value in properties.items())
