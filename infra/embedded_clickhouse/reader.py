"""What a reader may send: the allowlist of statements, functions, tables and settings.

The first of two walls. The second is the engine's own ``readonly = 1``, which refuses writes and most table functions
but not ``INTO OUTFILE`` and not the scalar ``file()``: those, and all that isn't plainly reading tables, end here.
"""

import re
from collections.abc import Mapping
from itertools import pairwise

from .errors import QueryError, access_denied
from .reader_names import SYSTEM_TABLES, Catalog
from .statements import Edit, Statement, assignments_after
from .tokens import Token

_VERBS = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN"})
_WORDS_REFUSED = ("INTO", "OUTFILE", "INFILE", "PARALLEL", "PROCESSLIST")
_EXPLAINS = ("AST", "SYNTAX", "PLAN", "PIPELINE", "ESTIMATE", "QUERY")
_PLAIN_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?")

LIMITS = {
    "max_execution_time": 30,
    "max_result_rows": 1_000_000,
    "max_result_bytes": 256 << 20,
    "max_memory_usage": 2 << 30,
}
"""A reader's limits (seconds, rows, bytes, bytes); it may lower them."""
_SETTINGS_ALLOWED = re.compile(
    r"output_format_(?:json|csv|tsv|arrow|native|parquet|pretty|markdown|xml|decimal|write|binary|values)_\w+"
    r"|format_csv_delimiter|date_time_output_format|date_time_input_format|session_timezone|extremes"
    r"|cast_string_to_dynamic_use_inference|result_overflow_mode|join_use_nulls|log_comment"
)
IGNORED_SETTINGS = frozenset(
    {
        "cancel_http_readonly_queries_on_client_close",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
    }
)


def check(
    statement: Statement, params: Mapping[str, str], database: str, catalog: Catalog
) -> tuple[dict[str, str], list[Edit]]:
    """Refuse what a reader may not do with `QueryError` 497 or 164.

    Returns the settings of the statement's own SETTINGS clause and the edits that cut it out (``readonly = 1`` would
    refuse even the allowed ones there).
    """
    if statement.verb not in _VERBS or statement.data_format is not None:
        raise access_denied(f"{statement.verb or 'this'} is not among {', '.join(sorted(_VERBS))}")
    if database.lower() == "system":
        raise access_denied("the current database can't be `system`: write system.<table>")
    settings, edits = _lift_settings(statement)
    # What the engine will see: a name and a bracket may have become neighbours, a call, by the cut.
    found = tuple(token for token in statement.tokens if not any(start <= token.start < end for start, end, _ in edits))
    _check_words(found)
    if statement.verb == "EXPLAIN":
        _check_explain(found)
    _check_calls(found, catalog)
    _check_system_tables(found)
    _check_identifier_params(found, params)
    return settings, edits


def session_settings(wanted: Mapping[str, str]) -> dict[str, str]:
    """A reader's session: the limits, lowered where `wanted` asks for it, and ``readonly``. Raises `QueryError` 164."""
    settings = {name: str(limit) for name, limit in LIMITS.items()}
    settings |= {"result_overflow_mode": "throw", "timeout_overflow_mode": "throw"}
    for name, value in wanted.items():
        if name in LIMITS:
            if not value.isascii() or not value.isdigit() or not 0 < int(value) <= LIMITS[name]:
                raise _readonly(f"{name} may be 1 to {LIMITS[name]}")
            settings[name] = value
        elif name == "readonly":
            if value not in ("1", "2"):
                raise _readonly("Cannot modify 'readonly' setting in readonly mode")
        elif _SETTINGS_ALLOWED.fullmatch(name):
            settings[name] = value
        elif name not in IGNORED_SETTINGS:
            raise _readonly(f"Cannot modify '{name}' setting in readonly mode")
    return {**settings, "readonly": "1"}


def _readonly(text: str) -> QueryError:
    return QueryError(164, "READONLY", text)


def _check_words(found: tuple[Token, ...]) -> None:
    for token in found:
        if token.is_word(*_WORDS_REFUSED):
            raise access_denied(
                f"{token.text.upper()} may not stand in a reader's statement (quote it, if it is a name)"
            )


def _check_explain(found: tuple[Token, ...]) -> None:
    for before, token in pairwise(found):
        if token.is_word("SELECT", "WITH") or token.is_punct("("):
            return
        option = token.kind == "punct" or before.is_punct("=") or before.is_punct(",")
        if not (option or token.is_word(*_EXPLAINS, "TREE") or _is_setting_of_explain(found, token)):
            break
    raise access_denied("EXPLAIN is for SELECT")


def _is_setting_of_explain(found: tuple[Token, ...], token: Token) -> bool:
    following = found[found.index(token) + 1 :]
    return bool(following) and following[0].is_punct("=")


def _check_calls(found: tuple[Token, ...], catalog: Catalog) -> None:
    applies = any(token.is_word("APPLY") for token in found)  # `* APPLY file` calls without brackets
    for index, token in enumerate(found):
        called = applies or (index + 1 < len(found) and found[index + 1].is_punct("("))
        if token.kind not in ("word", "name") or not called:
            continue
        name = token.text.lower()
        reads_table = index > 0 and found[index - 1].is_word("FROM", "JOIN", "TABLE", "DESCRIBE", "DESC")
        if name in catalog.refused or (name == "format" and reads_table):
            raise access_denied(f"{token.text}() is not for readers")


def _check_system_tables(found: tuple[Token, ...]) -> None:
    for token, dot, table in zip(found, found[1:], found[2:], strict=False):
        named = token.kind in ("word", "name") and token.text.lower() == "system" and dot.is_punct(".")
        if named and not (table.kind in ("word", "name") and table.text.lower() in SYSTEM_TABLES):
            raise access_denied("this table of the system database is not for readers")


def _check_identifier_params(found: tuple[Token, ...], params: Mapping[str, str]) -> None:
    for brace, name, colon, kind in zip(found, found[1:], found[2:], found[3:], strict=False):
        if not (brace.is_punct("{") and colon.is_punct(":") and kind.text.lower() == "identifier"):
            continue
        value = params.get(name.text, "")
        if not _PLAIN_IDENTIFIER.fullmatch(value) or value.lower().partition(".")[0] == "system":
            raise access_denied(f"the value of {{{name.text}:Identifier}} must be a plain name outside `system`")


def _lift_settings(statement: Statement) -> tuple[dict[str, str], list[Edit]]:
    found = statement.tokens
    lifted: dict[str, str] = {}
    edits: list[Edit] = []
    depth = 0
    for index, token in enumerate(found):
        depth += token.is_punct("(") - token.is_punct(")")
        starts = index + 2 < len(found) and found[index + 2].is_punct("=") and found[index + 1].kind in ("word", "name")
        if not (token.is_word("SETTINGS") and starts):
            continue
        if depth:
            raise _readonly("SETTINGS may not stand in a reader's subquery")
        assignments, end = assignments_after(iter(found[index + 1 :]))
        lifted |= assignments
        edits.append((token.start, end, b" "))
    return lifted, edits
