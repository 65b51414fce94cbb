"""Who is told what, and when."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from loopwatch.schemas.alerting import Alerting, Format, Inhibition, OfLedger, Receiver, Route, Rule
from loopwatch.schemas.alerts import Alert, AlertState, Change, Details, Finding, Severity
from loopwatch.schemas.default_alerting import DEFAULT_INHIBITIONS, DEFAULT_RULES
from loopwatch.schemas.matchers import parse_matcher
from loopwatch.schemas.notifications import Acknowledgement, Muted, Notice, Notification, Occasion, Silence
from loopwatch.stream_processors.alerts.grouping import Due, GroupKey, GroupState, due
from loopwatch.stream_processors.alerts.inhibition import inhibited
from loopwatch.stream_processors.alerts.lifecycle import advance
from loopwatch.stream_processors.webhooks.formats import notification_of

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
RULES = tuple(
    Rule(name=name, condition=OfLedger(), keep_firing_for=timedelta(), severity=severity)
    for name, severity in (("Low", Severity.WARNING), ("Dead", Severity.CRITICAL))
)
ROUTE = Route(receiver="a", group_wait=5 * SECOND, group_interval=5 * MINUTE, repeat_interval=4 * HOUR)


def found(name: str, model: str = "m", **labels: str) -> Finding:
    return Finding(name, {"model": model, "category": "quality", **labels}, Details("so it is"))


class World:
    """Alerts, and a dispatcher that may be restarted at any time."""

    def __init__(
        self,
        route: Route = ROUTE,
        *,
        inhibitions: tuple[Inhibition, ...] = (),
        resolved: bool = True,
        format_: Format = Format.WEBHOOK,
    ) -> None:
        receivers = tuple(
            Receiver(name=name, url="https://h", send_resolved=resolved, format=format_) for name in ("a", "b")
        )
        self.alerting = Alerting(rules=RULES, receivers=receivers, route=route, inhibitions=inhibitions)
        self.alerts: dict[str, Alert] = {}
        self.groups: dict[GroupKey, GroupState] = {}
        self.silences: list[Silence] = []
        self.acknowledged: list[Acknowledgement] = []
        self.now = NOW
        self.told: list[Notice] = []
        self.bodies: list[tuple[str, Any]] = []
        """Of `told`, by group."""
        self.muted: dict[str, Muted] = {}

    def find(self, *findings: Finding) -> None:
        changed = advance(RULES, self.alerts, findings, {rule.name for rule in RULES}, self.now)
        self.alerts |= {alert.fingerprint: alert for alert in changed}

    def tell(self, after: timedelta = timedelta()) -> list[Notice]:
        self.now += after
        found = self.due()
        again = self.due()
        assert [each.notification_id for each in found.notices] == [each.notification_id for each in again.notices]
        self.muted = found.muted
        for notice in found.notices:
            notification = notification_of(self.alerting.receivers, "", notice)
            self.bodies.append((notice.group_key, msgspec.json.decode(notification.body)))
            # As the next process reads it.
            stored = msgspec.json.decode(msgspec.json.encode(notification), type=Notification)
            self.groups[notice.receiver, notice.group_key] = GroupState.after(stored)
        self.told += found.notices
        return found.notices

    def believed(self) -> dict[str, set[str]]:
        """What a program believes to fire in each group that reads every body."""
        believed: dict[str, set[str]] = defaultdict(set)
        for group, body in self.bodies:
            for alert in body["alerts"]:
                if alert["status"] == "firing":
                    believed[group].add(alert["fingerprint"])
                else:
                    # Nobody is told that something is over who was not told that it began.
                    believed[group].remove(alert["fingerprint"])
        return believed

    def firing(self) -> set[str]:
        return {alert.fingerprint for alert in self.alerts.values() if alert.is_told}

    def due(self) -> Due:
        return due(self.alerting, list(self.alerts.values()), self.silences, self.acknowledged, self.groups, self.now)


def names(notice: Notice) -> list[tuple[str, str]]:
    return [(alert.labels["alertname"], alert.state.value) for alert in notice.alerts]


def test_a_group_waits_and_is_told_together_the_most_severe_first() -> None:
    world = World()
    world.find(found("Low"))
    assert world.tell() == []
    world.find(found("Low"), found("Dead"))
    assert world.tell(4 * SECOND) == []
    (notice,) = world.tell(SECOND)
    assert notice.occasion is Occasion.NEW
    assert names(notice) == [("Dead", "firing"), ("Low", "firing")]
    assert notice.group_labels == {"model": "m"}
    assert world.tell() == []


def test_what_changes_is_told_after_the_interval() -> None:
    world = World()
    world.find(found("Low"))
    world.tell(5 * SECOND)
    world.find(found("Low"), found("Low", segment="x"))
    assert world.tell(4 * MINUTE) == []
    (notice,) = world.tell(MINUTE)
    assert notice.occasion is Occasion.CHANGED
    assert len(notice.alerts) == 2


def test_what_is_more_severe_than_all_before_does_not_wait_for_the_interval() -> None:
    world = World()
    world.find(found("Low"))
    world.tell(5 * SECOND)
    world.find(found("Low"), found("Dead"))
    (notice,) = world.tell(5 * SECOND)
    assert names(notice)[0] == ("Dead", "firing")


def test_what_goes_on_is_repeated_unless_somebody_looks_after_it() -> None:
    world = World()
    world.find(found("Low"))
    world.tell(5 * SECOND)
    assert world.tell(3 * HOUR) == []
    (notice,) = world.tell(HOUR)
    assert notice.occasion is Occasion.REPEATED
    (alert,) = world.alerts.values()
    assert alert.fired_at is not None
    world.acknowledged = [Acknowledgement(alert.fingerprint, alert.fired_at, "ann", "")]
    assert world.tell(5 * HOUR) == []
    world.find()
    (over,) = world.tell()
    assert names(over) == [("Low", "resolved")]


def test_a_group_that_is_over_is_told_so_at_once_and_once() -> None:
    world = World()
    world.find(found("Low"), found("Dead"))
    world.tell(5 * SECOND)
    world.find(found("Low"))
    assert world.tell(MINUTE) == []
    world.find()
    (notice,) = world.tell(SECOND)
    assert sorted(names(notice)) == [("Dead", "resolved"), ("Low", "resolved")]
    world = World()
    world.find(found("Low"))
    world.tell(5 * SECOND)
    world.find()
    (notice,) = world.tell(SECOND)
    assert names(notice) == [("Low", "resolved")]
    assert world.groups[notice.receiver, notice.group_key].firing == frozenset()
    assert world.tell(5 * HOUR) == []


def test_what_nobody_was_told_of_is_not_told_to_be_over() -> None:
    world = World()
    world.find(found("Low"))
    world.tell(SECOND)
    world.find()
    assert world.tell(HOUR) == []


def test_a_receiver_without_resolved_is_told_when_it_fires_again() -> None:
    world = World(resolved=False)
    world.find(found("Low"))
    world.tell(5 * SECOND)
    world.find()
    assert world.tell(HOUR) == []
    world.find(found("Low"))
    (notice,) = world.tell(5 * SECOND)
    assert names(notice) == [("Low", "firing")]


def test_a_silence_holds_until_it_ends_and_what_was_told_is_told_to_be_over_all_the_same() -> None:
    world = World()
    world.silences = [Silence("s", (parse_matcher("alertname=Low"),), "ann", "why", NOW, NOW + HOUR)]
    world.find(found("Low"))
    assert world.tell(MINUTE) == []
    assert set(world.muted.values()) == {Muted.SILENCED}
    (notice,) = world.tell(HOUR)
    assert names(notice) == [("Low", "firing")]
    world.silences = [Silence("t", (parse_matcher("alertname=Low"),), "ann", "why", NOW, NOW + 9 * HOUR)]
    world.find()
    (over,) = world.tell(HOUR)
    assert names(over) == [("Low", "resolved")]


def test_a_cause_inhibits_what_it_causes_of_the_same_model_and_of_all_models_where_it_has_none() -> None:
    inhibition = Inhibition((parse_matcher("alertname=Dead"),), (parse_matcher("alertname=Low"),), ("model",))
    world = World(inhibitions=(inhibition,))
    world.find(found("Low", "m"), found("Low", "n"), found("Dead", "m"))
    told = world.tell(5 * SECOND)
    assert sorted((notice.group_labels["model"], names(notice)) for notice in told) == [
        ("m", [("Dead", "firing")]), ("n", [("Low", "firing")]),
    ]  # fmt: skip
    world = World(inhibitions=(inhibition,))
    world.find(found("Low", "m"), found("Low", "n"), Finding("Dead", {"category": "pipeline"}, Details("x")))
    (notice,) = world.tell(5 * SECOND)
    assert names(notice) == [("Dead", "firing")]
    assert list(world.muted.values()) == [Muted.INHIBITED] * 2


def test_what_began_while_its_cause_fired_is_not_told_for_a_while_after() -> None:
    by, what = (parse_matcher("alertname=Dead"),), (parse_matcher("alertname=Low"),)
    world = World(inhibitions=(Inhibition(by, what, ("model",), lasting=2 * HOUR),))
    world.find(found("Low", "m"), found("Dead", "m"))
    (notice,) = world.tell(5 * SECOND)
    assert names(notice) == [("Dead", "firing")]
    world.now += HOUR
    world.find(found("Low", "m"))
    (over,) = world.tell(HOUR)
    assert names(over) == [("Dead", "resolved")]
    assert list(world.muted.values()) == [Muted.INHIBITED]
    # What began since is something else.
    world.find(found("Low", "m"), found("Low", "n"))
    (other,) = world.tell(MINUTE)
    assert other.group_labels == {"model": "n"}
    (later,) = world.tell(2 * HOUR)
    assert (names(later), later.group_labels) == ([("Low", "firing")], {"model": "m"})


def test_by_default_dead_letters_of_a_model_are_the_cause_of_what_follows_of_it() -> None:
    unread = Finding("DeadLetters", {"category": "data", "model": "m"}, Details("x"))
    of_no_model = Finding("DeadLetters", {"category": "data"}, Details("x"))
    findings = (found("Low", "m"), found("Low", "n"), unread, of_no_model)
    alerts = advance((*RULES, *DEFAULT_RULES), {}, findings, {"Low", "DeadLetters"}, NOW)
    by_name = {(each.labels["alertname"], each.labels.get("model")): each.fingerprint for each in alerts}
    assert inhibited(alerts, DEFAULT_INHIBITIONS, NOW) == {by_name["Low", "m"]: by_name["DeadLetters", "m"]}


def test_no_two_alerts_silence_each_other() -> None:
    both = (parse_matcher("category=quality"),)
    world = World(inhibitions=(Inhibition(both, both, ()),))
    world.find(found("Low"), found("Dead"))
    (notice,) = world.tell(5 * SECOND)
    assert len(notice.alerts) == 2


def test_the_first_route_that_takes_an_alert_has_it_unless_it_goes_on() -> None:
    pager = Route(receiver="b", matchers=(parse_matcher("severity=critical"),), group_wait=timedelta())
    world = World(msgspec.structs.replace(ROUTE, group_wait=timedelta(), routes=(pager,)))
    world.find(found("Low"), found("Dead"))
    assert sorted((notice.receiver, names(notice)[0][0]) for notice in world.tell()) == [("a", "Low"), ("b", "Dead")]
    everybody = Route(receiver="a", group_wait=timedelta())
    goes_on = msgspec.structs.replace(pager, goes_on=True)
    world = World(msgspec.structs.replace(ROUTE, routes=(goes_on, everybody)))
    world.find(found("Dead"))
    assert sorted(notice.receiver for notice in world.tell()) == ["a", "b"]


def test_a_group_that_no_route_leads_to_any_more_is_told_when_it_is_over() -> None:
    world = World()
    world.find(found("Low"))
    world.tell(5 * SECOND)
    world.alerting = msgspec.structs.replace(world.alerting, route=msgspec.structs.replace(ROUTE, receiver="b"))
    assert [notice.receiver for notice in world.tell(5 * MINUTE)] == ["b"]
    world.find()
    assert {notice.receiver: names(notice) for notice in world.tell(HOUR)} == {
        "a": [("Low", "resolved")], "b": [("Low", "resolved")],
    }  # fmt: skip


def many(n: int, name: str = "Low", *, of: str = "") -> list[Finding]:
    return [found(name, segment=f"{of}{each}") for each in range(n)]


def test_a_large_group_is_told_piece_by_piece_without_waiting_in_between() -> None:
    world = World()
    world.find(*many(180))
    (first,) = world.tell(5 * SECOND)
    _, body = world.bodies[-1]
    shown = len(body["alerts"])
    assert shown < len(first.alerts) == 180 == shown + body["truncatedAlerts"]
    while world.tell(SECOND):
        assert len(world.bodies) < 20
    assert world.believed()[first.group_key] == world.firing()
    world.find()
    world.tell(HOUR)
    while world.tell(SECOND):
        assert len(world.bodies) < 40
    assert world.believed()[first.group_key] == set()


def test_what_is_over_is_told_though_more_fires_anew_than_fits() -> None:
    world = World()
    world.find(*many(30))
    world.tell(5 * SECOND)
    for round_ in range(30):
        world.find(*many(60, "Dead", of=str(round_)))
        world.tell(5 * MINUTE)
        gone = {alert.fingerprint for alert in world.alerts.values() if not alert.is_told and alert.rule == "Low"}
        if not gone & {each for believed in world.believed().values() for each in believed}:
            break
    else:
        raise AssertionError("nobody hears that it is over")


def test_people_are_told_of_a_large_group_once_with_how_many_there_are() -> None:
    world = World(format_=Format.SLACK)
    world.find(*many(180))
    (notice,) = world.tell(5 * SECOND)
    assert "180 firing" in world.bodies[-1][1]["text"]
    assert world.tell(HOUR) == []
    world.find()
    world.tell(HOUR)
    assert "180 resolved" in world.bodies[-1][1]["text"]
    assert world.groups[notice.receiver, notice.group_key].firing == frozenset()


_STEP = st.tuples(
    st.sets(st.tuples(st.sampled_from(["Low", "Dead"]), st.sampled_from("mn"))),
    st.integers(1, 400),
    st.sampled_from(["", "", "silence", "ack"]),
)


@settings(deadline=None)
@given(steps=st.lists(_STEP, max_size=25), resolved=st.booleans())
def test_whatever_happens_everybody_knows_in_the_end(
    steps: list[tuple[set[tuple[str, str]], int, str]], resolved: bool
) -> None:
    world = World(resolved=resolved)
    for findings, seconds, what in steps:
        world.find(*(found(name, model) for name, model in sorted(findings)))
        if what == "silence":
            matcher = parse_matcher("alertname=Low")
            world.silences.append(Silence("s", (matcher,), "", "", world.now, world.now + timedelta(seconds=seconds)))
        if what == "ack":
            world.acknowledged += [
                Acknowledgement(alert.fingerprint, alert.fired_at, "", "")
                for alert in world.alerts.values()
                if alert.is_told and alert.fired_at is not None
            ]
        world.tell(timedelta(seconds=seconds))
    # All that fires, and is not silenced, is known within the longest interval.
    world.tell(HOUR)
    known = {fingerprint for believes in world.believed().values() for fingerprint in believes}
    assert world.firing() - world.muted.keys() <= known
    for _ in range(70):
        world.find()
        world.tell(2 * MINUTE)
    assert all(alert.state is AlertState.RESOLVED for alert in world.alerts.values())
    if resolved:
        assert not any(world.believed().values())
    assert {each.change for each in world.alerts.values()} <= {Change.OVER, Change.DROPPED}
