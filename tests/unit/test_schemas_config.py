"""`loopwatch.yaml`: what it means, and that a mistake says where it is and what to write."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopwatch.schemas.config import load_config, parse_config
from loopwatch.schemas.durations import format_duration, parse_duration
from loopwatch.schemas.errors import ConfigError
from loopwatch.schemas.kpis import Kpi, Measure, Per
from loopwatch.schemas.monitoring import Drift, Monitoring, Reference
from loopwatch.schemas.outcomes import (
    DEFAULT_OUTCOME,
    Combine,
    Comparison,
    Kind,
    LabelRule,
    LoopwatchConfig,
    OnTimeout,
    Outcome,
    Positive,
)
from loopwatch.schemas.windows import Window
from loopwatch.stream_processors.monitor.choice import check_detectors

DESIGN_EXAMPLE = """
models:
  ctr-ranker:
    kind: classification
    outcomes:
      click:   {actions: [click],    window: 30m, on_timeout: negative,   label: positive}
      revenue: {actions: [purchase], window: 7d,  on_timeout: unlabelled, label: value, combine: sum}
    segments: [country]
    retention: 90d
defaults: {disorder: 10s, orphan_grace: 1h}
"""


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "loopwatch.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def mistakes(path: Path) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value)
    return dict(caught.value.problems)


def test_the_example_of_the_design_means_what_it_says(write) -> None:
    config = load_config(write(DESIGN_EXAMPLE))
    model = config.for_model("ctr-ranker")
    assert model.kind is Kind.CLASSIFICATION
    assert model.outcomes == (
        Outcome("click", ("click",), timedelta(minutes=30), OnTimeout.NEGATIVE, LabelRule.POSITIVE, Combine.LAST),
        Outcome("revenue", ("purchase",), timedelta(days=7), OnTimeout.UNLABELLED, LabelRule.VALUE, Combine.SUM),
    )
    assert (model.segments, model.retention, model.longest_window) == (
        ("country",),
        timedelta(days=90),
        timedelta(days=7),
    )
    assert config.defaults.disorder == timedelta(seconds=10)


@pytest.mark.parametrize("text", ["", "# nothing\n", "models:\n", "models: {}\ndefaults:\n"])
def test_a_file_that_says_nothing_means_the_defaults(write, text: str) -> None:
    assert load_config(write(text)) == load_config(None) == LoopwatchConfig()


def test_a_model_nobody_configured_has_the_default_outcome() -> None:
    config = LoopwatchConfig()
    model = config.for_model("unheard-of")
    assert (model.name, model.outcomes, model.kind) == ("unheard-of", (DEFAULT_OUTCOME,), None)
    assert model is config.for_model("unheard-of")
    default = model.outcomes[0]
    assert (default.actions, default.window) == ((), timedelta(hours=24))
    assert (default.on_timeout, default.label, default.combine) == ("unlabelled", "value", "last")


def test_a_model_without_outcomes_has_the_default_one(write) -> None:
    model = load_config(write("models: {m: {segments: [country]}, n: }")).for_model("m")
    assert model.outcomes == (DEFAULT_OUTCOME,)


def test_retention_comes_from_the_defaults_unless_a_model_sets_it(write) -> None:
    config = load_config(write("models: {a: {retention: 5d}, b: {}}\ndefaults: {retention: 30d}"))
    assert [config.for_model(name).retention.days for name in ("a", "b", "unknown")] == [5, 30, 30]


def test_an_empty_list_of_actions_means_any(write) -> None:
    config = load_config(write("models: {m: {outcomes: {any: {actions: []}, also: {window: 1h}}}}"))
    assert all(outcome.names("whatever") for outcome in config.for_model("m").outcomes)


@pytest.mark.parametrize(
    ("text", "positive"),
    [
        ("> 15", Positive(comparison=Comparison.MORE, bound=15)),
        (">=0.5", Positive(comparison=Comparison.AT_LEAST, bound=0.5)),
        ("< -3", Positive(comparison=Comparison.LESS, bound=-3)),
        ("<= 1", Positive(comparison=Comparison.AT_MOST, bound=1)),
        ("cancelled", Positive(text="cancelled")),
        ("15", Positive(text="15")),
    ],
)
def test_the_positive_class_is_a_side_of_a_bound_or_a_label(write, text: str, positive: Positive) -> None:
    config = load_config(write(f'models: {{m: {{outcomes: {{o: {{positive: "{text}"}}}}}}}}'))
    assert config.for_model("m").outcomes[0].positive == positive


def test_indicators_are_measures_of_actions(write) -> None:
    config = load_config(
        write("""
models:
  ctr:
    kpis:
      ctr: {share: click, of: prediction}
      conversion: {share: purchase, of: click}
      revenue: {sum: purchase}
      revenue_each: {sum: purchase, per: prediction}
      satisfied: {share: rating, value: ">= 4", of: rating}
  other:
    kpis:
