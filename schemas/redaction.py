"""What may be kept of a record that was refused: its shape and its ids, not its values.

A dead letter must help to find the producer at fault without becoming a copy of what people typed.
"""

import re
from typing import cast

import msgspec

from .events import MAX_ID_LENGTH

DEFAULT_LIMIT = 2048
MASK = "***"
# More than any broker takes by default; beyond it, parsing for a dead letter isn't worth the memory.
_LARGEST_PARSED = 8 << 20
_DEEPEST = 8
_ITEMS_OF_A_LIST = 3
_LONGEST_KEY = 64
_OPAQUE_BYTES = 64
_KEPT_FIELDS = frozenset({"prediction_id", "action_id", "model", "name"})
_TIMESTAMP = re.compile(r"[0-9Tt:.Zz+ -]{1,40}")
# Letters, digits and everything beyond ASCII become '*', control characters '.', punctuation stays.
_OPAQUE = bytes(
    ord("*") if chr(code).isalnum() or code > 126 else ord(".") if code < 32 else code for code in range(256)
)


def redact(value: bytes | None, limit: int = DEFAULT_LIMIT) -> bytes:
    """At most `limit` bytes of UTF-8 that show what `value` looked like. Never raises.

    JSON keeps its structure, keys, booleans and nulls; strings and numbers become ``***``, except the ids, `model`,
    `name` and `ts` at the top, where they are short strings. Long lists and objects are cut, and say by how much.
    Of anything else the first 64 bytes are kept, with letters and digits masked.

    >>> redact(b'{"prediction_id": "p-1", "score": 1.7, "features": {"iban": "DE02 1203"}}').decode()
    '{"prediction_id":"p-1","score":"***","features":{"iban":"***"}}'
    >>> redact(b"user=jane;pin=1234").decode()
    '****=****;***=**** (18 bytes)'
    """
    if not value:
        return b""
    body = value[5:] if value[0] == 0 and value[5:6] == b"{" else value
    try:
        if len(body) > _LARGEST_PARSED:
            return _opaque(value)[:limit]
        shape = msgspec.json.encode(_Masker(limit).document(msgspec.json.decode(body)))
    except (msgspec.DecodeError, UnicodeError, RecursionError, MemoryError):
        return _opaque(value)[:limit]
    # Cut between characters, not inside one.
    return shape if len(shape) <= limit else shape[:limit].decode(errors="ignore").encode()


def redact_key(key: bytes | None) -> str:
    """A record's key where it looks like an id (short, printable), else its masked beginning; "" for none.

    >>> redact_key(b"0190b5f0-1234"), redact_key(None)
    ('0190b5f0-1234', '')
    """
    if not key:
        return ""
    try:
        text = key[: MAX_ID_LENGTH * 4].decode()
    except UnicodeDecodeError:
        return _opaque(key).decode()
    return text if _is_short_id(text) else _opaque(key).decode()


def _opaque(value: bytes) -> bytes:
    return value[:_OPAQUE_BYTES].translate(_OPAQUE) + f" ({len(value)} bytes)".encode()


def _is_short_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_ID_LENGTH and value.isprintable()


class _Masker:
    """Masks a document until about `budget` bytes of it are written; what comes after is only counted."""

    def __init__(self, budget: int) -> None:
        self._left = budget

    def document(self, document: object) -> object:
        if not isinstance(document, dict):
            return self._mask(document, 0)
        return self._members(cast("dict[str, object]", document), 0)

    def _mask(self, value: object, depth: int) -> object:
        if value is None or isinstance(value, bool):
            self._left -= 6
            return value
        if depth < _DEEPEST and isinstance(value, dict):
            return self._members(cast("dict[str, object]", value), depth)
        if depth < _DEEPEST and isinstance(value, list):
            return self._items(cast("list[object]", value), depth)
        self._left -= len(MASK) + 3
        return MASK

    def _members(self, members: dict[str, object], depth: int) -> dict[str, object]:
        masked: dict[str, object] = {}
        self._left -= 3
        for name, value in members.items():
            if self._left < 32 + len(name[:_LONGEST_KEY]):
                masked["…"] = f"{len(members) - len(masked)} more"
                break
            key = name[:_LONGEST_KEY]
            self._left -= len(key.encode()) + 4
            if depth == 0 and self._keeps(name, value):
                self._left -= len(str(value).encode()) + 3
                masked[key] = value
            else:
                masked[key] = self._mask(value, depth + 1)
        return masked

    def _items(self, items: list[object], depth: int) -> list[object]:
        self._left -= 3
        masked: list[object] = []
        for item in items[:_ITEMS_OF_A_LIST]:
            if self._left < 32:
                break
            masked.append(self._mask(item, depth + 1))
        if len(masked) < len(items):
            self._left -= 20
            masked.append(f"… {len(items) - len(masked)} more")
        return masked

    def _keeps(self, name: str, value: object) -> bool:
        if name == "ts":
            return isinstance(value, str) and _TIMESTAMP.fullmatch(value) is not None
        return name in _KEPT_FIELDS and _is_short_id(value)
