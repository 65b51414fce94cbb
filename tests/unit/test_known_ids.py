"""Known ids: a "no" is certain, a "maybe" is rarely wrong, and memory stays within its bound."""

from hypothesis import given
from hypothesis import strategies as st
from loopwatch.stream_processors.join.known_ids import KnownIds


@given(st.lists(st.lists(st.text(max_size=8))))
def test_an_id_that_was_added_is_never_denied(portions: list[list[str]]) -> None:
    known = KnownIds()
    for ids in portions:
        known.add(ids)
    for ids in portions:
        assert known.maybe(ids) == [True] * len(ids)


def test_no_id_is_denied_while_the_tables_grow() -> None:
    known = KnownIds()
    ids = [f"id-{number}" for number in range(300_000)]
    for start in range(0, len(ids), 7_000):
        known.add(ids[start : start + 7_000])
    assert all(known.maybe(ids))


def test_a_new_id_is_as_good_as_never_taken_for_a_known_one() -> None:
    known = KnownIds()
    known.add([f"id-{number}" for number in range(200_000)])
    assert sum(known.maybe([f"other-{number}" for number in range(200_000)])) <= 20


def test_beyond_the_limit_every_answer_is_maybe_and_memory_stays() -> None:
    known = KnownIds(limit=1000)
    before = known.size_bytes
    known.add([str(number) for number in range(1001)])
    assert known.maybe(["never-seen"]) == [True]
    assert known.size_bytes == before


def test_no_ids_need_no_answer() -> None:
    known = KnownIds()
    known.add([])
    assert known.maybe([]) == []