""")
    )
    assert config.for_model("ctr").kpis == (
        Kpi("ctr", Measure.SHARE, "click"),
        Kpi("conversion", Measure.SHARE, "purchase", of="click"),
        Kpi("revenue", Measure.SUM, "purchase"),
        Kpi("revenue_each", Measure.SUM, "purchase", per=Per.PREDICTION),
        Kpi("satisfied", Measure.SHARE, "rating", of="rating", value=Positive(comparison=Comparison.AT_LEAST, bound=4)),
    )
    assert config.for_model("other").kpis == ()


def test_mistakes_in_indicators_say_what_to_write(write) -> None:
    found = mistakes(
        write("""
models:
  ctr:
    kpis:
      nothing:
      both: {share: click, count: click}
      typo: {shar: click}
      text: click
      number: {count: 1}
      per_share: {share: click, per: prediction}
      of_mean: {mean: rating, of: rating}
      per_click: {sum: purchase, per: predictions}
      value: {share: rating, value: 4}
  other: {kpis: [ctr]}
""")
    )
    expected = {
        "models.ctr.kpis.nothing": ("one of share, count, sum, mean", "{share: click}"),
        "models.ctr.kpis.both": ("one of share, count, sum, mean",),
        "models.ctr.kpis.typo.shar": ("did you mean 'share'", "share, count, sum, mean, of, per, value"),
        "models.ctr.kpis.text": ("'click' is no mapping",),
        "models.ctr.kpis.number.count": ("1 is no name",),
        "models.ctr.kpis.per_share.per": ("goes with count and sum, not with share",),
        "models.ctr.kpis.of_mean.of": ("goes with share, not with mean",),
        "models.ctr.kpis.per_click.per": ("'predictions'", "did you mean 'prediction'"),
        "models.ctr.kpis.value.value": ('"> 15"',),
        "models.other.kpis": ("no mapping",),
    }
    assert found.keys() == expected.keys()
    for path, parts in expected.items():
        assert all(part in found[path] for part in parts), (path, found[path])


def test_a_model_has_so_many_indicators_at_most(write) -> None:
    many = ", ".join(f"k{index}: {{count: click}}" for index in range(51))
    assert mistakes(write(f"models: {{m: {{kpis: {{{many}}}}}}}")) == {
        "models.m.kpis": "51 indicators, at most 50 fit a model"
    }


def test_all_mistakes_are_reported_at_once_with_path_value_and_what_is_allowed(write) -> None:
    found = mistakes(
        write("""
models:
  ctr:
    kind: clasification
    outcomes:
      click: {actions: click, window: 30, on_timeout: negativ, label: "yes", combine: average, widow: 3m}
      zero: {window: 0s}
      long: {window: 401d}
      42: {}
      late: {positive: 15}
      later: {positive: "> soon"}
    segments: [1, a, a]
    retntion: 3d
  other: [1]
