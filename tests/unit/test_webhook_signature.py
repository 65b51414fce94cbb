"""Webhooks are told from forged, stale and repeated ones."""

import base64

import pytest
from loopwatch.infra.webhook_signature import signed_headers, signing_key
from loopwatch.producers import InvalidWebhook, Once, Refusal, WebhookVerifier

# The example of the Standard Webhooks specification.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
HEADERS = {"webhook-id": ID, "webhook-timestamp": str(AT), "webhook-signature": SIGNATURE}
OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def verifier(*secrets: str, now: float = AT) -> WebhookVerifier:
    return WebhookVerifier(*(secrets or (SECRET,)), now=lambda: now)


def refusal(headers: dict[str, str], body: bytes = BODY, **more: float) -> Refusal:
    with pytest.raises(InvalidWebhook) as refused:
        verifier(**more).verify(body, headers)
    return refused.value.refusal


def test_the_specification_s_example_is_signed_and_verified() -> None:
    assert signed_headers([signing_key(SECRET)], ID, AT, BODY) == HEADERS
    assert verifier().verify(BODY, HEADERS) == ID
    assert verifier().verify(BODY, {name.title(): text for name, text in HEADERS.items()}) == ID


@pytest.mark.parametrize("off", [-299, 299])
def test_a_clock_may_be_off_by_less_than_five_minutes(off: int) -> None:
    assert verifier(now=AT + off).verify(BODY, HEADERS) == ID


@pytest.mark.parametrize("off", [-301, 301, 10_000_000])
def test_what_is_older_or_newer_is_stale(off: int) -> None:
    assert refusal(HEADERS, now=AT + off) is Refusal.STALE


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_other"},
        {"webhook-timestamp": str(AT + 1)},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": SIGNATURE.replace("v1", "v1a")},
        {"webhook-signature": SIGNATURE.replace("v1", "v2")},
        {"webhook-signature": SIGNATURE[3:]},
        {"webhook-signature": "v1,ü"},
        {"webhook-signature": ""},
        {"webhook-signature": " ".join(["v1,x"] * 50) + " " + SIGNATURE},
    ],
)
def test_whatever_of_the_headers_is_changed_it_is_forged(change: dict[str, str]) -> None:
    assert refusal(HEADERS | change) is Refusal.FORGED


@pytest.mark.parametrize("body", [b"", BODY + b" ", BODY.replace(b"2", b"3")])
def test_another_body_is_forged(body: bytes) -> None:
    assert refusal(HEADERS, body) is Refusal.FORGED


@pytest.mark.parametrize(
    "headers",
    [
        *({name: text for name, text in HEADERS.items() if name != missing} for missing in HEADERS),
        HEADERS | {"webhook-timestamp": "soon"},
        HEADERS | {"webhook-timestamp": "-1"},
        HEADERS | {"webhook-timestamp": "9" * 400},
        HEADERS | {"webhook-timestamp": "１６１４２６５３３０"},
        HEADERS | {"webhook-id": ""},
        HEADERS | {"webhook-id": "x" * 1000},
    ],
)
def test_headers_that_are_none_are_malformed(headers: dict[str, str]) -> None:
    assert refusal(headers) is Refusal.MALFORMED


def test_during_a_rotation_either_secret_will_do() -> None:
    both = signed_headers([signing_key(OTHER), signing_key(SECRET)], ID, AT, BODY)
    for secret in (SECRET, OTHER):
        assert verifier(secret).verify(BODY, both) == ID
    assert verifier(OTHER, SECRET).verify(BODY, HEADERS) == ID
    with pytest.raises(InvalidWebhook, match="forged"):
        verifier(OTHER).verify(BODY, HEADERS)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_short", "whsec_" + "A" * 30, "whsec_!!!!", "whsec_" + "A" * 100]
)
def test_a_secret_that_is_none_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="signing") as refused:
        signing_key(secret)
    assert secret.removeprefix("whsec_") == "" or secret.removeprefix("whsec_") not in str(refused.value)
    with pytest.raises(ValueError, match="nothing can be verified"):
        WebhookVerifier()


def test_an_id_is_taken_once_and_memory_is_bounded() -> None:
    once = Once(most=2)
    once.take("a")
    with pytest.raises(InvalidWebhook) as refused:
        once.take("a")
    assert refused.value.refusal is Refusal.REPLAYED
    once.take("b")
    once.take("c")
    once.take("a")
