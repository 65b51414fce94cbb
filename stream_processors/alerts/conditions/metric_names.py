"""Which metrics rules may name, and what was meant by one that there is not."""

from collections.abc import Iterable
from difflib import get_close_matches

from ....schemas.outcomes import LoopwatchConfig
from ...evaluate.kpis import PREFIX
from ...live.stored import INDICATORS, LABELLED

_CLASSIFIER = ("accuracy", "precision", "recall", "specificity", "f1", "prevalence")
_SCORES = ("roc_auc", "pr_auc", "log_loss", "brier", "calibration_error")
_MULTICLASS = tuple(f"{how}_{what}" for how in ("micro", "macro", "weighted") for what in ("precision", "recall", "f1"))
_REGRESSION = ("mae", "rmse", "mape", "r2", "bias", *(f"quantile_loss_{of}" for of in (0.1, 0.5, 0.9)))
_OF_A_LIST = ("precision", "recall", "map", "ndcg", "hit_rate")
_RANKING = ("ctr", "mrr", *(f"{what}@{k}" for what in _OF_A_LIST for k in (1, 5, 10)))

METRICS = frozenset((*_CLASSIFIER, *_SCORES, *_MULTICLASS, *_REGRESSION, *_RANKING, LABELLED, INDICATORS))
"""Of docs/metrics.md, and those that every window has."""
ESTIMATED = frozenset(("accuracy", "precision", "recall", "f1", "roc_auc"))
"""Those that are estimated before labels come."""


def known_metrics(config: LoopwatchConfig) -> frozenset[str]:
    """All of them, with the indicators of the configured models."""
    return METRICS | {f"{PREFIX}{kpi.name}" for model in config.models.values() for kpi in model.kpis}


def unknown(name: str, known: Iterable[str]) -> str:
    """What to say of a name; empty where it is known.

    >>> unknown("acuracy", METRICS)
    "there is no metric 'acuracy'; did you mean 'accuracy'?"
    """
    names = sorted(known)
    if name in names:
        return ""
    close = get_close_matches(name, names, n=1) or get_close_matches(PREFIX + name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else f" (known: {', '.join(names)})"
    return f"there is no metric {name!r}{hint}"
