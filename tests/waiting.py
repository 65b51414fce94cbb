"""Wait on a condition with a deadline: what tests use in place of sleeping."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T], timeout_s: float = 30.0, what: str = "the condition", poll_s: float = 0.05
) -> T:
    """Return the first truthy value of `condition`; fail with `what` once `timeout_s` have passed."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s for {what}; last value: {value!r}")
        pause.wait(poll_s)
