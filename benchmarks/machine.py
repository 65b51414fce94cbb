"""What a figure was measured on: figures of two machines, or of two versions, don't compare."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import psutil
from msgspec import Struct

PACKAGES = (
    "loopwatch",
    "aiokafka",
    "chdb-core",
    "clickhouse-connect",
    "confluent-kafka",
    "faust-streaming",
    "msgspec",
    "quixstreams",
)


class Machine(Struct, frozen=True):
    """The machine and the versions on it. `load` is the 1-minute load average before the run: a busy machine lies."""

    cpu: str
    cores: int
    memory_gb: float
    load: float
    system: str
    python: str
    packages: dict[str, str]

    @classmethod
    def here(cls) -> "Machine":
        """This machine, now."""
        return cls(
            cpu=_cpu_model(),
            cores=os.cpu_count() or 0,
            memory_gb=round(psutil.virtual_memory().total / 2**30, 1),
            load=round(os.getloadavg()[0], 2),
            system=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
            packages={name: _version(name) for name in PACKAGES},
        )

    def __str__(self) -> str:
        return (
            f"{self.cpu}, {self.cores} cores, {self.memory_gb:g} GB, {self.system}, Python {self.python}, load "
            f"{self.load:g} at the start\n" + ", ".join(f"{name} {number}" for name, number in self.packages.items())
        )


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        models = []
    return models[0] if models else platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
