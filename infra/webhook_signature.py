"""Signatures of webhooks, as the Standard Webhooks specification says (standardwebhooks.com).

A message is signed with HMAC-SHA256 over ``id.timestamp.body``. During a rotation of keys it bears a signature of each,
so that a receiver may know either.
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from ..schemas.errors import LoopwatchError

ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER = "webhook-id", "webhook-timestamp", "webhook-signature"
TOLERANCE_S = 300
"""How far the timestamp of a request may be from the clock, in either direction."""
SHORTEST_KEY, LONGEST_KEY = 24, 64
"""Bytes of a signing key."""

_PREFIX = "whsec_"
_VERSION = "v1"
_MOST_SIGNATURES = 20
_MOST_IDS = 100_000


class Refusal(StrEnum):
    """Why a request is not what it says."""

    MALFORMED = "malformed"
    """A header is missing, or is none."""
    STALE = "stale"
    """Its timestamp is too far from the clock."""
    FORGED = "forged"
    """No signature of it is ours."""
    REPLAYED = "replayed"
    """It was here before."""


class InvalidWebhook(LoopwatchError):
    """A request that is no webhook of ours, and why: answer it with 401, or a replayed one with 200."""

    def __init__(self, refusal: Refusal, detail: str) -> None:
        super().__init__(refusal, detail)
        self.refusal = refusal
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.refusal}: {self.detail}"


def signing_key(secret: str) -> bytes:
    """The key of a secret, ``whsec_`` and base64.

    Raises:
        ValueError: it is none; the message says why and never shows it.
    """
    try:
        key = base64.b64decode(secret.strip().removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a signing secret is whsec_ and base64") from None
    if not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise ValueError(f"a signing key has {SHORTEST_KEY} to {LONGEST_KEY} bytes, this one {len(key)}")
    return key


def signed_headers(keys: Sequence[bytes], id_: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The headers of a request with this body.

    >>> key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> body = b'{"test": 2432232314}'
    >>> signed_headers([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)["webhook-signature"]
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    signatures = " ".join(f"{_VERSION},{_signature(key, id_, str(timestamp_s), body)}" for key in keys)
    return {ID_HEADER: id_, TIMESTAMP_HEADER: str(timestamp_s)} | ({SIGNATURE_HEADER: signatures} if keys else {})


class WebhookVerifier:
    """Tells Loopwatch's webhooks from others, and each from its repeats. Threads may share it.

    >>> import time
    >>> secret, now = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", time.time()
    >>> headers = signed_headers([signing_key(secret)], "msg_1", int(now), b"{}")
    >>> WebhookVerifier(secret).verify(b"{}", headers)
    'msg_1'
    """

    def __init__(self, *secrets: str, tolerance_s: float = TOLERANCE_S, now: Callable[[], float] = time.time) -> None:
        """`secrets` are ``whsec_…``: during a rotation the new one and the old one.

        Raises:
            ValueError: there is none, or one is none.
        """
        if not secrets:
            raise ValueError("without a secret nothing can be verified")
        self._keys = [signing_key(secret) for secret in secrets]
        self._tolerance_s = tolerance_s
        self._now = now

    def verify(self, body: bytes, headers: Mapping[str, str]) -> str:
        """Return the id of a request with this raw body; the same id is the same message, to be handled once.

        Raises:
            InvalidWebhook: it is malformed, stale or forged.
        """
        named = {name.lower(): value for name, value in headers.items()}
        try:
            id_, timestamp, signatures = (named[name] for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER))
        except KeyError as exc:
            raise InvalidWebhook(Refusal.MALFORMED, f"header {exc.args[0]} is missing") from None
        if not id_ or len(id_) > 256 or not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            raise InvalidWebhook(Refusal.MALFORMED, f"{ID_HEADER} or {TIMESTAMP_HEADER} is none")
        if abs(self._now() - int(timestamp)) > self._tolerance_s:
            raise InvalidWebhook(Refusal.STALE, f"{TIMESTAMP_HEADER} is more than {self._tolerance_s:g} s off")
        given = [each.partition(",") for each in signatures.split()[:_MOST_SIGNATURES]]
        expected = [_signature(key, id_, timestamp, body).encode() for key in self._keys]
        # All are compared, whichever holds: how long it takes says nothing.
        matches = [
            hmac.compare_digest(signature.encode(), each)
            for version, _, signature in given
            for each in expected
            if version == _VERSION
        ]
        if not any(matches):
            raise InvalidWebhook(Refusal.FORGED, "no signature is of a key that is known here")
        return id_


class Once:
    """Ids of the latest requests: what comes again is refused. In one process; a database does so for several."""

    def __init__(self, most: int = _MOST_IDS) -> None:
        self._most = most
        self._seen: OrderedDict[str, None] = OrderedDict()

    def take(self, id_: str) -> None:
        """Take an id.

        Raises:
            InvalidWebhook: it was taken before.
        """
        if id_ in self._seen:
            raise InvalidWebhook(Refusal.REPLAYED, f"{id_} was here before")
        self._seen[id_] = None
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)


def _signature(key: bytes, id_: str, timestamp: str, body: bytes) -> str:
    content = b".".join((id_.encode(), timestamp.encode(), body))
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
