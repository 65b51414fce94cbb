"""How long work beside the join rests: for events that wait, and hardly while none does."""

import asyncio
import contextlib
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from loopwatch.stream_processors import pacing

EVERY_S, TOOK_S, MANY, REST = 10.0, 2.0, 100, 1.0


def rests(monkeypatch: pytest.MonkeyPatch, work: Callable[[], bool], behind: Callable[[], int], n: int) -> list[float]:
    """The first `n` rests of work that takes two seconds of a clock that nothing else moves."""
    now, slept = [0.0], list[float]()

    def clocked() -> bool:
        now[0] += TOOK_S
        return work()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds
        if len(slept) == n:
            raise asyncio.CancelledError

    monkeypatch.setattr(pacing, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(asyncio, "sleep", sleep)
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(pacing.repeat(clocked, EVERY_S, behind, MANY, REST))
    return slept


@pytest.mark.parametrize(("waiting", "rest_s"), [(0, 0.2), (1, 2.0), (MANY, 2.0), (MANY + 1, 8.0)])
def test_what_has_more_to_do_rests_for_events_that_wait(
    monkeypatch: pytest.MonkeyPatch, waiting: int, rest_s: float
) -> None:
    assert rests(monkeypatch, lambda: True, lambda: waiting, 3) == pytest.approx([rest_s] * 3)


@pytest.mark.parametrize("waiting", [0, 1])
def test_what_is_done_comes_again_when_it_is_time(monkeypatch: pytest.MonkeyPatch, waiting: int) -> None:
    assert rests(monkeypatch, lambda: False, lambda: waiting, 2) == [EVERY_S - TOOK_S] * 2


def test_in_a_backlog_work_goes_on_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = rests(monkeypatch, lambda: True, lambda: 10 * MANY, 70)
    assert slept[:60] == [1.0] * 60
    assert slept[60] == 8.0


def test_what_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> bool:
        raise RuntimeError("of a test")

    assert rests(monkeypatch, fails, lambda: 0, 2) == [EVERY_S - TOOK_S] * 2
