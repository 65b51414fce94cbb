"""How a configuration is read: every mistake is noted with its path and what to write there, and the walk goes on."""

import math
from datetime import timedelta
from difflib import get_close_matches
from enum import StrEnum
from typing import TypeVar

from .durations import HOW_TO_WRITE, format_duration, parse_duration
from .events import MAX_ID_LENGTH, MAX_NAME_LENGTH

S = TypeVar("S", bound=StrEnum)


class Reader:
    """Walks a document. A mistake is noted in `problems` and read as its default, so that the walk goes on."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        self.problems = problems

    def wrong(self, path: str, message: str) -> None:
        """Note a mistake."""
        self.problems.append((path, message))

    def named(self, path: str, value: object, longest: int) -> dict[str, object]:
        """An object whose keys are names that people choose."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.wrong(path, f"{shown(value)} is no mapping of names to settings")
            return {}
        named: dict[str, object] = {}
        for key, entry in value.items():
            if not isinstance(key, str):
                self.wrong(join(path, key), f"a name must be text: write {str(key)[:40]!r} in quotes")
            elif not self.is_name(key, longest):
                self.wrong(join(path, key[:40]), f"a name has 1 to {longest} printable characters")
            else:
                named[key] = entry
        return named

    def few(self, path: str, value: object, most: int) -> dict[str, object]:
        """An object whose keys are names that people choose, so many at most."""
        named = self.named(path, value, MAX_ID_LENGTH)
        if len(named) > most:
            self.wrong(path, f"{len(named)} entries, at most {most} are taken")
        return named

    def mapping(self, path: str, value: object, allowed: tuple[str, ...]) -> dict[str, object]:
        """An object with keys that we choose."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.wrong(path, f"{shown(value)} is no mapping (allowed keys: {', '.join(allowed)})")
            return {}
        for key in value:
            if key not in allowed:
                hint = _did_you_mean(key, allowed)
                self.wrong(join(path, key), f"unknown key{hint} (allowed: {', '.join(allowed)})")
        return {key: value[key] for key in allowed if key in value}

    def name(self, parent: str, members: dict[str, object], key: str) -> str:
        """A name that is not ours to know; empty where there is none."""
        value, path = members.get(key), join(parent, key)
        if isinstance(value, str) and self.is_name(value, MAX_NAME_LENGTH):
            return value
        if value is not None:
            self.wrong(path, f"{shown(value)} is no name: write 1 to {MAX_NAME_LENGTH} characters of text")
        return ""

    def texts(self, parent: str, members: dict[str, object], key: str, most: int) -> tuple[str, ...]:
        """A list of names, none twice."""
        value, path = members.get(key), join(parent, key)
        if value is None:
            return ()
        if not isinstance(value, list):
            self.wrong(path, f"{shown(value)} is no list: write [{_plain(value)}]")
            return ()
        for position, item in enumerate(value):
            if not isinstance(item, str):
                self.wrong(f"{path}[{position}]", f"{shown(item)} is no text: write it in quotes")
            elif not self.is_name(item, MAX_NAME_LENGTH):
                self.wrong(f"{path}[{position}]", f"a name has 1 to {MAX_NAME_LENGTH} printable characters")
            elif item in value[:position]:
                self.wrong(f"{path}[{position}]", f"{shown(item)} is there twice")
        if len(value) > most:
            self.wrong(path, f"{len(value)} entries, at most {most} are taken")
        return tuple(item for item in value if isinstance(item, str))

    def choice(self, parent: str, members: dict[str, object], key: str, usual: S) -> S:
        """One of the values of the type of `usual`."""
        value = members.get(key)
        if value is None:
            return usual
        allowed = [member.value for member in type(usual)]
        if isinstance(value, str) and value in allowed:
            return type(usual)(value)
        hint = _did_you_mean(value, allowed)
        self.wrong(join(parent, key), f"{shown(value)} is not allowed{hint} (allowed: {', '.join(allowed)})")
        return usual

    def duration(
        self, parent: str, members: dict[str, object], key: str, usual: timedelta, least: timedelta, most: timedelta
    ) -> timedelta:
        """A duration within bounds."""
        value, path = members.get(key), join(parent, key)
        if value is None:
            return usual
        if not isinstance(value, str):
            self.wrong(path, f"{shown(value)} has no unit: {HOW_TO_WRITE}")
            return usual
        try:
            duration = parse_duration(value)
        except ValueError as exc:
            self.wrong(path, str(exc))
            return usual
        if least <= duration <= most:
            return duration
        bounds = f"allowed: {'more than 0' if least else '0s'} to {format_duration(most)}"
        self.wrong(path, f"{shown(value)} is out of bounds ({bounds})")
        return usual

    def number(
        self, parent: str, members: dict[str, object], key: str, usual: float, least: float, most: float = math.inf
    ) -> float:
        """A number within bounds."""
        value, path = members.get(key), join(parent, key)
        if value is None:
            return usual
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.wrong(path, f"{shown(value)} is no number")
            return usual
        if least <= value <= most:
            return float(value)
        self.wrong(path, f"{shown(value)} is out of bounds (allowed: {_bounds(least, most)})")
        return usual

    def whole(
        self, parent: str, members: dict[str, object], key: str, usual: int, least: int, most: int = 1_000_000_000
    ) -> int:
        """A whole number within bounds."""
        value = members.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            self.wrong(join(parent, key), f"{shown(value)} is no whole number")
            return usual
        return int(self.number(parent, members, key, usual, least, most))

    def flag(self, parent: str, members: dict[str, object], key: str, usual: bool) -> bool:
        """True or false."""
        value = members.get(key)
        if value is None or isinstance(value, bool):
            return usual if value is None else value
        self.wrong(join(parent, key), f"{shown(value)} is neither true nor false")
        return usual

    def text(self, parent: str, members: dict[str, object], key: str, most: int) -> str:
        """Text of any kind; empty where there is none."""
        value, path = members.get(key), join(parent, key)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.wrong(path, f"{shown(value)} is no text: write it in quotes")
            return ""
        if len(value) > most:
            self.wrong(path, f"{len(value)} characters, at most {most} are taken")
        return value

    @staticmethod
    def is_name(text: str, longest: int) -> bool:
        """Whether a text can be a name."""
        return 0 < len(text) <= longest and text.isprintable()


def join(parent: str, key: object) -> str:
    """The path of what is inside."""
    return f"{parent}.{str(key)[:80]}" if parent else str(key)[:80]


def _plain(value: object) -> str:
    return str(value)[:40]


def shown(value: object) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _did_you_mean(value: object, allowed: tuple[str, ...] | list[str]) -> str:
    close = get_close_matches(str(value)[:80].lower().replace("-", "_"), allowed, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _bounds(least: float, most: float) -> str:
    return f"{least:g} or more" if math.isinf(most) else f"{least:g} to {most:g}"
