"""``loopwatch.yaml`` to a `LoopwatchConfig`. Every mistake is found in one go, with its path and what to write."""

import re
from datetime import timedelta
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from .durations import HOW_TO_WRITE, format_duration, parse_duration
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

S = TypeVar("S", bound=StrEnum)


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
    reader = _Reader()
    config = reader.config(document)
    if reader.problems:
        (path, message), *others = reader.problems
        raise ConfigError(path, message, others, source)
    return config


class _Reader:
    """Walks the document. A mistake is noted in `problems` and read as its default, so that the walk goes on."""

    def __init__(self) -> None:
        self.problems: list[tuple[str, str]] = []

    def config(self, document: object) -> LoopwatchConfig:
        members = self._object("", document, ("models", "defaults"))
        defaults = self._defaults("defaults", members.get("defaults"))
        models: dict[str, ModelConfig] = {}
        for name, entry in self._named("models", members.get("models"), MAX_ID_LENGTH).items():
            models[name] = self._model(_join("models", name), name, entry, defaults)
        return LoopwatchConfig(models, defaults)

    def _defaults(self, path: str, value: object) -> Defaults:
        members = self._object(path, value, ("disorder", "orphan_grace", "retention", "windows", "monitoring"))
        usual = Defaults()
        hour, zero = timedelta(hours=1), timedelta()
        return Defaults(
            disorder=self._duration(path, members, "disorder", usual.disorder, zero, hour),
            orphan_grace=self._duration(path, members, "orphan_grace", usual.orphan_grace, zero, LONGEST_WINDOW),
            retention=self._duration(path, members, "retention", usual.retention, zero, LONGEST_RETENTION),
            windows=self._windows(path, members, usual.windows),
            monitoring=self._monitoring(_join(path, "monitoring"), members.get("monitoring"), usual.monitoring),
        )

    def _model(self, path: str, name: str, value: object, defaults: Defaults) -> ModelConfig:
        members = self._object(
            path, value, ("kind", "outcomes", "segments", "retention", "windows", "kpis", "monitoring")
        )
        outcomes_path = _join(path, "outcomes")
        named = self._named(outcomes_path, members.get("outcomes"), MAX_NAME_LENGTH)
        if len(named) > MAX_OUTCOMES:
            self._wrong(outcomes_path, f"{len(named)} outcomes, at most {MAX_OUTCOMES} fit a model")
        outcomes = tuple(self._outcome(_join(outcomes_path, key), key, entry) for key, entry in named.items())
        kind = None if members.get("kind") is None else self._choice(path, members, "kind", Kind.CLASSIFICATION)
        return ModelConfig(
            name,
            kind,
            outcomes or (DEFAULT_OUTCOME,),
            self._texts(path, members, "segments", MAX_SEGMENTS),
            self._duration(path, members, "retention", defaults.retention, timedelta(), LONGEST_RETENTION),
            self._windows(path, members, defaults.windows),
            self._kpis(_join(path, "kpis"), members.get("kpis")),
            self._monitoring(_join(path, "monitoring"), members.get("monitoring"), defaults.monitoring),
        )

    def _outcome(self, path: str, name: str, value: object) -> Outcome:
        members = self._object(path, value, ("actions", "window", "on_timeout", "label", "combine", "positive"))
        return Outcome(
            name,
            self._texts(path, members, "actions", MAX_ACTIONS),
            self._duration(path, members, "window", DEFAULT_OUTCOME.window, timedelta(milliseconds=1), LONGEST_WINDOW),
            self._choice(path, members, "on_timeout", DEFAULT_OUTCOME.on_timeout),
            self._choice(path, members, "label", DEFAULT_OUTCOME.label),
            self._choice(path, members, "combine", DEFAULT_OUTCOME.combine),
            self._positive(path, members),
        )

    def _kpis(self, path: str, value: object) -> tuple[Kpi, ...]:
        named = self._named(path, value, MAX_NAME_LENGTH)
        if len(named) > MAX_KPIS:
            self._wrong(path, f"{len(named)} indicators, at most {MAX_KPIS} fit a model")
        read = (self._kpi(_join(path, name), name, entry) for name, entry in named.items())
        return tuple(kpi for kpi in read if kpi is not None)

    def _kpi(self, path: str, name: str, value: object) -> Kpi | None:
        before = len(self.problems)
        members = self._object(path, value, (*[measure.value for measure in Measure], "of", "per", "value"))
        said = [measure for measure in Measure if members.get(measure) is not None]
        if len(said) != 1:
            if len(self.problems) == before:
                self._wrong(path, f"say one of {', '.join(Measure)}, and of which action: as in {{share: click}}")
            return None
        (measure,) = said
        for key, measures in (("of", [Measure.SHARE]), ("per", [Measure.COUNT, Measure.SUM])):
            if members.get(key) is not None and measure not in measures:
                self._wrong(_join(path, key), f"goes with {' and '.join(measures)}, not with {measure}")
        per = None if members.get("per") is None else self._choice(path, members, "per", Per.PREDICTION)
        action, of = self._name(path, members, measure), self._name(path, members, "of")
        return Kpi(
            name,
            measure,
            action,
            None if of in ("", ALL_PREDICTIONS) else of,
            per,
            self._positive(path, members, "value"),
        )

    def _monitoring(self, path: str, value: object, usual: Monitoring) -> Monitoring:
        members = self._object(path, value, ("drift", "losses", "series"))
        return Monitoring(
            self._drift(_join(path, "drift"), members.get("drift"), usual.drift),
            self._detector(path, members, "losses", usual.losses),
            self._detector(path, members, "series", usual.series),
        )

    def _drift(self, path: str, value: object, usual: Drift | None) -> Drift | None:
        if value is None or value == DEFAULT:
            return usual
        if value == NONE:
            return None
        members = self._object(path, value, ("windows", "reference", "ignore"))
        known = usual or Drift()
        windows = self._windows(path, members, known.windows)
        for position, window in enumerate(windows):
            if window.size != window.step or window.size % _HOUR:
                self._wrong(f"{_join(path, 'windows')}[{position}]", f"'{window}' is not of whole hours that follow")
        reference, text = known.reference, members.get("reference")
        if text is not None:
            try:
                reference = Reference.parse(str(text))
            except ValueError as exc:
                said = f"{exc} (allowed: previous, training, a duration, or two instants as in 2026-01-01/2026-02-01)"
                self._wrong(_join(path, "reference"), said)
        return Drift(windows, reference, self._texts(path, members, "ignore", MAX_IGNORED) or known.ignore)

    def _detector(self, parent: str, members: dict[str, object], key: str, usual: str) -> str:
        value = members.get(key)
        if value is None or (isinstance(value, str) and self._is_name(value, MAX_NAME_LENGTH)):
            return usual if value is None else str(value)
        self._wrong(_join(parent, key), f"{_shown(value)} is no name of a detector: see docs/detectors.md")
        return usual

    def _positive(self, parent: str, members: dict[str, object], key: str = "positive") -> Positive | None:
        value, path = members.get(key), _join(parent, key)
        if value is None:
            return None
        if not isinstance(value, str) or not self._is_name(value, MAX_NAME_LENGTH):
            self._wrong(path, f'{_shown(value)} names no labels: write "> 15" (or >=, <, <=), or one label in quotes')
            return None
        found = _COMPARED.fullmatch(value)
        if found is None:
            if value[0] in "<>=":
                self._wrong(path, f'{_shown(value)} compares with no number: write it as in "> 15"')
            return Positive(text=value)
        return Positive(comparison=Comparison(found[1]), bound=float(found[2]))

    def _windows(self, parent: str, members: dict[str, object], usual: tuple[Window, ...]) -> tuple[Window, ...]:
        path = _join(parent, "windows")
        windows: list[Window] = []
        for position, text in enumerate(self._texts(parent, members, "windows", MAX_WINDOWS)):
            try:
                windows.append(Window.parse(text))
            except ValueError as exc:
                self._wrong(f"{path}[{position}]", str(exc))
        return tuple(windows) or usual

    def _wrong(self, path: str, message: str) -> None:
        self.problems.append((path, message))

    def _named(self, path: str, value: object, longest: int) -> dict[str, object]:
        """An object whose keys are names that people choose."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._wrong(path, f"{_shown(value)} is no mapping of names to settings")
            return {}
        named: dict[str, object] = {}
        for key, entry in value.items():
            if not isinstance(key, str):
                self._wrong(_join(path, key), f"a name must be text: write {str(key)[:40]!r} in quotes")
            elif not self._is_name(key, longest):
                self._wrong(_join(path, key[:40]), f"a name has 1 to {longest} printable characters")
            else:
                named[key] = entry
        return named

    def _object(self, path: str, value: object, allowed: tuple[str, ...]) -> dict[str, object]:
        """An object with keys that we choose."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._wrong(path, f"{_shown(value)} is no mapping (allowed keys: {', '.join(allowed)})")
            return {}
        for key in value:
            if key not in allowed:
                hint = _did_you_mean(key, allowed)
                self._wrong(_join(path, key), f"unknown key{hint} (allowed: {', '.join(allowed)})")
        return {key: value[key] for key in allowed if key in value}

    def _name(self, parent: str, members: dict[str, object], key: str) -> str:
        value, path = members.get(key), _join(parent, key)
        if isinstance(value, str) and self._is_name(value, MAX_NAME_LENGTH):
            return value
        if value is not None:
            self._wrong(
                path, f"{_shown(value)} is no name of an action: write 1 to {MAX_NAME_LENGTH} characters of text"
            )
        return ""

    def _texts(self, parent: str, members: dict[str, object], key: str, most: int) -> tuple[str, ...]:
        value, path = members.get(key), _join(parent, key)
        if value is None:
            return ()
        if not isinstance(value, list):
            self._wrong(path, f"{_shown(value)} is no list: write [{_plain(value)}]")
            return ()
        for position, item in enumerate(value):
            if not isinstance(item, str):
                self._wrong(f"{path}[{position}]", f"{_shown(item)} is no text: write it in quotes")
            elif not self._is_name(item, MAX_NAME_LENGTH):
                self._wrong(f"{path}[{position}]", f"a name has 1 to {MAX_NAME_LENGTH} printable characters")
            elif item in value[:position]:
                self._wrong(f"{path}[{position}]", f"{_shown(item)} is there twice")
        if len(value) > most:
            self._wrong(path, f"{len(value)} entries, at most {most} are taken")
        return tuple(item for item in value if isinstance(item, str))

    def _choice(self, parent: str, members: dict[str, object], key: str, usual: S) -> S:
        value = members.get(key)
        if value is None:
            return usual
        allowed = [member.value for member in type(usual)]
        if isinstance(value, str) and value in allowed:
            return type(usual)(value)
        hint = _did_you_mean(value, allowed)
        self._wrong(_join(parent, key), f"{_shown(value)} is not allowed{hint} (allowed: {', '.join(allowed)})")
        return usual

    def _duration(
        self, parent: str, members: dict[str, object], key: str, usual: timedelta, least: timedelta, most: timedelta
    ) -> timedelta:
        value, path = members.get(key), _join(parent, key)
        if value is None:
            return usual
        if not isinstance(value, str):
            self._wrong(path, f"{_shown(value)} has no unit: {HOW_TO_WRITE}")
            return usual
        try:
            duration = parse_duration(value)
        except ValueError as exc:
            self._wrong(path, str(exc))
            return usual
        if least <= duration <= most:
            return duration
        bounds = f"allowed: {'more than 0' if least else '0s'} to {format_duration(most)}"
        self._wrong(path, f"{_shown(value)} is out of bounds ({bounds})")
        return usual

    @staticmethod
    def _is_name(text: str, longest: int) -> bool:
        return 0 < len(text) <= longest and text.isprintable()


def _join(parent: str, key: object) -> str:
    return f"{parent}.{str(key)[:80]}" if parent else str(key)[:80]


def _plain(value: object) -> str:
    return str(value)[:40]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _did_you_mean(value: object, allowed: tuple[str, ...] | list[str]) -> str:
    close = get_close_matches(str(value)[:80].lower().replace("-", "_"), allowed, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
