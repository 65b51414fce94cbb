"""``loopwatch.yaml`` to a `LoopwatchConfig`. Every mistake is found in one go, with its path and what to write."""

import re
from datetime import timedelta
from pathlib import Path

from .alerting_config import read_alerting
from .config_reader import Reader, join, shown
from .errors import ConfigError
from .events import MAX_ID_LENGTH, MAX_NAME_LENGTH, MAX_SEGMENTS
from .kpis import ALL_PREDICTIONS, Kpi, Measure, Per
from .monitoring import DEFAULT, NONE, Drift, Monitoring, Reference
from .outcomes import (
    DEFAULT_OUTCOME,
    Comparison,
    Defaults,
    Kind,
    LoopwatchConfig,
    ModelConfig,
    Outcome,
    Positive,
)
from .windows import Window
from .yaml_document import read_yaml

LONGEST_WINDOW = timedelta(days=400)
LONGEST_RETENTION = timedelta(days=3660)
MAX_OUTCOMES = 50
MAX_ACTIONS = 200
MAX_WINDOWS = 10
MAX_KPIS = 50
MAX_IGNORED = 1000
_HOUR = timedelta(hours=1)
_COMPARED = re.compile(r"(>=|<=|>|<)\s*(-?[0-9]+(?:[.][0-9]+)?)")


def load_config(path: str | Path | None) -> LoopwatchConfig:
    """Read the configuration; None, and an empty file, mean that every model gets the default outcome.

    Raises:
        ConfigError: with all the mistakes of the file.
    """
    if path is None:
        return LoopwatchConfig()
    return parse_config(read_yaml(Path(path)), source=Path(path).name)


def parse_config(document: object, source: str = "loopwatch.yaml") -> LoopwatchConfig:
    """The configuration that a parsed document means.

    Raises:
        ConfigError: with all the mistakes of the document; `source` is the name it is given there.

    >>> parse_config({"models": {"ctr": {"outcomes": {"click": {"widow": "30m"}}}}})
    Traceback (most recent call last):
    loopwatch.schemas.errors.ConfigError: loopwatch.yaml: models.ctr.outcomes.click.widow: unknown key; did you mean \
'window'? (allowed: actions, window, on_timeout, label, combine, positive)
    """
    problems: list[tuple[str, str]] = []
    config = _ConfigReader(problems).config(document)
    if problems:
        (path, message), *others = problems
        raise ConfigError(path, message, others, source)
    return config