defaults: {disorder: soon, orphan-grace: 1h}
model: {}
""")
    )
    expected = {
        "models.ctr.kind": ("'clasification'", "did you mean 'classification'", "ranking"),
        "models.ctr.outcomes.click.actions": ("'click'", "[click]"),
        "models.ctr.outcomes.click.window": ("30 has no unit", "30m"),
        "models.ctr.outcomes.click.on_timeout": ("'negativ'", "did you mean 'negative'", "unlabelled"),
        "models.ctr.outcomes.click.label": ("'yes'", "positive, value"),
        "models.ctr.outcomes.click.combine": ("'average'", "first, last, max, sum"),
        "models.ctr.outcomes.click.widow": ("unknown key", "did you mean 'window'"),
        "models.ctr.outcomes.zero.window": ("'0s'", "more than 0"),
        "models.ctr.outcomes.long.window": ("'401d'", "400d"),
        "models.ctr.outcomes.42": ("quotes",),
        "models.ctr.outcomes.late.positive": ("15 names no labels", '"> 15"'),
        "models.ctr.outcomes.later.positive": ("'> soon' compares with no number",),
        "models.ctr.segments[0]": ("1 is no text",),
        "models.ctr.segments[2]": ("twice",),
        "models.ctr.retntion": ("did you mean 'retention'",),
        "models.other": ("[1]", "allowed keys"),
        "defaults.disorder": ("'soon'", "10s"),
        "defaults.orphan-grace": ("did you mean 'orphan_grace'",),
        "model": ("did you mean 'models'",),
    }
    assert found.keys() == expected.keys()
    for path, parts in expected.items():
        assert all(part in found[path] for part in parts), (path, found[path])


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("models: {}\nmodels: {}", "line 2, column 1", "twice"),
        ("models: {m: {}, m: {}}", "line 1, column 17", "twice"),
        ("a: &a [x]\nb: *a", "line 2, column 4", "aliases"),
        ("[" * 5000, "line 1, column 21", "nested too deep"),
        ("a: !!python/object/apply:os.system [ls]", "line 1, column 4", "python/object"),
        ("\tmodels:", "line 1, column 1", "cannot start"),
        ("a: 2024-99-99", "", "not YAML"),
        (b"a: \xff", "", "UTF-8"),
        ("- 1", "", "no mapping"),
        ("x" * (1 << 20) + "y", "", "larger"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_place(write, text: str | bytes, where: str, what: str) -> None:
    found = mistakes(write(text))
    assert list(found) == [where]
    assert what in found[where]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        load_config(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("10s", timedelta(seconds=10)),
        ("1h30m", timedelta(minutes=90)),
        ("2w", timedelta(weeks=2)),
        ("1d12h", timedelta(hours=36)),
        ("1m500ms", timedelta(seconds=60.5)),
    ],
)
def test_durations_are_read(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "1.5h", "1 h", "30m1h", "1h1h", "١h", "9999999999w", "1y"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.timedeltas(timedelta(), timedelta(days=5000)).map(lambda d: d - d % timedelta(milliseconds=1)))
def test_a_duration_is_written_as_it_is_read(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


def test_windows_are_sizes_with_or_without_a_step() -> None:
    config = parse_config(
        {"defaults": {"windows": ["2h"]}, "models": {"ctr": {"windows": ["7d/1d", "1h"]}, "fraud": {}}}
    )
    assert [str(window) for window in config.models["ctr"].windows] == ["7d/1d", "1h"]
    assert [str(window) for window in config.models["fraud"].windows] == ["2h"]
    assert [str(window) for window in config.for_model("unheard-of").windows] == ["2h"]


@pytest.mark.parametrize("text", ["1500ms", "7d/2d", "1d/1s", "0s", "1h/", "soon"])
def test_windows_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"models\.ctr\.windows\[0\]"):
        parse_config({"models": {"ctr": {"windows": [text]}}})


def test_what_is_watched_is_read_and_defaults_hold_for_what_a_model_does_not_say() -> None:
    document = {
        "defaults": {"monitoring": {"drift": {"reference": "training", "ignore": ["hour"]}, "series": "none"}},
        "models": {
            "a": {"monitoring": {"losses": "adwin", "drift": {"windows": ["6h"]}}},
            "b": {"monitoring": {"drift": "none", "events": "none"}},
        },
    }
    config = parse_config(document)
    training = Reference(training=True)
    assert config.for_model("a").monitoring == Monitoring(
        Drift((Window.parse("6h"),), training, ("hour",)), "adwin", "none"
    )
    assert config.for_model("b").monitoring == Monitoring(None, "default", "none", "none")
    assert config.for_model("unheard-of").monitoring == Monitoring(Drift((), training, ("hour",)), "default", "none")
    assert LoopwatchConfig().for_model("m").monitoring.drift == Drift()


def test_mistakes_in_what_is_watched_are_named() -> None:
    drift = {"windows": ["90m", "2h/1h"], "reference": "soon", "ignore": "hour", "window": "1h"}
    monitoring = {"drift": drift, "losses": 3, "serie": "none", "events": "trees"}
    with pytest.raises(ConfigError) as caught:
        parse_config({"models": {"m": {"monitoring": monitoring}}})
    found = dict(caught.value.problems)
    expected = {
        "models.m.monitoring.drift.windows[0]": ("whole hours",),
        "models.m.monitoring.drift.windows[1]": ("whole hours that follow",),
        "models.m.monitoring.drift.reference": ("'soon'", "previous, training, a duration"),
        "models.m.monitoring.drift.ignore": ("[hour]",),
        "models.m.monitoring.drift.window": ("did you mean 'windows'",),
        "models.m.monitoring.losses": ("3 is no name of a detector", "docs/detectors.md"),
        "models.m.monitoring.events": ("'trees' is neither default nor none",),
        "models.m.monitoring.serie": ("did you mean 'series'",),
    }
    assert found.keys() == expected.keys()
    for path, parts in expected.items():
        assert all(part in found[path] for part in parts), (path, found[path])


@pytest.mark.parametrize("text", ["7d", "previous", "training", "2026-01-01T00:00:00Z/2026-02-01T05:00:00Z", "1h"])
def test_a_reference_is_written_as_it_is_read(text: str) -> None:
    assert str(Reference.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("30m", "whole hours"), ("90m", "whole hours"), ("401d", "1h to"), ("2026-02-01/2026-01-01", "ends before"),
        ("2026-01-01/2026-01-01", "ends before"), ("2026-01-01T00:30Z/2026-02-01", "whole hour"),
        ("soon/2026-01-01", "no instant"), ("2026-01-01/", "no instant"), ("", "duration"),
    ],
)  # fmt: skip
def test_what_is_no_reference_is_refused(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Reference.parse(text)


def test_detectors_that_there_are_not_are_named_with_those_there_are() -> None:
    for good in ("default", "none", "glr", "kswin"):
        check_detectors(parse_config({"models": {"m": {"monitoring": {"losses": good}}}}))
    bad = {"losses": "kswim", "series": "glr"}
    with pytest.raises(ConfigError) as caught:
        check_detectors(parse_config({"models": {"m": {"monitoring": bad}}}))
    found = dict(caught.value.problems)
    assert found.keys() == {"models.m.monitoring.losses", "models.m.monitoring.series"}
    assert "did you mean 'kswin'" in found["models.m.monitoring.losses"]
    assert "allowed: default, none, baseline, series_anomalies" in found["models.m.monitoring.series"]
