"""On which side of a number something is."""

from enum import StrEnum


class Comparison(StrEnum):
    """How a number is held against a bound."""

    MORE = ">"
    AT_LEAST = ">="
    LESS = "<"
    AT_MOST = "<="

    def holds(self, value: float, bound: float) -> bool:
        """Whether a value is on that side of a bound.

        >>> Comparison.AT_MOST.holds(1.0, 1.0), Comparison.LESS.holds(1.0, 1.0)
        (True, False)
        """
        match self:
            case Comparison.MORE:
                return value > bound
            case Comparison.AT_LEAST:
                return value >= bound
            case Comparison.LESS:
                return value < bound
            case Comparison.AT_MOST:
                return value <= bound
