"""Apache Kafka's server jars: downloaded once by Maven from what `kafka/pom.xml` names, then found on disk."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from ..schemas.errors import EmbeddedServiceError

POM = Path(__file__).parent / "kafka" / "pom.xml"

_DOWNLOAD_TIMEOUT_S = 600.0


def kafka_version() -> str:
    """Return the version of Apache Kafka that `kafka/pom.xml` asks for, like ``4.3.1``."""
    version = ET.parse(POM).findtext("{*}properties/{*}kafka.version")
    if not version:
        raise EmbeddedServiceError(f"{POM} has no property kafka.version; put it back")
    return version


def java_command() -> str:
    """Return the path of `java`; raises EmbeddedServiceError with what to install if there is none."""
    home = os.environ.get("JAVA_HOME")
    path = shutil.which("java", path=f"{home}/bin") if home else None
    return path or _program("java", "openjdk-17-jre-headless")


def kafka_jars() -> list[Path]:
    """Return the jars of the class path, sorted; the first call on a machine downloads them (45 files, 45 MB).

    They are kept in `kafka/` of the directory that LOOPWATCH_CACHE names, else of `.loopwatch/` in the repository.
    Several processes may call at once: one downloads. Raises EmbeddedServiceError if Maven is missing or fails.
    """
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:8]
    target = _cache_directory() / "kafka" / f"{kafka_version()}-{digest}"
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with (target.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.is_dir():
                _download(target)
    return sorted(target.glob("*.jar"))


def _cache_directory() -> Path:
    named, repository = os.environ.get("LOOPWATCH_CACHE"), Path(__file__).resolve().parent.parent
    if named:
        return Path(named).resolve()
    return repository / ".loopwatch" if (repository / "pyproject.toml").is_file() else Path.home() / ".cache/loopwatch"


def _download(target: Path) -> None:
    maven = _program("mvn", "maven")
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        # Maven works in a copy: beside an installed package its own files may not be writable.
        shutil.copy(POM, scratch)
        jars = Path(scratch, "jars")
        command = [maven, "-B", "-q", "dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
        command.append("-DincludeScope=runtime")
        try:
            done = subprocess.run(
                command,
                cwd=scratch,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_DOWNLOAD_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as exc:
            raise EmbeddedServiceError(f"mvn has not got the jars of {POM} in {_DOWNLOAD_TIMEOUT_S:g} s") from exc
        if done.returncode or not jars.is_dir():
            end = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
            raise EmbeddedServiceError(f"mvn could not get the jars of {POM} (exit code {done.returncode}):\n{end}")
        jars.rename(target)


def _program(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise EmbeddedServiceError(f"a real Kafka needs {name}, which is not on PATH: apt-get install {package}")
    return path
