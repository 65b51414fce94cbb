"""What the training data of a model looked like, to print."""

from datetime import UTC

from ..infra.clickhouse import ClickHouse, quote
from ..stream_processors.evaluate.panes import Distribution, Series
from ..stream_processors.evaluate.training import training_of
from ..stream_processors.monitor.counted import of_distribution
from .tabular import Report

_SHOWN = 3
_COLUMNS = (
    "name", "of", "kind", "rows", "missing", "invalid", "least", "p25", "median", "p75", "most", "mean", "categories",
)  # fmt: skip


def reference_report(clickhouse: ClickHouse, model: str) -> Report:
    """A row a feature or output, the features first; no rows where nothing is stored."""
    found = training_of(clickhouse, model)
    ordered = sorted(found.items(), key=lambda each: (not each[0].is_feature, each[0].name))
    return Report(_COLUMNS, [_row(series, each) for series, each in ordered])


def stored_from(clickhouse: ClickHouse, model: str) -> str:
    """Where it came from and when it was stored, in words."""
    ((source, at),) = clickhouse.rows(
        f"SELECT argMax(source, _written_at), max(_written_at) FROM {clickhouse.database}.references "
        f"WHERE model = {quote(model)}"
    )
    return f"from {source}, stored {at.replace(tzinfo=UTC):%Y-%m-%d %H:%M} UTC"


def _row(series: Series, each: Distribution) -> list[object]:
    numbers = each.numbers
    levels = [numbers.quantile(level) for level in (0, 0.25, 0.5, 0.75, 1)] if numbers.n else [None] * 5
    share = each.missing / each.predictions if each.predictions else None
    return [
        series.name, "feature" if series.is_feature else "output", of_distribution(each).kind.value, each.predictions,
        share, each.invalid, *levels, numbers.mean if numbers.n else None, _categories(each),
    ]  # fmt: skip


def _categories(each: Distribution) -> str:
    """The largest with their shares, and how many more."""
    if not each.texts:
        return ""
    named = sorted(each.categories.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{name} {n / each.texts:.1%}" for name, n in named[:_SHOWN]]
    more = len(named) - _SHOWN
    if more > 0:
        shown.append(f"{more:,} more")
    if each.other:
        shown.append(f"other {each.other / each.texts:.1%}")
    return ", ".join(shown)
