"""A week of flights as the person on call would have it, with the default rules, and five faults in it.

Six models, each on the same real flights, five weeks of them: one as it is, five that break on the Wednesday of the
fifth week, each in its own way. To the flights are added what they don't have: a latency, and clicks that one in
eight gets. Everything goes through Kafka, the join, evaluation and detectors; then the rules are asked over the fifth
week, minute by minute of event time, and groups are told as the dispatcher tells them.
"""

import math
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loopwatch.infra.clickhouse import ClickHouse
from loopwatch.infra.settings import Settings
from loopwatch.producers import Loopwatch
from loopwatch.producers.client import Event
from loopwatch.producers.flights import ACTION, FlightReplay, flight_events
from loopwatch.producers.replay import replay_events
from loopwatch.schemas.alerting import Alerting, Receiver, Route
from loopwatch.schemas.alerts import MODEL, Alert
from loopwatch.schemas.config import load_config
from loopwatch.schemas.default_alerting import DEFAULT_ALERTING
from loopwatch.schemas.events import Action, Prediction
from loopwatch.schemas.notifications import Notice, Occasion
from loopwatch.schemas.outcomes import LoopwatchConfig
from loopwatch.stream_processors.alerts.conditions.context import Context
from loopwatch.stream_processors.alerts.conditions.evaluate import can_be_asked_of_the_past, evaluate
from loopwatch.stream_processors.alerts.conditions.history import History
from loopwatch.stream_processors.alerts.grouping import GroupKey, GroupState, due
from loopwatch.stream_processors.alerts.lifecycle import advance
from loopwatch.stream_processors.webhooks.formats import notification_of
from msgspec import Struct
from msgspec.structs import replace

from ..dev_stack import dev_stack

MONTHS = (3, 4)
"""Of 2013; the classifier was trained on the two before."""
WEEK = datetime(2013, 4, 1, tzinfo=UTC)
UNTIL = WEEK + timedelta(days=7)
BREAKS = WEEK + timedelta(days=2, hours=14)
"""A Wednesday, ten in the morning in New York."""
EVERY = timedelta(minutes=1)
CLICK_RATE = 1 / 8
_QUIET_S = 60.0
_LONGEST_S = 1200.0
_CONFIG = """
  {model}:
    kind: classification
    segments: [origin, carrier]
    outcomes:
      arrival:
        {{actions: [arrival], window: 3d, on_timeout: unlabelled, label: value, combine: last, positive: "> 15"}}
      click: {{actions: [click], window: 30m, on_timeout: negative, label: positive}}
"""


class Broken(Struct, frozen=True):
    """A fault: how events of its model are from `BREAKS` on (None: they don't come), and what finds it."""

    what: str
    change: Callable[[Event], Event | None]
    finds: Callable[[Mapping[str, str]], bool]
    """By the labels of an alert."""
    click_rate: float = CLICK_RATE


class Found(Struct, frozen=True):
    """What came of one model in the week."""

    fault: str
    """Empty: nothing was broken."""
    after_s: float | None
    """Seconds of event time from the fault to the first notice that names it, None: it was not found."""
    by: str
    notices: int
    """That said something new: one message to people each."""
    alerts: list[str]
    """Every alert in them: when it began to fire, which one, and what it said."""


def _same(event: Event) -> Event | None:
    return event


def _without_distance(event: Event) -> Event | None:
    if not isinstance(event, Prediction):
        return event
    return replace(event, features={**(event.features or {}), "distance_miles": None})


def _slow(event: Event) -> Event | None:
    return replace(event, latency_ms=2 * (event.latency_ms or 0)) if isinstance(event, Prediction) else event


def _without_arrivals(event: Event) -> Event | None:
    return None if isinstance(event, Action) and event.name == ACTION else event


def _upside_down(event: Event) -> Event | None:
    """For one carrier the model says the opposite."""
    if not isinstance(event, Prediction) or (event.segments or {}).get("carrier") != "UA":
        return event
    return replace(event, prediction=not event.prediction, score=1 - (event.score or 0))


MODELS: dict[str, Broken] = {
    "as-it-is": Broken("", _same, lambda _: False),
    "fewer-clicks": Broken(
        "clicks fall from one in 8 to one in 16", _same, lambda labels: "click" in _about(labels), CLICK_RATE / 2
    ),
    "null-feature": Broken(
        "distance_miles is null", _without_distance, lambda labels: "distance_miles" in _about(labels)
    ),
    "slow": Broken("latency is twice what it was", _slow, lambda labels: "latency" in _about(labels)),
    "no-labels": Broken(
        "arrivals stop", _without_arrivals, lambda labels: labels["alertname"] in ("LabelsStopped", "LabelsLate")
    ),
    "one-carrier": Broken(
        "of one carrier the model says the opposite", _upside_down,
        lambda labels: labels.get("segment") == "UA" or labels["alertname"] in ("ConceptDrift", "EstimateGap"),
    ),
}  # fmt: skip


def run() -> list[Found]:
    """Send it all, wait until everything is found, and ask the rules."""
    with tempfile.TemporaryDirectory(prefix="loopwatch-week-") as directory:
        file = Path(directory, "loopwatch.yaml")
        file.write_text("models:" + "".join(_CONFIG.format(model=model) for model in MODELS), encoding="utf-8")
        config = load_config(file)
        with dev_stack(file) as stack:
            source = _Flights(flight_events(months=MONTHS))
            with Loopwatch(stack.settings, block=True) as client:
                sent = replay_events(client, source, config=config)
            _wait_until_quiet(stack.settings, sent.predictions)
            clickhouse = ClickHouse(stack.settings)
            try:
                return [_asked(clickhouse, config, model) for model in MODELS]
            finally:
                clickhouse.close()


