"""Event time of a partition: what moves it, what holds it, and what must not fool it."""

from loopwatch.stream_processors.join.watermark import NEVER, TopicClock, Watermark

SECOND = 1_000_000
DAY = 86_400 * SECOND
NOW = 1000 * DAY


def watermark(predictions: TopicClock, actions: TopicClock) -> Watermark:
    made = Watermark(10 * SECOND)
    made.predictions, made.actions = predictions, actions
    return made


def test_it_is_the_smaller_of_the_two_topics_less_the_disorder() -> None:
    mark = watermark(TopicClock(max_ts_us=500 * SECOND), TopicClock(max_ts_us=300 * SECOND))
    assert mark.advance(NOW) == 290 * SECOND


def test_it_does_not_exist_before_both_topics_have_said_something() -> None:
    assert watermark(TopicClock(max_ts_us=500 * SECOND), TopicClock()).advance(NOW) == NEVER


def test_actions_that_lag_hold_it_however_far_predictions_have_come() -> None:
    mark = watermark(TopicClock(max_ts_us=NOW, live=True, idle=True), TopicClock(max_ts_us=300 * SECOND, live=True))
    assert mark.advance(NOW) == 290 * SECOND


def test_a_topic_that_is_read_to_its_end_does_not_hold_it() -> None:
    mark = watermark(TopicClock(max_ts_us=500 * SECOND), TopicClock(max_ts_us=300 * SECOND, idle=True))
    assert mark.advance(NOW) == 490 * SECOND


def test_a_live_stream_that_is_silent_follows_the_wall_clock() -> None:
    mark = watermark(
        TopicClock(max_ts_us=NOW - 60 * SECOND, live=True, idle=True),
        TopicClock(max_ts_us=NOW - 90 * SECOND, live=True, idle=True),
    )
    assert mark.advance(NOW) == NOW - 10 * SECOND


def test_a_live_stream_whose_other_topic_never_had_an_event_follows_the_wall_clock() -> None:
    mark = watermark(TopicClock(max_ts_us=NOW - 60 * SECOND, live=True, idle=True), TopicClock(idle=True))
    assert mark.advance(NOW) == NOW - 10 * SECOND


def test_a_replayed_history_that_pauses_waits() -> None:
    mark = watermark(TopicClock(max_ts_us=500 * SECOND, idle=True), TopicClock(max_ts_us=300 * SECOND, idle=True))
    assert mark.advance(NOW) == 490 * SECOND


def test_an_explicit_watermark_closes_a_replayed_history() -> None:
    mark = watermark(
        TopicClock(max_ts_us=500 * SECOND, closed_us=9 * DAY), TopicClock(max_ts_us=300 * SECOND, closed_us=9 * DAY)
    )
    assert mark.advance(NOW) == 9 * DAY


def test_an_explicit_watermark_on_one_topic_waits_for_what_is_unread_of_the_other() -> None:
    mark = watermark(TopicClock(max_ts_us=500 * SECOND, closed_us=9 * DAY), TopicClock(max_ts_us=300 * SECOND))
    assert mark.advance(NOW) == 290 * SECOND


def test_an_explicit_watermark_alone_does_not_make_a_stream_live() -> None:
    mark = watermark(TopicClock(closed_us=9 * DAY, idle=True), TopicClock(idle=True))
    assert mark.advance(NOW) == 9 * DAY


def test_it_never_goes_back() -> None:
    mark = watermark(TopicClock(max_ts_us=500 * SECOND), TopicClock(max_ts_us=500 * SECOND))
    mark.advance(NOW)
    mark.actions = TopicClock(max_ts_us=100 * SECOND)
    assert mark.advance(NOW) == 490 * SECOND


def test_a_clock_that_runs_ahead_drags_it_no_further_than_the_wall_clock() -> None:
    clock = TopicClock()
    clock.observe(NOW + 30 * DAY, NOW, DAY, replayed=False)
    assert clock.max_ts_us == NOW


def test_events_of_now_make_a_topic_live_and_old_or_replayed_ones_do_not() -> None:
    for ts_us, replayed, live in ((NOW - DAY, False, True), (NOW - 2 * DAY, False, False), (NOW, True, False)):
        clock = TopicClock()
        clock.observe(ts_us, NOW, DAY, replayed=replayed)
        assert clock.live is live
