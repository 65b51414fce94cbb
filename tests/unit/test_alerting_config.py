"""`alerting:` of loopwatch.yaml: what it means, and every mistake with where it is and what to write."""

import re
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from loopwatch.schemas.alerting import Bound, Format, NoData, OfBudget, OfMetric, OfPipeline, OfQuery, OfSignals, Secret
from loopwatch.schemas.alerts import Details, Severity
from loopwatch.schemas.comparison import Comparison
from loopwatch.schemas.config import parse_config
from loopwatch.schemas.default_alerting import DEFAULT_ALERTING, DEFAULT_INHIBITIONS, DEFAULT_RULES
from loopwatch.schemas.errors import ConfigError
from loopwatch.schemas.matchers import all_hold, parse_matcher, written
from loopwatch.schemas.outcomes import LoopwatchConfig
from loopwatch.schemas.signals import SignalKind
from loopwatch.schemas.templates import check_template, render
from loopwatch.schemas.windows import Window

RECEIVERS = {"a": {"url": "https://hooks.example/x", "secret_env": "A"}}


def alerting(**document: Any):
    return parse_config({"alerting": document}).alerting


def mistakes(document: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ConfigError) as refused:
        parse_config({"alerting": document})
    return dict(refused.value.problems)


def test_without_configuration_the_default_rules_hold_and_nobody_is_told() -> None:
    assert parse_config({}).alerting == LoopwatchConfig().alerting == DEFAULT_ALERTING
    assert parse_config({"alerting": None}).alerting == DEFAULT_ALERTING
    assert {rule.name for rule in DEFAULT_RULES} >= {
        "DataDrift",
        "PredictionsStopped",
        "IngestionLag",
        "PartitionStuck",
    }
    for rule in DEFAULT_RULES:
        for text in rule.annotations.values():
            check_template(text)


def test_no_default_rule_tells_of_a_model_that_became_better() -> None:
    kinds = {kind for rule in DEFAULT_RULES if isinstance(rule.condition, OfSignals) for kind in rule.condition.kinds}
    assert kinds == {*SignalKind} - {SignalKind.IMPROVEMENT}


def test_rules_say_what_they_are_about() -> None:
    rules = {
        rule.name: rule
        for rule in alerting(
            rules={
                "Low": {
                    "metric": "precision", "models": ["ctr"], "below": 0.6, "window": "1h", "min_n": 50, "for": "10m",
                    "keep_firing_for": "0s", "severity": "critical", "labels": {"team": "x"}, "owner": "ann",
                    "annotations": {"summary": "{{ model }} at {{ value | percent }}"}, "runbook": "https://r",
                },
                "Spend": {"budget": 500, "per": "30d", "burn": 6, "within": "1h"},
                "Odd": {"signal": ["anomaly"], "subjects": ["volume"], "min_score": 0.9},
                "Mine": {"sql": "SELECT 1 AS value", "above": 10, "category": "cost"},
            }
        ).rules
    }  # fmt: skip
    low = rules["Low"]
    assert low.condition == OfMetric("precision", Bound(Comparison.LESS, 0.6), Window.parse("1h"), min_n=50)
    assert (low.models, low.held_for, low.keep_firing_for) == (("ctr",), timedelta(minutes=10), timedelta())
    assert (low.severity, low.labels, low.owner, low.runbook) == (Severity.CRITICAL, {"team": "x"}, "ann", "https://r")
    assert rules["Spend"].condition == OfBudget(500, timedelta(days=30), 6, timedelta(hours=1))
    assert rules["Odd"].condition == OfSignals((SignalKind.ANOMALY,), ("volume",), 0.9)
    assert isinstance(rules["Mine"].condition, OfQuery)
    assert rules.keys() >= {rule.name for rule in DEFAULT_RULES}


def test_a_default_rule_is_changed_in_part_or_turned_off() -> None:
    rules = {
        rule.name: rule
        for rule in alerting(
            rules={"LabelsStopped": False, "DeadLetters": "off",
                   "DataDrift": {"severity": "critical", "min_score": 0.7},
                   "PredictionsStopped": {"after": "1h"}, "IngestionLag": {"after": "5m", "for": "0s"}}
        ).rules
    }  # fmt: skip
    usual = {rule.name: rule for rule in DEFAULT_RULES}
    assert usual.keys() - rules.keys() == {"LabelsStopped", "DeadLetters"}
    drift = rules["DataDrift"]
    assert (drift.severity, drift.annotations) == (Severity.CRITICAL, usual["DataDrift"].annotations)
    assert drift.condition == OfSignals((SignalKind.DATA_DRIFT,), min_score=0.7)
    stopped, lag = rules["PredictionsStopped"].condition, rules["IngestionLag"].condition
    assert isinstance(stopped, NoData)
    assert stopped.after == timedelta(hours=1)
    assert isinstance(lag, OfPipeline)
    assert (lag.after, rules["IngestionLag"].held_for) == (timedelta(minutes=5), timedelta())


