"""Where a request's SQL ends and its data begin, and what kind of statement it is.

ClickHouse reads the query and an INSERT's data from one stream: URL query, newline, body. Here the first MiB of that
stream is looked at once; data are never scanned, copied or decoded.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from .errors import QueryError, syntax_error
from .tokens import Token, tokens

MAX_STATEMENT_BYTES = 1 << 20
_RETURNS_ROWS = frozenset(
    {"SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK", "KILL", "BACKUP", "RESTORE"}
)
_AFTER_FORMAT = re.compile(r"[ \t\f]*+\r?\n?")
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")

Edit = tuple[int, int, bytes]
"""Replace the bytes from the first to the second offset by the third."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a request; offsets count bytes of the head it was found in."""

    verb: str
    """First word, upper case: SELECT, INSERT, CREATE, …"""
    text: bytes
    """The statement without data, with comments still in it: see `sql`."""
    tokens: tuple[Token, ...]
    comments: tuple[Edit, ...] = ()
    output_format: str | None = None
    data_format: str | None = None
    """Input format of the data that follow an INSERT; None when the statement takes none."""
    data_offset: int = 0
    source_offset: int = 0
    """Where FROM INFILE may stand in an INSERT: behind its table and columns, before its SETTINGS."""
    input_call: tuple[Token, Token] | None = None
    """``input`` and the token after its opening bracket, in INSERT … SELECT … FROM input('structure')."""
    settings: dict[str, str] = field(default_factory=dict)
    """Of a SETTINGS clause between FORMAT and the data, which the engine wouldn't see."""

    @property
    def returns_rows(self) -> bool:
        return self.verb in _RETURNS_ROWS

    def sql(self, *edits: Edit) -> bytes:
        """The statement for the engine: without comments and with `edits` made."""
        pieces, position = [], 0
        for start, end, replacement in sorted((*self.comments, *edits)):
            if start < position:
                continue  # a comment inside a span that is replaced
            pieces += [self.text[position:start], replacement]
            position = end
        return b"".join((*pieces, self.text[position:])).strip()

    def insert_from(self, path: str) -> bytes:
        """The INSERT with data, for the engine, which reads them from the file at `path` (quoted already)."""
        if self.input_call is None:
            source = f" FROM INFILE '{path}' ".encode()
            return self.sql((self.source_offset, self.source_offset, source)) + f" FORMAT {self.data_format}".encode()
        word, argument = self.input_call
        source = f"file('{path}', '{self.data_format}'" + ("" if argument.is_punct(")") else ", ")
        return self.sql((word.start, argument.start, source.encode()))


def parse(head: bytes, input_formats: Collection[str], *, whole: bool) -> Statement:
    """The statement at the start of `head`; `whole` says that nothing follows `head`.

    `input_formats` in lower case. Raises `QueryError` 62: no statement, several, or too long.
    """
    text = head.decode("latin-1")
    comments: list[Edit] = []
    found: list[Token] = []
    depth = 0
    verb = ""
    end = len(text)
    ended = False
    insert = _InsertScan(text, input_formats)
    for token in tokens(text):
        if token.kind == "comment":
            comments.append((token.start, token.end, b" "))
            continue
        if ended:
            if token.is_punct(";"):
                continue
            raise syntax_error(f"failed at position {token.start + 1}: Multi-statements are not allowed")
        if token.is_punct(";"):
            ended, end = True, token.start
            continue
        found.append(token)
        if not verb and token.kind == "word":
            verb = token.text.upper()
        if token.kind == "punct":
            if token.text in _OPENING:
                depth += 1
            elif token.text in _CLOSING:
                depth -= 1
        if verb == "INSERT" and (data := insert.see(found, depth)):
            return Statement(
                verb,
                head[: data.sql_end],
                tuple(found),
                tuple(comments),
                data_format=data.format,
                data_offset=data.offset,
                source_offset=data.source_offset,
                input_call=data.input_call,
                settings=data.settings,
            )
    if not found:
        raise syntax_error("Empty query")
    if not whole:
        raise QueryError(
            62, "SYNTAX_ERROR", f"Max query size exceeded: a statement has at most {MAX_STATEMENT_BYTES} bytes"
        )
    if insert.input_call:
        raise syntax_error("input() needs FORMAT and the data after the SELECT")
    return Statement(verb, head[:end], tuple(found), tuple(comments), _output_format(found))


