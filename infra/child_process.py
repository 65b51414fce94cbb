"""Servers that run beside this process: a free port, a start, a wait until ready, and never one left behind."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Self

from ..schemas.errors import EmbeddedServiceError

# Below Linux's ephemeral ports (32768 and up): a client that keeps reconnecting to a stopped server there can be given
# the server's own port, connect to itself, and hold the port for good.
_PORTS = range(15_000, 32_000)

# Runs in the new process just before the server's own program: the kernel ends it as soon as its parent is gone.
_EXEC_WITH_DEATH_SIGNAL = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent process ended before its child began")
signal.pthread_sigmask(signal.SIG_SETMASK, ())  # a parent that holds SIGTERM back must not make its child do so
os.execvp(sys.argv[2], sys.argv[2:])
"""


def _new_spawner() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="loopwatch-spawn")


def _replace_spawner() -> None:
    global _spawner
    _spawner = _new_spawner()


# Linux sends the death signal when the *thread* that made the child ends, so all are made by one that lives to the end.
_spawner = _new_spawner()
os.register_at_fork(after_in_child=_replace_spawner)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on now.

    Raises EmbeddedServiceError if 200 ports tried at random are all taken.
    """
    for _ in range(200):
        # Not `random`: a test runner seeds it alike in each of its processes, which would then all pick the same port.
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise EmbeddedServiceError(
        f"found no free port on 127.0.0.1 in {_PORTS.start}-{_PORTS.stop - 1}; end what holds them"
    )


def accepts_connections(port: int) -> bool:
    """Tell whether something on 127.0.0.1 takes a TCP connection to `port` (waits at most a second)."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _kill_if_ours(process: subprocess.Popen[bytes], owner_pid: int) -> None:
    if os.getpid() == owner_pid:  # a fork of the owner inherits this, and must not end what isn't its own
        process.kill()


class ChildProcess:
    """One program run as a child in a session of its own (a Ctrl-C in the terminal doesn't reach it).

    It ends when stopped, when this object is let go of, and on Linux also as soon as this process is gone, even by
    SIGKILL. What it prints goes to the end of `log_file`, or to a nameless temporary file: `log_tail` reads it back
    either way. It can be started again after its program ended. Not thread-safe. Every error is an
    EmbeddedServiceError.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str,
        log_file: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Describe the child; `name` stands for it in messages, `env` is its whole environment (default: ours)."""
        self.name = name
        self._command = [*command]
        self._log_file = log_file
        self._env = None if env is None else dict(env)
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the program has been started and hasn't ended (a paused one runs)."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id; raises EmbeddedServiceError before the first start."""
        return self._started().pid

    def start(self) -> None:
        """Start the program and return at once; raises if it runs already or its log can't be written."""
        if self.running:
            raise EmbeddedServiceError(f"{self.name} runs already, as process {self.pid}; stop it first")
        self._close_log()
        self._log = self._open_log()
        launch = [sys.executable, "-I", "-S", "-c", _EXEC_WITH_DEATH_SIGNAL, str(os.getpid()), *self._command]
        self._process = _spawner.submit(
            subprocess.Popen,
            launch,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=self._env,
            start_new_session=True,
        ).result()
        weakref.finalize(self, _kill_if_ours, self._process, os.getpid())

    def wait_until(self, ready: Callable[[], bool], timeout_s: float, poll_s: float = 0.02) -> None:
        """Block until `ready()` is true while the program runs.

        Raises an error that quotes the end of its log when the program ends first or `timeout_s` pass. The program is
        left as it is: the caller decides whether to stop it.
        """
        process, deadline = self._started(), time.monotonic() + timeout_s
        while True:
            is_ready = ready()
            if process.poll() is not None:
                raise EmbeddedServiceError(f"{self.name} ended with exit code {process.returncode}:\n{self.log_tail()}")
            if is_ready:
                return
            if time.monotonic() > deadline:
                raise EmbeddedServiceError(f"{self.name} was not ready after {timeout_s:g} s:\n{self.log_tail()}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(poll_s)

    def wait_for_exit(self, timeout_s: float) -> int:
        """Block until the program ends and return its exit code (negative: the signal); raises on time-out."""
        try:
            return self._started().wait(timeout_s)
        except subprocess.TimeoutExpired as exc:
            raise EmbeddedServiceError(f"{self.name} still runs after {timeout_s:g} s:\n{self.log_tail()}") from exc

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; raises EmbeddedServiceError if the program doesn't run."""
        if not self.running:
            raise EmbeddedServiceError(f"{self.name} doesn't run, so it can't take {number.name}; start it first")
        self._started().send_signal(number)

    def stop(self, grace_s: float = 10.0) -> None:
        """End the program: SIGTERM, and SIGKILL once `grace_s` have passed (0: at once). Does nothing if it ended."""
        process = self._process
        if process is not None:
            if self.running and grace_s > 0:
                process.terminate()
                process.send_signal(signal.SIGCONT)  # a paused process takes its SIGTERM only when it goes on
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(grace_s)
            process.kill()
            process.wait()
        self._close_log()

    def kill(self) -> None:
        """End the program by SIGKILL and wait until it is gone. Does nothing if it ended."""
        self.stop(grace_s=0)

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines the program printed (of its last 64 KiB), or a word on why there are none."""
        if self._log is None or self._log.closed:
            return "(its log is closed)" if self._log_file is None else f"(see {self._log_file})"
        end = os.fstat(self._log.fileno()).st_size
        start = max(0, end - 65_536)
        text = os.pread(self._log.fileno(), end - start, start).decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:]) or "(it printed nothing)"

    def __enter__(self) -> Self:
        """Start it (without waiting until it is ready)."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise EmbeddedServiceError(f"{self.name} was never started; call start() first")
        return self._process

    def _open_log(self) -> IO[bytes]:
        if self._log_file is None:
            return tempfile.TemporaryFile()
        try:
            self._log_file.parent.mkdir(parents=True, exist_ok=True)
            return self._log_file.open("ab+")
        except OSError as exc:
            raise EmbeddedServiceError(f"{self.name} can't log to {self._log_file}: {exc.strerror}") from exc

    def _close_log(self) -> None:
        if self._log is not None:
            self._log.close()