def test_receivers_and_routes_are_read_and_routes_below_take_after_those_above() -> None:
    read = alerting(
        receivers=RECEIVERS
        | {
            "slack": {"format": "slack", "url_env": "SLACK", "send_resolved": False},
            "pager": {"format": "pagerduty", "routing_key_file": "/run/k", "networks": ["10.0.0.0/8"]},
            "two": {"url": "http://h", "secrets": [{"env": "NEW"}, {"file": "old"}], "send_values": True},
        },
        route={
            "receiver": "a", "group_by": ["model", "alertname"], "group_wait": "1s", "repeat_interval": "1d",
            "routes": [{"receiver": "pager", "match": ['severity="critical"'], "continue": True, "group_wait": "0s"}],
        },
        inhibit=[{"by": ["alertname=A"], "what": ["alertname=B"], "equal": ["model"]}],
        heartbeat={"to": "a", "every": "30s"},
    )  # fmt: skip
    first, slack, pager, two = read.receivers
    assert (first.url, first.secrets) == ("https://hooks.example/x", (Secret(env="A"),))
    assert (slack.format, slack.url, slack.url_secret) == (Format.SLACK, "", Secret(env="SLACK"))
    assert pager.url.startswith("https://events.pagerduty.com/")
    assert (pager.secrets, pager.networks) == ((Secret(file="/run/k"),), (ip_network("10.0.0.0/8"),))
    assert (two.secrets, two.send_values) == ((Secret(env="NEW"), Secret(file="old")), True)
    assert read.route is not None
    (below,) = read.route.routes
    assert (below.receiver, below.goes_on, below.group_wait) == ("pager", True, timedelta())
    assert (below.group_by, below.repeat_interval) == (("model", "alertname"), timedelta(days=1))
    assert (len(read.inhibitions), read.heartbeat_to) == (len(DEFAULT_INHIBITIONS) + 1, "a")
    assert alerting(default_inhibitions=False).inhibitions == ()


@pytest.mark.parametrize(
    ("document", "path", "said"),
    [
        ({"rulez": {}}, "rulez", "did you mean 'rules'"),
        ({"rules": {"A": {}}}, "rules.A", "say what it is about, by one of metric, signal"),
        ({"rules": {"A": {"metric": "f1", "sql": "x"}}}, "rules.A", "say what it is about, by one of"),
        ({"rules": {"A": {"metric": "f1"}}}, "rules.A", "`below:` a number, or `above:` one"),
        ({"rules": {"A": {"metric": "f1", "below": 1, "above": 2}}}, "rules.A", "`below:` a number"),
        ({"rules": {"A": {"metric": "f1", "below": "x"}}}, "rules.A.below", "'x' is no number"),
        ({"rules": {"A": {"metric": "f1", "below": 1, "mln_n": 3}}}, "rules.A.mln_n", "did you mean 'min_n'"),
        ({"rules": {"A": {"metric": "f1", "below": 1, "min_n": 1.5}}}, "rules.A.min_n", "no whole number"),
        ({"rules": {"A": {"metric": "f1", "below": 1, "min_completeness": 2}}}, "rules.A.min_completeness", "0 to 1"),
        ({"rules": {"A": {"metric": "f1", "below": 1, "window": "soon"}}}, "rules.A.window", "not a duration"),
        ({"rules": {"A": {"metric": "f1", "below": 1, "for": 5}}}, "rules.A.for", "5 has no unit"),
        ({"rules": {"A": {"ledger": True, "severity": "high"}}}, "rules.A.severity", "critical, warning, info"),
        ({"rules": {"A": {"ledger": True, "labels": {"severity": "x"}}}}, "rules.A.labels.severity", "the rule's own"),
        ({"rules": {"A": {"ledger": True, "labels": {"a-b": "x"}}}}, "rules.A.labels.a-b", "letters, digits and _"),
        (
            {"rules": {"A": {"ledger": True, "annotations": {"summary": "{{ valve }}"}}}},
            "rules.A.annotations.summary", "{{ valve }} is not known",
        ),
        (
            {"rules": {"A": {"ledger": True, "annotations": {"summary": "{{ value | x }}"}}}},
            "rules.A.annotations.summary", "filter x is not known",
        ),
        ({"rules": {"A": {"signal": "drift"}}}, "rules.A.signal", "data_drift, prediction_drift"),
        ({"rules": {"A": {"no_data": "rows"}}}, "rules.A.no_data", "predictions, labels"),
        ({"rules": {"Nope": False}}, "rules.Nope", "no rule of that name to turn off"),
        ({"receivers": {"a": {}}}, "receivers.a", "by one of url, url_env, url_file"),
        ({"receivers": {"a": {"url": "https://h", "url_env": "H"}}}, "receivers.a", "by one of url"),
        ({"receivers": {"a": {"url": "ftp://h"}}}, "receivers.a.url", "write https://host/path"),
        ({"receivers": {"a": {"url": "https://u:p@h"}}}, "receivers.a.url", "holds a secret"),
        ({"receivers": {"a": {"url": "https://hooks.slack.com/services/T/B/x"}}}, "receivers.a.url", "url_env"),
        ({"receivers": {"a": {"url": "https://h", "secret": "whsec_x"}}}, "receivers.a.secret", "secret_env"),
        ({"receivers": {"a": {"url": "https://h", "secrets": "X"}}}, "receivers.a.secrets", "[{env: NEW_SECRET}"),
        ({"receivers": {"a": {"url": "https://h", "secrets": [{}]}}}, "receivers.a.secrets[0]", "one of env, file"),
        ({"receivers": {"a": {"url": "https://h", "networks": ["10.1/8"]}}}, "receivers.a.networks[0]", "no network"),
        ({"receivers": {"a": {"format": "pagerduty"}}}, "receivers.a", "routing_key_env"),
        ({"receivers": {"a": {"url": "https://h", "format": "email"}}}, "receivers.a.format", "webhook, slack"),
        ({"receivers": RECEIVERS, "route": {"receiver": "b"}}, "route.receiver", "none of `receivers` (a)"),
        ({"receivers": RECEIVERS, "route": {}}, "route", "say who is told"),
        ({"receivers": RECEIVERS, "route": {"receiver": "a", "match": ["x=y"]}}, "route.match", "takes every alert"),
        (
            {"receivers": RECEIVERS, "route": {"receiver": "a", "repeat_interval": "1m"}},
            "route.repeat_interval", "shorter than group_interval",
        ),
        (
            {"receivers": RECEIVERS, "route": {"receiver": "a", "routes": [{"match": ["a b"]}]}},
            "route.routes[0].match[0]", "no condition on a label",
        ),
        (
            {"receivers": RECEIVERS, "route": {"receiver": "a", "routes": [{"match": ['m=~"(a+)+"']}]}},
            "route.routes[0].match[0]", "take forever",
        ),
        ({"inhibit": [{"by": ["a=b"]}]}, "inhibit[0]", "say what inhibits what"),
        ({"heartbeat": {"to": "x"}}, "heartbeat.to", "none of `receivers`"),
    ],
)  # fmt: skip
def test_a_mistake_says_where_it_is_and_what_to_write(document: dict[str, Any], path: str, said: str) -> None:
    found = mistakes(document)
    assert said in found[f"alerting.{path}"]


