"""Which silence is usual: learned from the minutes in which something came, by the hour of the week."""

import math

import numpy as np

HOURS = 168
SHORTEST_S = 300.0
"""Silence of less is never told."""
_YOUNG_S = 1800.0
_LONGEST_MIN = 7 * 24 * 60
_LEAST_CHANCE = 1e-6
_MARGIN, _YOUNG_MARGIN = 2.0, 4.0
_DAY, _WEEK = 24, 168


def usual_silence(minutes: np.ndarray) -> np.ndarray:
    """The longest silence (s) that is usual at each hour of the week, the first being a Thursday's, as in 1970.

    Twice what there was in the same hours before, one unlike all others left out; and so long that chance makes it once
    in a million, where things come by chance as often as they did in those hours. Hours of the same weekday are
    compared after eight days, of all days after one, and before that all hours there are.

    Args:
        minutes: since 1970 in which something came, ascending, each once, at least one.
    """
    first, last = int(minutes[0]) // 60, int(minutes[-1]) // 60
    longest, active = _by_hour(minutes, first, last)
    there = np.full(last - first + 1, 60.0)
    there[-1] = int(minutes[-1]) % 60 + 1
    there[0] -= int(minutes[0]) % 60
    span = last - first + 1
    period = _WEEK if span > 8 * _DAY else _DAY if span > _DAY else 1
    margin, least_s = (_YOUNG_MARGIN, _YOUNG_S) if period == 1 else (_MARGIN, SHORTEST_S)
    hours = np.arange(first, last + 1)
    usual = np.empty(HOURS)
    for hour in range(min(period, HOURS)):
        like = np.abs((hours - hour + period // 2) % period - period // 2) <= 1 if period > 1 else hours >= 0
        by_chance = _by_chance_min(float(active[like].sum() / there[like].sum()))
        seen = _most(longest[like], hours[like] // period if period > 1 else hours[like] * 0)
        usual[hour::period] = max(least_s, 60 * margin * seen, 60 * by_chance)
    return usual


def silent_since_too_long(usual_s: np.ndarray, last_s: float, now_s: float) -> float | None:
    """The silence (s) that was usual when it first went on for longer, if it did; None while it is usual.

    What was too long in the evening stays so at night, when more is usual.
    """
    hours = np.arange(int(last_s // 3600), int(now_s // 3600) + 1)
    silent = np.minimum((hours + 1) * 3600.0, now_s) - last_s
    usual = usual_s[hours % HOURS]
    beyond = np.flatnonzero(silent > usual)
    return float(usual[beyond[0]]) if len(beyond) else None


def _by_hour(minutes: np.ndarray, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each hour: the longest silence that there was in it, so far, and in how many minutes something came."""
    active = np.bincount(minutes // 60 - first, minlength=last - first + 1)
    longest = np.ones(last - first + 1)
    begins, gaps = minutes[:-1], np.diff(minutes)
    for begin, gap in zip(begins[gaps > 1].tolist(), gaps[gaps > 1].tolist(), strict=True):
        for hour in range(begin // 60, (begin + gap) // 60 + 1):
            silent = min((hour + 1) * 60, begin + gap) - begin
            longest[hour - first] = max(longest[hour - first], silent)
    return longest, active


def _most(longest: np.ndarray, of: np.ndarray) -> float:
    """The longest of all days or weeks, but for one of them where there are three."""
    by_period = sorted(float(longest[of == each].max()) for each in np.unique(of))
    return by_period[-2] if len(by_period) >= 3 else by_period[-1]


def _by_chance_min(share: float) -> float:
    """Minutes without anything that happen by chance where a share of all minutes has something."""
    if share <= 0 or share >= 1:
        return 0.0
    return min(_LONGEST_MIN, math.log(_LEAST_CHANCE) / math.log1p(-share))
