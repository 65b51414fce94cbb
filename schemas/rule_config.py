"""`alerting.rules:` of ``loopwatch.yaml`` to rules; one that has the name of a rule by default changes that."""

import re
from datetime import timedelta

from .alerting import (
    Bound,
    Condition,
    Expected,
    Ill,
    NoData,
    OfBudget,
    OfDeadLetters,
    OfGap,
    OfLabelDelay,
    OfLedger,
    OfMetric,
    OfPipeline,
    OfQuery,
    OfSignals,
    Rule,
)
from .alerts import ALERTNAME, SEVERITY, Category
from .comparison import Comparison
from .config_reader import Reader, join, shown
from .default_alerting import DEFAULT_RULES
from .events import MAX_NAME_LENGTH
from .signals import SignalKind
from .templates import check_template
from .windows import TimeOf, Window

MAX_RULES = 500
MAX_QUERY = 20_000
OFF = "off"

_RULE_KEYS = ("models", "for", "keep_firing_for", "severity", "labels", "annotations", "owner", "runbook", OFF)
CONDITIONS: dict[str, tuple[str, ...]] = {
    "metric": (
        "below", "above", "outcome", "window", "time_of", "slices", "min_n", "min_completeness", "surely",
    ),
    "signal": ("subjects", "min_score", "slices"),
    "gap": ("below", "above", "min_n"),
    "no_data": ("after",),
    "pipeline": ("after",),
    "ledger": (),
    "dead_letters": ("within", "min_n"),
    "label_delay": ("above", "quantile", "within", "min_n"),
    "budget": ("per", "burn", "within"),
    "sql": ("below", "above", "category"),
}  # fmt: skip
"""What a rule may be about, and the keys that go with it."""

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ZERO, _SECOND, _YEAR = timedelta(), timedelta(seconds=1), timedelta(days=400)


