"""The ledger for a terminal: two tables, and a verdict."""

from collections.abc import Iterable

from rich.console import Console

from ..schemas.ledger import ActionLine, LedgerReport, ModelPredictions, PredictionLine
from .tabular import print_table

_PREDICTIONS = ("received", "invalid", "duplicate", "accepted", "pending", "matched", "expired", "forwarded")
_ACTIONS = ("received", "invalid", "duplicate", "matched", "late_revised", "ignored", "held", "orphan", "forwarded")


def print_ledger(report: LedgerReport) -> None:
    """Print predictions by model and outcome, actions by model, and whether the sums reconcile."""
    print_table(("model", "outcome", *_PREDICTIONS), _prediction_rows(report), title="Predictions")
    print_table(("model", *(name.replace("_", " ") for name in _ACTIONS)), _action_rows(report), title="Actions")
    console = Console(highlight=False, soft_wrap=True)
    if reasons := report.actions.ignored_reasons:
        console.print("ignored: " + ", ".join(f"{n:,} {reason}" for reason, n in sorted(reasons.items())))
    for note in report.notes:
        console.print(f"note: {note}", markup=False)
    if report.balanced:
        console.print("[green]balanced[/]: every event is in exactly one class")
        return
    console.print("[red]not balanced[/]:")
    for imbalance in report.imbalances:
        console.print(f"  {imbalance}", markup=False)


def _prediction_rows(report: LedgerReport) -> Iterable[tuple[object, ...]]:
    for model, line in report.predictions.models.items():
        yield from _rows_of_model(model or "(unknown)", line)
    if len(report.predictions.models) != 1:
        yield ("all", "", *_values(report.predictions, _PREDICTIONS))


def _rows_of_model(model: str, line: ModelPredictions) -> Iterable[tuple[object, ...]]:
    whole = _values(line, _PREDICTIONS)
    for nth, (outcome, states) in enumerate(line.outcomes.items()):
        counted = (states.pending, states.matched, states.expired)
        yield (model, outcome, *whole[:4], *counted, whole[-1]) if nth == 0 else ("", outcome, *[""] * 4, *counted, "")
    if not line.outcomes:
        yield (model, "", *whole)


def _action_rows(report: LedgerReport) -> Iterable[tuple[object, ...]]:
    for model, line in report.actions.models.items():
        yield (model or "(unknown)", *_values(line, _ACTIONS))
    if len(report.actions.models) != 1:
        yield ("all", *_values(report.actions, _ACTIONS))


def _values(line: PredictionLine | ActionLine, names: Iterable[str]) -> list[int]:
    return [getattr(line, name) for name in names]
