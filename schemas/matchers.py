"""Conditions on labels, written as Alertmanager writes them."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from .alerting import Match, Matcher

MOST_TEXT = 256
"""Characters of a pattern. Values of labels are cut to as many where patterns meet them."""

_WRITTEN = re.compile(
    r"""\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))\s*""", re.DOTALL
)
# Repeats of what repeats are what makes Python's engine take forever.
_NESTED = re.compile(r"[*+}]\)*[*+{]|\([^()]*[*+][^()]*\)[*+{]|\([^()]*\|[^()]*\)[*+{]")


def parse_matcher(text: str) -> Matcher:
    """One condition: ``name="value"``, ``!=``, or with a pattern ``=~``, ``!~``.

    Raises:
        ValueError: it is none; the message says how to write one.

    >>> parse_matcher('severity=~"critical|warning"')
    Matcher(label='severity', match=<Match.LIKE: '=~'>, value='critical|warning')
    """
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError(f"""{text[:80]!r} is no condition on a label: write it as in 'model="fraud"', !=, =~ or !~""")
    label, match, quoted, bare = found.groups()
    matcher = Matcher(label, Match(match), bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
    if matcher.match in (Match.LIKE, Match.UNLIKE):
        check_pattern(matcher.value)
    return matcher


def check_pattern(pattern: str) -> None:
    """Whether a pattern may be used: it compiles, is short, and can't take forever.

    Raises:
        ValueError: it may not; the message says why.
    """
    if len(pattern) > MOST_TEXT:
        raise ValueError(f"a pattern of {len(pattern)} characters: at most {MOST_TEXT} are taken")
    if _NESTED.search(pattern):
        raise ValueError(f"{pattern[:80]!r} repeats what repeats or chooses: that can take forever")
    try:
        _compiled(pattern)
    except re.error as exc:
        raise ValueError(f"{pattern[:80]!r} is no regular expression: {exc}") from None


def holds(matcher: Matcher, labels: Mapping[str, str]) -> bool:
    """Whether a condition holds of these labels; one that is missing is empty.

    >>> holds(parse_matcher('team!="a"'), {}), holds(parse_matcher('team=~"a.*"'), {"team": "ab"})
    (True, True)
    """
    value = labels.get(matcher.label, "")
    match matcher.match:
        case Match.IS:
            return value == matcher.value
        case Match.IS_NOT:
            return value != matcher.value
        case Match.LIKE:
            return _compiled(matcher.value).fullmatch(value[:MOST_TEXT]) is not None
        case Match.UNLIKE:
            return _compiled(matcher.value).fullmatch(value[:MOST_TEXT]) is None


def all_hold(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether all of them hold; of none at all that is so."""
    return all(holds(matcher, labels) for matcher in matchers)


def written(matcher: Matcher) -> str:
    """As `parse_matcher` reads it.

    >>> written(parse_matcher("model=a"))
    'model="a"'
    """
    value = matcher.value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{matcher.label}{matcher.match}"{value}"'


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL)