@dataclass(frozen=True, slots=True)
class _Data:
    sql_end: int
    format: str
    offset: int
    source_offset: int
    input_call: tuple[Token, Token] | None
    settings: dict[str, str]


class _InsertScan:
    """Watches an INSERT's tokens go by until its data begin."""

    def __init__(self, text: str, input_formats: Collection[str]) -> None:
        self._text = text
        self._input_formats = input_formats
        self._selects = False
        self._infile = False
        self._settings: int | None = None
        self.input_call: tuple[Token, Token] | None = None

    def see(self, found: list[Token], depth: int) -> _Data | None:
        token = found[-1]
        if self._selects and len(found) > 2 and found[-2].is_punct("(") and found[-3].is_word("INPUT"):
            self.input_call = (found[-3], token)
        if token.kind != "word" or depth:
            return None
        before = found[-2] if len(found) > 1 else token
        named = before.is_word("INTO", "TABLE") or before.is_punct(".")
        if token.is_word("SELECT", "WITH") and not named:
            self._selects = True
        elif token.is_word("INFILE") and before.is_word("FROM"):
            self._infile = True
        elif token.is_word("SETTINGS") and not self._selects and not named:
            self._settings = token.start
        elif token.is_word("VALUES") and not self._selects and not named:
            return self._data(token, "Values", token.end, {})
        elif before.is_word("FORMAT") and not self._infile and (not self._selects or self._feeds_input(token)):
            return self._after_format(before, token)
        return None

    def _feeds_input(self, name: Token) -> bool:
        return self.input_call is not None and name.text.lower() in self._input_formats

    def _after_format(self, word: Token, name: Token) -> _Data:
        settings, end = _settings_before_data(self._text, name.end)
        blank = _AFTER_FORMAT.match(self._text, end)
        offset = blank.end() if blank else end
        if self._text[offset : offset + 1] == ";":
            offset += 1
        return self._data(word, name.text, offset, settings)

    def _data(self, word: Token, name: str, offset: int, settings: dict[str, str]) -> _Data:
        """Data in format `name` from `offset` on; the statement ends before `word`."""
        source_offset = word.start if self._settings is None else self._settings
        return _Data(word.start, name, offset, source_offset, self.input_call, settings)


_SETTINGS_WORD = re.compile(r"\s*+SETTINGS\s", re.IGNORECASE)


def _settings_before_data(text: str, start: int) -> tuple[dict[str, str], int]:
    match = _SETTINGS_WORD.match(text, start)
    if not match:
        return {}, start
    assignments, end = assignments_after(tokens(text, match.end()))
    return assignments, end


def assignments_after(stream: Iterator[Token]) -> tuple[dict[str, str], int]:
    """``name = literal, …`` from `stream`: the values unquoted, and the offset behind the last."""
    result: dict[str, str] = {}
    end = 0
    while True:
        name = next(stream, None)
        equals = next(stream, None)
        if name is None or equals is None or name.kind not in ("word", "name") or not equals.is_punct("="):
            raise syntax_error("SETTINGS wants name = value, …")
        value, end, last = _literal(stream)
        result[name.text] = value
        if last is None or not last.is_punct(","):
            return result, end


def _literal(stream: Iterator[Token]) -> tuple[str, int, Token | None]:
    pieces: list[str] = []
    end = 0
    for token in stream:
        number_goes_on = bool(pieces) and (token.is_punct(".") or pieces[-1] in ("-", "."))
        if pieces and not number_goes_on:
            return "".join(pieces), end, token
        pieces.append(unquote(token.text) if token.kind == "string" else token.text)
        end = token.end
    if not pieces:
        raise syntax_error("SETTINGS wants name = value, …")
    return "".join(pieces), end, None


_ESCAPE = re.compile(r"\\(.)|''", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "f": "\f", "v": "\v", "a": "\a"}


def unquote(literal: str) -> str:
    """The value of a quoted string literal (latin-1 bytes as text)."""
    return _ESCAPE.sub(lambda m: "'" if m.group(1) is None else _ESCAPED.get(m.group(1), m.group(1)), literal[1:-1])


def _output_format(found: list[Token]) -> str | None:
    """The name behind the statement's own FORMAT, which stands at its end or before its SETTINGS."""
    depth = 0
    name = None
    for before, token in pairwise(found):
        if before.kind == "punct":
            depth += (before.text in _OPENING) - (before.text in _CLOSING)
        if not depth and before.is_word("FORMAT") and token.kind == "word":
            name = token.text
    return name