def test_all_mistakes_are_found_at_once() -> None:
    found = mistakes({"rules": {"A": {"metric": "f1"}}, "receivers": {"a": {}}, "route": {"receiver": "b"}})
    assert found.keys() == {"alerting.rules.A", "alerting.receivers.a", "alerting.route.receiver"}


def test_no_secret_is_shown_in_a_mistake() -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config({"alerting": {"receivers": {"a": {"url": "https://u:hunter2@h/whsec_abc"}}}})
    assert not re.search("hunter2|whsec_abc", str(refused.value))


@pytest.mark.parametrize("text", ['a="b"', 'a!="b c"', 'a=~"x|y.*"', 'a!~"z"', r'a="q\"uo\\te"', "a=bare", ' a = "b" '])
def test_a_condition_is_written_as_it_is_read(text: str) -> None:
    matcher = parse_matcher(text)
    assert parse_matcher(written(matcher)) == matcher


@pytest.mark.parametrize(
    "text", ["", "a", "=b", 'a="b', "a-b=c", 'a=~"["', 'a=~"(x*)*"', f'a=~"{"x" * 300}"', "a==b c"]
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"condition|expression|forever|pattern"):
        parse_matcher(text)


def test_conditions_hold_of_all_of_a_value_and_a_missing_label_is_empty() -> None:
    labels = {"model": "fraud-2"}
    assert all_hold([parse_matcher('model=~"fraud-[0-9]"'), parse_matcher("team!=x"), parse_matcher('team=""')], labels)
    assert not all_hold([parse_matcher("model=~fraud")], labels)


def test_templates_fill_in_and_never_run() -> None:
    details = Details("m", value=0.123456, n=4)
    assert render("{{value}} {{ value | percent }} {{ n }} {{ lower }}", {}, details) == "0.1235 12.3 % 4 ?"
    assert render("{{ labels.x }}", {"x": "{{ value }}"}, details) == "{{ value }}"
    for text in ("{{ value.__class__ }}", "{{ 1 + 1 }}", "{% if x %}", "{{ labels. }}", "{{ value", "x" * 3000):
        if "{%" not in text:
            with pytest.raises(ValueError, match=r"known|field|characters"):
                check_template(text)
