"""Sums that don't depend on the order of rows: the same rows give the same bits, however they came.

Sums of floats do depend on it, and rows lie in another order after a restart or a merge.
"""

_SCALE = 1 << 64


def bounded_sum(value: str, condition: str = "1") -> str:
    """SQL of Σ value over rows, each between -2⁴⁰ and 2⁴⁰; exact to 2⁻⁶⁴ a row."""
    return f"toFloat64(sumIf(toInt128(({value}) * {_SCALE}), {condition})) / {_SCALE}"


def sorted_values(value: str) -> str:
    """SQL of an array of the values of rows, of any size, for `array_sum`."""
    return f"arraySort(groupArray({value}))"


def array_sum(array: str) -> str:
    """SQL of the sum of an array in its order, by Kahan's compensated summation."""
    return f"arrayReduce('sumKahan', {array})"
