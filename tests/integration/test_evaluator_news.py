"""What is news to an evaluator, until when, and to whom."""

from datetime import UTC, datetime, timedelta

from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.stream_processors.live.news import Heard, News, find_news

from .evaluated import BEGIN, EVERYWHERE, config_of, evaluator_of, events_of, store


def test_each_minute_is_news_until_its_rows_are_known(clickhouse: ClickHouse) -> None:
    """Also rows that become visible minutes after they were stamped, and revisions of the same."""
    predictions, feedback = events_of("heard", 40)
    now = datetime.now(UTC)
    old = now - timedelta(minutes=4)
    heard = Heard()

    def news() -> News | None:
        found = find_news(clickhouse, now - timedelta(minutes=6), 3600, heard).get("heard")
        heard.keep()
        return found

    store(clickhouse, "predictions", predictions[:20], old)
    store(clickhouse, "feedback", feedback[:20], old)
    first = news()
    assert first is not None
    hours = {int(row["ts"].timestamp()) // 3600 * 3600 for row in predictions[:20]}
    assert (first.predictions, first.labels.keys()) == (hours, {"answer"})
    assert first.since == old.replace(second=0, microsecond=0)
    assert news() is None
    store(clickhouse, "predictions", predictions[20:21], now)
    fresh = news()
    assert fresh is not None
    assert fresh.since == now.replace(second=0, microsecond=0)
    assert fresh.predictions == {int(predictions[20]["ts"].timestamp()) // 3600 * 3600}
    store(clickhouse, "predictions", predictions[21:22], old)
    late = news()
    assert late is not None
    assert late.labels == {}
    assert int(predictions[21]["ts"].timestamp()) // 3600 * 3600 in late.predictions
    store(clickhouse, "feedback", [{**feedback[0], "revision": feedback[0]["revision"] + 2}], old)
    revised = news()
    assert revised is not None
    assert (revised.predictions, revised.labels.keys()) == (frozenset(), {"answer"})
    heard.forget()
    everything = news()
    assert everything is not None
    assert everything.predictions == first.predictions | fresh.predictions | late.predictions


def test_actions_are_news_once_it_is_known_what_they_answer(clickhouse: ClickHouse) -> None:
    """Whichever is visible last: the action, its prediction, or whose it is."""
    now = datetime.now(UTC)
    heard = Heard()
    predictions, _ = events_of("acted", 2)
    hour = int(BEGIN.timestamp())

    def news() -> News | None:
        found = find_news(clickhouse, now - timedelta(minutes=6), 3600, heard, ["acted"]).get("acted")
        heard.keep()
        return found

    for made, model in zip(predictions, ("acted", ""), strict=True):
        of_prediction = {"prediction_id": made["prediction_id"], "action_id": "first", "model": model}
        bucket = int(made["ts"].timestamp()) // 3600 * 3600
        store(clickhouse, "actions", [{**of_prediction, "class": "held", "name": "answer", "ts": BEGIN}], now)
        assert news() is None
        store(clickhouse, "predictions", [made], now)
        awaited = news()
        assert awaited is not None
        assert bucket in awaited.predictions
        if not model:
            store(
                clickhouse, "action_status", [{**of_prediction, "model": "acted", "class": "matched", "rank": 2}], now
            )
            awaited = news()
            assert awaited is not None
            assert awaited.predictions == frozenset()
        assert awaited.actions[0] >= {bucket}
        assert awaited.actions[1] == {hour}
        assert news() is None


def test_alerting_is_told_of_new_revisions_alone(clickhouse: ClickHouse) -> None:
    predictions, _ = events_of("told-of", 20)
    told: list[None] = []
    evaluator = evaluator_of(clickhouse, config_of("told-of"), on_written=lambda: told.append(None))
    evaluator.tick(EVERYWHERE)
    told.clear()
    evaluator.tick(EVERYWHERE)
    assert told == []
    store(clickhouse, "predictions", predictions)
    evaluator.tick(EVERYWHERE)
    assert told != []