class _ConfigReader(Reader):
    """Reads models and what holds for all of them."""

    def config(self, document: object) -> LoopwatchConfig:
        members = self.mapping("", document, ("models", "defaults", "alerting"))
        defaults = self._defaults("defaults", members.get("defaults"))
        models: dict[str, ModelConfig] = {}
        for name, entry in self.named("models", members.get("models"), MAX_ID_LENGTH).items():
            models[name] = self._model(join("models", name), name, entry, defaults)
        return LoopwatchConfig(models, defaults, read_alerting(members.get("alerting"), self.problems))

    def _defaults(self, path: str, value: object) -> Defaults:
        members = self.mapping(path, value, ("disorder", "orphan_grace", "retention", "windows", "monitoring"))
        usual = Defaults()
        hour, zero = timedelta(hours=1), timedelta()
        return Defaults(
            disorder=self.duration(path, members, "disorder", usual.disorder, zero, hour),
            orphan_grace=self.duration(path, members, "orphan_grace", usual.orphan_grace, zero, LONGEST_WINDOW),
            retention=self.duration(path, members, "retention", usual.retention, zero, LONGEST_RETENTION),
            windows=self._windows(path, members, usual.windows),
            monitoring=self._monitoring(join(path, "monitoring"), members.get("monitoring"), usual.monitoring),
        )

    def _model(self, path: str, name: str, value: object, defaults: Defaults) -> ModelConfig:
        members = self.mapping(
            path, value, ("kind", "outcomes", "segments", "retention", "windows", "kpis", "monitoring")
        )
        outcomes_path = join(path, "outcomes")
        named = self.named(outcomes_path, members.get("outcomes"), MAX_NAME_LENGTH)
        if len(named) > MAX_OUTCOMES:
            self.wrong(outcomes_path, f"{len(named)} outcomes, at most {MAX_OUTCOMES} fit a model")
        outcomes = tuple(self._outcome(join(outcomes_path, key), key, entry) for key, entry in named.items())
        kind = None if members.get("kind") is None else self.choice(path, members, "kind", Kind.CLASSIFICATION)
        return ModelConfig(
            name,
            kind,
            outcomes or (DEFAULT_OUTCOME,),
            self.texts(path, members, "segments", MAX_SEGMENTS),
            self.duration(path, members, "retention", defaults.retention, timedelta(), LONGEST_RETENTION),
            self._windows(path, members, defaults.windows),
            self._kpis(join(path, "kpis"), members.get("kpis")),
            self._monitoring(join(path, "monitoring"), members.get("monitoring"), defaults.monitoring),
        )

    def _outcome(self, path: str, name: str, value: object) -> Outcome:
        members = self.mapping(path, value, ("actions", "window", "on_timeout", "label", "combine", "positive"))
        return Outcome(
            name,
            self.texts(path, members, "actions", MAX_ACTIONS),
            self.duration(path, members, "window", DEFAULT_OUTCOME.window, timedelta(milliseconds=1), LONGEST_WINDOW),
            self.choice(path, members, "on_timeout", DEFAULT_OUTCOME.on_timeout),
            self.choice(path, members, "label", DEFAULT_OUTCOME.label),
            self.choice(path, members, "combine", DEFAULT_OUTCOME.combine),
            self._positive(path, members),
        )

    def _kpis(self, path: str, value: object) -> tuple[Kpi, ...]:
        named = self.named(path, value, MAX_NAME_LENGTH)
        if len(named) > MAX_KPIS:
            self.wrong(path, f"{len(named)} indicators, at most {MAX_KPIS} fit a model")
        read = (self._kpi(join(path, name), name, entry) for name, entry in named.items())
        return tuple(kpi for kpi in read if kpi is not None)

    def _kpi(self, path: str, name: str, value: object) -> Kpi | None:
        before = len(self.problems)
        members = self.mapping(path, value, (*[measure.value for measure in Measure], "of", "per", "value"))
        said = [measure for measure in Measure if members.get(measure) is not None]
        if len(said) != 1:
            if len(self.problems) == before:
                self.wrong(path, f"say one of {', '.join(Measure)}, and of which action: as in {{share: click}}")
            return None
        (measure,) = said
        for key, measures in (("of", [Measure.SHARE]), ("per", [Measure.COUNT, Measure.SUM])):
            if members.get(key) is not None and measure not in measures:
                self.wrong(join(path, key), f"goes with {' and '.join(measures)}, not with {measure}")
        per = None if members.get("per") is None else self.choice(path, members, "per", Per.PREDICTION)
        action, of = self.name(path, members, measure), self.name(path, members, "of")
        return Kpi(
            name,
            measure,
            action,
            None if of in ("", ALL_PREDICTIONS) else of,
            per,
            self._positive(path, members, "value"),
        )

    def _monitoring(self, path: str, value: object, usual: Monitoring) -> Monitoring:
        members = self.mapping(path, value, ("drift", "losses", "series", "events"))
        return Monitoring(
            self._drift(join(path, "drift"), members.get("drift"), usual.drift),
            self._detector(path, members, "losses", usual.losses),
            self._detector(path, members, "series", usual.series),
            self._whether(path, members, "events", usual.events),
        )

    def _drift(self, path: str, value: object, usual: Drift | None) -> Drift | None:
        if value is None or value == DEFAULT:
            return usual
        if value == NONE:
            return None
        members = self.mapping(path, value, ("windows", "reference", "ignore"))
        known = usual or Drift()
        windows = self._windows(path, members, known.windows)
        for position, window in enumerate(windows):
            if window.size != window.step or window.size % _HOUR:
                self.wrong(f"{join(path, 'windows')}[{position}]", f"'{window}' is not of whole hours that follow")
        reference, text = known.reference, members.get("reference")
        if text is not None:
            try:
                reference = Reference.parse(str(text))
            except ValueError as exc:
                said = f"{exc} (allowed: previous, training, a duration, or two instants as in 2026-01-01/2026-02-01)"
                self.wrong(join(path, "reference"), said)
        return Drift(windows, reference, self.texts(path, members, "ignore", MAX_IGNORED) or known.ignore)

    def _detector(self, parent: str, members: dict[str, object], key: str, usual: str) -> str:
        value = members.get(key)
        if value is None or (isinstance(value, str) and self.is_name(value, MAX_NAME_LENGTH)):
            return usual if value is None else str(value)
        self.wrong(join(parent, key), f"{shown(value)} is no name of a detector: see docs/detectors.md")
        return usual

    def _whether(self, parent: str, members: dict[str, object], key: str, usual: str) -> str:
        value = members.get(key)
        if value is None or value in (DEFAULT, NONE):
            return usual if value is None else str(value)
        self.wrong(join(parent, key), f"{shown(value)} is neither {DEFAULT} nor {NONE}")
        return usual

    def _positive(self, parent: str, members: dict[str, object], key: str = "positive") -> Positive | None:
        value, path = members.get(key), join(parent, key)
        if value is None:
            return None
        if not isinstance(value, str) or not self.is_name(value, MAX_NAME_LENGTH):
            self.wrong(path, f'{shown(value)} names no labels: write "> 15" (or >=, <, <=), or one label in quotes')
            return None
        found = _COMPARED.fullmatch(value)
        if found is None:
            if value[0] in "<>=":
                self.wrong(path, f'{shown(value)} compares with no number: write it as in "> 15"')
            return Positive(text=value)
        return Positive(comparison=Comparison(found[1]), bound=float(found[2]))

    def _windows(self, parent: str, members: dict[str, object], usual: tuple[Window, ...]) -> tuple[Window, ...]:
        path = join(parent, "windows")
        windows: list[Window] = []
        for position, text in enumerate(self.texts(parent, members, "windows", MAX_WINDOWS)):
            try:
                windows.append(Window.parse(text))
            except ValueError as exc:
                self.wrong(f"{path}[{position}]", str(exc))
        return tuple(windows) or usual
