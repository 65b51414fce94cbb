"""What predictions of a model carry that may tell when their labels come: SQL of each, and of its strata."""

from msgspec import Struct

from ...detectors.completeness.covariates import STRATA, Cuts, Levels
from ...infra.clickhouse import ClickHouse, quote

# Of each kind, those that most predictions carry.
NUMBERS, TEXTS, SEGMENTS = 24, 16, 8
_CHARACTERS = 100


class Carried(Struct, frozen=True):
    """SQL expressions over table `predictions` by name: numbers (NULL where missing), and texts ('' where missing)."""

    numbers: dict[str, str]
    texts: dict[str, str]

    def stratum(self, codings: dict[str, Cuts | Levels]) -> str:
        """SQL of the stratum by several of them, as `History.strata` counts."""
        stratum = "0"
        for name, coding in codings.items():
            stratum = f"({stratum}) * {STRATA} + {self._code(name, coding)}"
        return f"toUInt32({stratum})"

    def _code(self, name: str, coding: Cuts | Levels) -> str:
        match coding:
            case Cuts(cuts):
                number = f"ifNull({self.numbers[name]}, nan)"
                above = " + ".join(["1", *(f"({number} > {cut!r})" for cut in cuts)])
                return f"if(isNaN({number}), 0, {above})"
            case Levels(levels):
                return f"indexOf([{', '.join(map(quote, levels))}]::Array(String), {self.texts[name]})"


def carried(clickhouse: ClickHouse, predictions: str) -> Carried:
    """What `predictions` (a table with conditions) carry; of more than there is room for, what most of them carry."""
    numbers = {"score": "score", "prediction_value": "prediction_value"}
    texts = {"prediction": f"ifNull({_text('prediction')}, '')", "version": _text("version")}
    keys = " UNION ALL ".join(
        f"SELECT * FROM (SELECT '{column}' AS column, key, count() AS n "
        f"FROM (SELECT arrayJoin(mapKeys({column})) AS key FROM {predictions}) "
        f"GROUP BY key ORDER BY n DESC, key LIMIT {limit})"
        for column, limit in (("features_num", NUMBERS), ("features_cat", TEXTS), ("segments", SEGMENTS))
    )
    for column, key, _ in sorted(map(tuple, clickhouse.rows(keys))):
        value = f"{column}[{quote(key)}]"
        if column == "features_num":
            numbers[f"{column}.{key}"] = value
        else:
            texts[f"{column}.{key}"] = _text(value)
    return Carried(numbers, texts)


def _text(expression: str) -> str:
    return f"leftUTF8({expression}, {_CHARACTERS})"
