"""Each record of a batch ends in exactly one place: an event, refused, misrouted, repeated, or a control record."""

from datetime import timedelta

from loopwatch.schemas.decode import action_decoder, prediction_decoder
from loopwatch.schemas.errors import RejectReason
from loopwatch.schemas.events import Action, Prediction
from loopwatch.schemas.headers import FORWARDED, REPLAY, REPLAY_VALUE, WATERMARK, encode_origin, encode_watermark
from loopwatch.schemas.partitioner import partition_of
from loopwatch.stream_processors.records import Origins, SortedOut, sort_out

from ..simulation.events import NOON, action, prediction, record, us
from ..simulation.log import Record

LIFE = "life-1"
FOUR = 4
HOME = partition_of("p", FOUR)


def predictions(*records: Record, partition: int = HOME, origins: Origins | None = None) -> SortedOut[Prediction]:
    return sort_out(prediction_decoder(), records, partition, FOUR, origins or Origins(), LIFE)


def actions(*records: Record, origins: Origins | None = None) -> SortedOut[Action]:
    return sort_out(action_decoder(), records, HOME, FOUR, origins or Origins(), LIFE)


def forwarded(offset: int, partition: int, origin: int, life: str = LIFE) -> Record:
    return record(offset, action("p"), ((FORWARDED, encode_origin(life, partition, origin)),))


def test_an_event_comes_with_its_offset_and_its_time_in_microseconds() -> None:
    batch = predictions(record(7, prediction("p", 1.5)))
    assert (batch.offsets, batch.ts_us, batch.ids) == ([7], [us(1.5)], ["p"])


def test_what_is_no_event_is_refused_and_the_rest_goes_on() -> None:
    batch = predictions(record(0, b"{"), record(1, prediction("p")), record(2, None))
    assert batch.offsets == [1]
    assert [(each.offset, why.reason) for each, why in batch.rejected] == [
        (0, RejectReason.NOT_JSON),
        (2, RejectReason.EMPTY),
    ]


def test_an_event_without_a_key_on_a_wrong_partition_is_misrouted_to_the_one_of_its_id() -> None:
    batch = predictions(record(3, prediction("p")), partition=(HOME + 1) % FOUR)
    assert batch.offsets == []
    assert [(each.record.offset, each.partition, each.key) for each in batch.misrouted] == [(3, HOME, "p")]


def test_a_forwarded_event_is_taken_once() -> None:
    origins = Origins()
    batch = actions(forwarded(0, 2, 5), forwarded(1, 2, 6), forwarded(2, 2, 5), forwarded(3, 2, 6), origins=origins)
    assert (batch.offsets, batch.repeated) == ([0, 1], 2)
    assert origins.moved == {2: 6}


def test_what_was_forwarded_before_a_restart_is_not_taken_again() -> None:
    assert actions(forwarded(0, 2, 5), forwarded(1, 1, 5), origins=Origins({2: 5})).offsets == [1]


def test_an_origin_in_another_life_of_the_topic_says_nothing() -> None:
    assert actions(forwarded(0, 2, 5, life="life-0"), origins=Origins({2: 9})).offsets == [0]


def test_a_watermark_record_closes_and_is_no_event() -> None:
    marks = [record(at, None, ((WATERMARK, encode_watermark(NOON + timedelta(seconds=at))),)) for at in (9, 3)]
    batch = predictions(*marks)
    assert (batch.control, batch.closed_us, batch.offsets, batch.rejected) == (2, us(9), [], [])


def test_an_unreadable_watermark_closes_nothing() -> None:
    batch = predictions(record(0, None, ((WATERMARK, b"noon"),)))
    assert (batch.control, batch.closed_us) == (1, None)


def test_an_event_with_a_watermark_header_is_an_event() -> None:
    mark = (WATERMARK, encode_watermark(NOON))
    batch = predictions(record(0, prediction("p"), (mark,)))
    assert (batch.offsets, batch.control) == ([0], 0)


def test_a_replayed_batch_says_so() -> None:
    assert predictions(record(0, prediction("p"), ((REPLAY, REPLAY_VALUE),))).replayed
    assert not predictions(record(0, prediction("p"))).replayed
