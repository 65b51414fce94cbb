"""Secrets, read where they are used and shown nowhere."""

import os
from collections.abc import Mapping
from pathlib import Path

from ...schemas.alerting import Format, Receiver, Secret

_LONGEST = 4096


class MissingSecret(Exception):
    """A secret is not where it should be; the message says where, and never what."""


def read_secret(secret: Secret, env: Mapping[str, str] = os.environ) -> str:
    """What it is now: a file that was rotated is read anew.

    Raises:
        MissingSecret: it is not there, is empty, or is no line of text.
    """
    if secret.env:
        text, where = env.get(secret.env, ""), f"environment variable {secret.env}"
    else:
        where = f"file {secret.file}"
        try:
            with Path(secret.file).open(encoding="utf-8") as file:
                text = file.read(_LONGEST + 1)
        except (OSError, UnicodeDecodeError) as exc:
            raise MissingSecret(f"{where} can't be read: {type(exc).__name__}") from None
    text = text.strip()
    if not text or len(text) > _LONGEST or not text.isprintable():
        raise MissingSecret(f"{where} {'is empty' if not text else 'holds no secret'}")
    return text


def url_of(receiver: Receiver, env: Mapping[str, str] = os.environ) -> str:
    """The address of a receiver. Raises MissingSecret."""
    return receiver.url if receiver.url_secret is None else read_secret(receiver.url_secret, env)


def signing_secrets(receiver: Receiver, env: Mapping[str, str] = os.environ) -> list[str]:
    """What webhooks are signed with, the newest first. Raises MissingSecret."""
    if receiver.format is not Format.WEBHOOK:
        return []
    return [read_secret(secret, env) for secret in receiver.secrets]


def routing_key(receiver: Receiver, env: Mapping[str, str] = os.environ) -> str:
    """PagerDuty's key of an integration. Raises MissingSecret."""
    return read_secret(receiver.secrets[0], env)
