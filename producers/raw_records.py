"""What the readers of files give: a record's bytes, not yet known to be an event, and where they stood."""

from typing import NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ..schemas.errors import InvalidEvent


class RawRecord(NamedTuple):
    """The JSON of one record, or why it has none, and its line (or row), from 1."""

    line: int
    value: bytes | InvalidEvent


class _Probe(Struct):
    action_id: msgspec.Raw | UnsetType = UNSET


_probe = msgspec.json.Decoder(_Probe).decode


def has_action_id(value: bytes) -> bool:
    """Whether it is an object with an `action_id`: then it means to be an action, else a prediction.

    >>> has_action_id(b'{"action_id": 7}'), has_action_id(b'{"prediction_id": "a"}'), has_action_id(b"{")
    (True, False, False)
    """
    try:
        return _probe(value).action_id is not UNSET
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
