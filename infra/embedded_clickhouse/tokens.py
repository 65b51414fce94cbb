"""ClickHouse's lexer, as far as finding statements, names and calls needs it. Works on latin-1 text: offsets are bytes.

Whatever ClickHouse might read in another way (unicode quotes, unknown escapes, an unclosed comment) is an error here:
the reader's allowlist stands on these tokens. Comments never reach the engine (`Token.kind` "comment" is cut out), so
the two can't disagree on where one ends, and chDB's ``-- { serverError 60 }`` hints, which swallow errors, do nothing.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from .errors import syntax_error

Kind = Literal["word", "name", "string", "punct", "comment"]


class Token(NamedTuple):
    """`text` is the word, the unquoted name, the raw string literal, or one character of punctuation."""

    kind: Kind
    text: str
    start: int
    end: int

    def is_word(self, *upper: str) -> bool:
        """True for an unquoted word that is one of `upper` in any case."""
        return self.kind == "word" and self.text.upper() in upper

    def is_punct(self, text: str) -> bool:
        return self.kind == "punct" and self.text == text


_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\n\v\f\r]++)
    | (?P<comment>--[^\n]*+ | \#[ !][^\n]*+)
    | (?P<block>/\*)
    | (?P<hex>[xXbB]'[0-9A-Fa-f]*+')
    | (?P<badhex>[xXbB]')
    | (?P<word>[A-Za-z0-9_][A-Za-z0-9_$]*+)
    | (?P<string>'(?:[^'\\]++|\\.|'')*+')
    | (?P<backtick>`(?:[^`\\]++|``)*+`)
    | (?P<double>"(?:[^"\\]++|"")*+")
    | (?P<heredoc>\$[A-Za-z0-9_]*+\$)
    | (?P<punct>[()\[\]{}.,;:*+\-/%=<>!|&^~?@])
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")


def tokens(text: str, start: int = 0) -> Iterator[Token]:
    """Tokens of `text` from `start` on, comments included; raises `QueryError` 62 at what can't be one."""
    position, length = start, len(text)
    while position < length:
        match = _TOKEN.match(text, position)
        if match is None:
            raise syntax_error(
                f"failed at position {position + 1}: unrecognized token {text[position : position + 20]!r}"
            )
        group, end = match.lastgroup, match.end()
        if group == "word":
            yield Token("word", match.group(), position, end)
        elif group == "punct":
            yield Token("punct", match.group(), position, end)
        elif group in ("string", "hex"):
            yield Token("string", match.group(), position, end)
        elif group == "backtick":
            yield Token("name", match.group()[1:-1].replace("``", "`"), position, end)
        elif group == "double":
            yield Token("name", match.group()[1:-1].replace('""', '"'), position, end)
        elif group == "comment":
            yield Token("comment", "", position, end)
        elif group == "block":
            end = _end_of_block_comment(text, position)
            yield Token("comment", "", position, end)
        elif group == "heredoc":
            closing = text.find(match.group(), end)
            if closing < 0:
                raise syntax_error(f"failed at position {position + 1}: the heredoc is not closed")
            end = closing + len(match.group())
            yield Token("string", text[position:end], position, end)
        elif group == "badhex":
            raise syntax_error(f"failed at position {position + 1}: not a hexadecimal or binary literal")
        position = end


def _end_of_block_comment(text: str, start: int) -> int:
    depth = 0
    for edge in _BLOCK_EDGE.finditer(text, start):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    raise syntax_error(f"failed at position {start + 1}: the multi-line comment is not closed")
