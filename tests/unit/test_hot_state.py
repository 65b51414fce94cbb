"""Hot state lets go only of what is stored, and keeps within its bytes."""

from loopwatch.schemas.outcomes import LoopwatchConfig
from loopwatch.stream_processors.join.commons import Common
from loopwatch.stream_processors.join.hot_state import HotState
from loopwatch.stream_processors.join.rules import Rules
from loopwatch.stream_processors.join.state import ACTED_BYTES, ENTRY_BYTES, Acted, Entry

RULES = Rules(LoopwatchConfig()).of("m")


def entry(flush: int, *, closed: bool = False, actions: int = 0) -> Entry:
    acted = {str(number): Acted(str(number), "click", 0, None, number) for number in range(actions)} or None
    made = Entry(0, Common(RULES, "", None, None), None, None, acted, flush=flush)
    made.closed = RULES.all_bits if closed else 0
    return made


def hot(limit_bytes: int, **entries: Entry) -> HotState:
    state = HotState(limit_bytes)
    state.entries.update(entries)
    state.n_acted = sum(len(each.acted or ()) for each in entries.values())
    return state


def test_it_counts_entries_and_their_actions() -> None:
    assert hot(0, a=entry(1), b=entry(1, actions=3)).size_bytes == 2 * ENTRY_BYTES + 3 * ACTED_BYTES


def test_a_closed_entry_leaves_once_it_is_stored() -> None:
    state = hot(1 << 20, a=entry(5, closed=True, actions=2))
    state.close("a")
    state.release_closed(4)
    assert "a" in state.entries
    state.release_closed(5)
    assert (state.entries, state.n_acted, state.size_bytes) == ({}, 0, 0)


def test_an_entry_that_opened_again_stays() -> None:
    state = hot(1 << 20, a=entry(5))
    state.close("a")
    state.release_closed(9)
    assert "a" in state.entries


def test_an_entry_that_was_closed_twice_leaves_once() -> None:
    state = hot(1 << 20, a=entry(5, closed=True))
    state.close("a")
    state.close("a")
    state.release_closed(5)
    state.release_closed(6)
    assert state.entries == {}


def test_within_the_limit_nothing_is_evicted() -> None:
    assert list(hot(2 * ENTRY_BYTES, a=entry(1), b=entry(1)).evict(9)) == []


def test_over_the_limit_the_oldest_stored_entries_go() -> None:
    state = hot(0, a=entry(1), b=entry(1))
    assert [prediction_id for prediction_id, _ in state.evict(1)] == ["a"]
    assert list(state.entries) == ["b"]


def test_an_entry_whose_change_is_not_stored_is_not_evicted() -> None:
    state = hot(0, a=entry(7))
    assert list(state.evict(6)) == []
    assert [prediction_id for prediction_id, _ in state.evict(7)] == ["a"]