class RuleReader(Reader):
    """Reads rules; mistakes are added to `problems`."""

    def rules(self, path: str, value: object) -> tuple[Rule, ...]:
        rules = {rule.name: rule for rule in DEFAULT_RULES}
        for name, entry in self.few(path, value, MAX_RULES).items():
            rule_path = join(path, name)
            # YAML reads a bare `off` as false.
            if entry in (False, OFF):
                if rules.pop(name, None) is None:
                    self.wrong(rule_path, f"no rule of that name to turn off (by default: {', '.join(rules)})")
                continue
            rule = self._rule(rule_path, name, entry, rules.get(name))
            if rule is not None:
                rules[name] = rule
        return tuple(rules.values())

    def _rule(self, path: str, name: str, value: object, usual: Rule | None) -> Rule | None:
        said = [key for key in CONDITIONS if isinstance(value, dict) and value.get(key) is not None]
        usual_kind = usual.condition.__struct_config__.tag if usual is not None else None
        if not said and usual_kind is not None:
            said = [str(usual_kind)]
        if len(said) != 1:
            self.wrong(path, f"say what it is about, by one of {', '.join(CONDITIONS)}")
            return usual
        (kind,) = said
        members = self.mapping(path, value, (kind, *CONDITIONS[kind], *_RULE_KEYS))
        known = usual or Rule(name=name, condition=OfLedger())
        condition = self._condition(path, kind, members, usual.condition if usual is not None else None)
        if condition is None:
            return usual
        annotations = self._texts_by_name(join(path, "annotations"), members.get("annotations"))
        for key, text in annotations.items():
            try:
                check_template(text)
            except ValueError as exc:
                self.wrong(join(join(path, "annotations"), key), str(exc))
        return Rule(
            name=name,
            condition=condition,
            models=self.texts(path, members, "models", MAX_RULES) or known.models,
            held_for=self.duration(path, members, "for", known.held_for, _ZERO, _YEAR),
            keep_firing_for=self.duration(path, members, "keep_firing_for", known.keep_firing_for, _ZERO, _YEAR),
            severity=self.choice(path, members, "severity", known.severity),
            labels=known.labels | self._labels(join(path, "labels"), members.get("labels")),
            annotations=known.annotations | annotations,
            owner=self.text(path, members, "owner", MAX_NAME_LENGTH) or known.owner,
            runbook=self.text(path, members, "runbook", 1000) or known.runbook,
        )

    def _condition(self, path: str, kind: str, members: dict[str, object], usual: Condition | None) -> Condition | None:
        match kind:
            case "metric":
                bound = self._bound(path, members)
                known = OfMetric("", Bound(Comparison.LESS, 0))
                window = self.text(path, members, "window", 40)
                return bound and OfMetric(
                    metric=self.name(path, members, "metric"),
                    bound=bound,
                    window=self._window(join(path, "window"), window) if window else None,
                    time_of=self.choice(path, members, "time_of", TimeOf.PREDICTION),
                    outcome=self.name(path, members, "outcome"),
                    slices=self.flag(path, members, "slices", known.slices),
                    min_n=self.whole(path, members, "min_n", known.min_n, 0),
                    min_completeness=self.number(path, members, "min_completeness", known.min_completeness, 0, 1),
                    surely=self.flag(path, members, "surely", known.surely),
                )
            case "signal":
                known_signals = usual if isinstance(usual, OfSignals) else OfSignals(())
                return OfSignals(
                    kinds=self._kinds(path, members) or known_signals.kinds,
                    subjects=self.texts(path, members, "subjects", 1000) or known_signals.subjects,
                    min_score=self.number(path, members, "min_score", known_signals.min_score, 0, 1),
                    slices=self.flag(path, members, "slices", known_signals.slices),
                )
            case "gap":
                known_gap = usual if isinstance(usual, OfGap) else None
                asked = {"below", "above"} & members.keys()
                bound = self._bound(path, members) if asked or known_gap is None else known_gap.bound
                return bound and OfGap(
                    metric=self.name(path, members, "gap") or (known_gap.metric if known_gap else ""),
                    bound=bound,
                    min_n=self.whole(path, members, "min_n", known_gap.min_n if known_gap else 100, 0),
                )
            case "no_data":
                known_data = usual if isinstance(usual, NoData) else NoData(Expected.PREDICTIONS)
                return NoData(
                    self.choice(path, members, "no_data", known_data.of), self._after(path, members, known_data.after)
                )
            case "pipeline":
                known_ill = usual if isinstance(usual, OfPipeline) else OfPipeline(Ill.LAG)
                after = self._after(path, members, known_ill.after)
                return OfPipeline(self.choice(path, members, "pipeline", known_ill.of), after or known_ill.after)
            case "ledger":
                if members.get("ledger") not in (None, True, "balanced"):
                    self.wrong(join(path, "ledger"), "write it as `ledger: true`")
                return OfLedger()
            case "dead_letters":
                known_letters = usual if isinstance(usual, OfDeadLetters) else OfDeadLetters()
                return OfDeadLetters(
                    self.number(path, members, "dead_letters", known_letters.share, 0, 1),
                    self.duration(path, members, "within", known_letters.within, 60 * _SECOND, _YEAR),
                    self.whole(path, members, "min_n", known_letters.min_n, 1),
                )
            case "label_delay":
                known_delay = usual if isinstance(usual, OfLabelDelay) else OfLabelDelay()
                if members.get("label_delay") not in (None, True):
                    self.wrong(
                        join(path, "label_delay"), "write it as `label_delay: true`, with `above: 2h` or without"
                    )
                above = None
                if members.get("above") is not None:
                    above = self.duration(path, members, "above", timedelta(hours=1), _SECOND, _YEAR)
                return OfLabelDelay(
                    above or known_delay.above,
                    self.number(path, members, "quantile", known_delay.of, 0.01, 0.999),
                    self.duration(path, members, "within", known_delay.within, 60 * _SECOND, _YEAR),
                    self.whole(path, members, "min_n", known_delay.min_n, 1),
                )
            case "budget":
                known_budget = OfBudget(0)
                return OfBudget(
                    self.number(path, members, "budget", 0, 0),
                    self.duration(path, members, "per", known_budget.per, timedelta(hours=1), _YEAR),
                    self.number(path, members, "burn", known_budget.burn, 0.01, 1000),
                    self.duration(path, members, "within", known_budget.within, 60 * _SECOND, _YEAR),
                )
            case _:
                asked = {"below", "above"} & members.keys()
                return OfQuery(
                    self.text(path, members, "sql", MAX_QUERY),
                    self._bound(path, members) if asked else None,
                    self.choice(path, members, "category", Category.BUSINESS),
                )

    def _kinds(self, path: str, members: dict[str, object]) -> tuple[SignalKind, ...]:
        value = members.get("signal")
        listed = {"signal": [value] if isinstance(value, str) else value}
        known = [kind.value for kind in SignalKind]
        kinds: list[SignalKind] = []
        for text in self.texts(path, listed, "signal", len(known)):
            if text in known:
                kinds.append(SignalKind(text))
            else:
                self.wrong(join(path, "signal"), f"{shown(text)} is no kind of signal (allowed: {', '.join(known)})")
        return tuple(kinds)

    def _after(self, path: str, members: dict[str, object], usual: timedelta | None) -> timedelta | None:
        if members.get("after") is None:
            return usual
        return self.duration(path, members, "after", usual or timedelta(minutes=5), _SECOND, _YEAR)

    def _bound(self, path: str, members: dict[str, object]) -> Bound | None:
        said = [key for key in ("below", "above") if members.get(key) is not None]
        if len(said) != 1:
            self.wrong(path, "say which values are wrong: `below:` a number, or `above:` one")
            return None
        comparison = Comparison.LESS if said == ["below"] else Comparison.MORE
        return Bound(comparison, self.number(path, members, said[0], 0, -1e300, 1e300))

    def _window(self, path: str, text: str) -> Window | None:
        try:
            return Window.parse(text)
        except ValueError as exc:
            self.wrong(path, str(exc))
            return None

    def _labels(self, path: str, value: object) -> dict[str, str]:
        labels = self._texts_by_name(path, value)
        for name in labels:
            if name in (ALERTNAME, SEVERITY):
                self.wrong(join(path, name), "is the rule's own: its name, and its `severity:`")
            elif not _LABEL.fullmatch(name):
                self.wrong(join(path, name), "a label's name has letters, digits and _, and begins with no digit")
        return labels

    def _texts_by_name(self, path: str, value: object) -> dict[str, str]:
        named = self.named(path, value, MAX_NAME_LENGTH)
        return {name: self.text(path, named, name, 2000) for name in named}