class _Flights:
    """A replay source: every flight up to the end of the week for each model."""

    name = "six models"

    def __init__(self, flights: FlightReplay) -> None:
        self._flights = flights
        self.position = 0
        self.invalid = 0

    @property
    def size(self) -> int:
        """At most so many events."""
        return len(MODELS) * 2 * self._flights.size

    def __iter__(self) -> Iterator[Event]:
        """In order of event time, but for clicks: those come up to ten minutes early."""
        rng = random.Random(11)
        for event in self._flights:
            if event.ts >= UNTIL:
                return
            latency_ms, luck, waited_s = rng.lognormvariate(3, 0.4), rng.random(), rng.uniform(5, 600)
            for model, broken in MODELS.items():
                own = _of_model(event, model, latency_ms)
                is_broken = event.ts >= BREAKS
                changed = broken.change(own) if is_broken else own
                if changed is None:
                    continue
                self.position += 1
                yield changed
                rate = broken.click_rate if is_broken else CLICK_RATE
                if isinstance(changed, Prediction) and luck < rate:
                    at = changed.ts + timedelta(seconds=waited_s)
                    yield Action(f"click-{changed.prediction_id}", changed.prediction_id, "click", at, True)


def _of_model(event: Event, model: str, latency_ms: float) -> Event:
    own_id = f"{model}/{event.prediction_id}"
    if isinstance(event, Prediction):
        return replace(event, prediction_id=own_id, model=model, latency_ms=latency_ms)
    return replace(event, prediction_id=own_id, action_id=f"{model}/{event.action_id}")


def _wait_until_quiet(settings: Settings, predictions: int) -> None:
    """Until all is joined, and for a while no detector has got on (those of minutes are not asked: flights are few)."""
    clickhouse = ClickHouse(settings)
    deadline = time.monotonic() + _LONGEST_S
    quiet_since, last = time.monotonic(), None
    while time.monotonic() - quiet_since < _QUIET_S:
        if time.monotonic() > deadline:
            raise RuntimeError(f"not done after {_LONGEST_S:g} s")
        ((stored, not_begun, *seen),) = clickhouse.rows(
            "SELECT (SELECT count() FROM loopwatch.predictions), countIf(reached_us = 0 AND monitor = 'drift/1h'), "
            "(SELECT count() FROM loopwatch.feedback), sum(reached_us), (SELECT count() FROM loopwatch.signals) "
            "FROM loopwatch.monitors FINAL WHERE monitor NOT LIKE 'series/60s%'"
        )
        if stored < predictions or not_begun > 0 or seen != last:
            quiet_since, last = time.monotonic(), seen
        time.sleep(1)
    clickhouse.close()


def _asked(clickhouse: ClickHouse, config: LoopwatchConfig, model: str) -> Found:
    broken = MODELS[model]
    told: list[tuple[datetime, Alert]] = []
    notices = 0
    for notice in _notices(clickhouse, config, model):
        notices += notice.occasion is not Occasion.REPEATED and bool(notice.news)
        told += [(notice.created_at, alert) for alert in notice.alerts if alert.fingerprint in notice.news]
    said = [
        f"{at:%a %H:%M} {alert.labels['alertname']} {_about(alert.labels)}: {alert.details.message}"
        for at, alert in told
    ]
    finding = ((at, alert) for at, alert in told if at >= BREAKS and broken.finds(alert.labels))
    at, alert = next(finding, (None, None))
    after_s = None if at is None else (at - BREAKS).total_seconds()
    return Found(broken.what, after_s, "" if alert is None else alert.labels["alertname"], notices, said)


def _notices(clickhouse: ClickHouse, config: LoopwatchConfig, model: str) -> Iterator[Notice]:
    """What is told in the week, by the default rules, inhibitions and one route."""
    rules = [rule for rule in DEFAULT_ALERTING.rules if can_be_asked_of_the_past(rule)]
    alerting = Alerting(
        rules=tuple(rules), receivers=(Receiver(name="people", url="https://example.com"),),
        route=Route(receiver="people"), inhibitions=DEFAULT_ALERTING.inhibitions,
    )  # fmt: skip
    context = Context(None, facts=History(clickhouse, config.for_model(model), rules, WEEK, UNTIL))
    alerts: dict[str, Alert] = {}
    groups: dict[GroupKey, GroupState] = {}
    for step in range(math.ceil((UNTIL - WEEK) / EVERY)):
        now = WEEK + step * EVERY
        found = evaluate(clickhouse, rules, context, now)
        if found.errors:
            raise RuntimeError(str(found.errors))
        alerts |= {alert.fingerprint: alert for alert in advance(rules, alerts, found.findings, found.evaluated, now)}
        for notice in due(alerting, list(alerts.values()), (), (), groups, now).notices:
            groups[notice.receiver, notice.group_key] = GroupState.after(
                notification_of(alerting.receivers, "", notice)
            )
            yield notice


def _about(labels: Mapping[str, str]) -> str:
    kept = (labels.get(name, "") for name in ("subject", "outcome", "metric", "segment_key", "segment"))
    return " ".join(value for value in kept if value and value != labels.get(MODEL))
