"""What a content system's webhook must look like before it is believed: Standard Webhooks, symmetric signatures.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
The time is passed in. Which webhooks were obeyed stands in the cache file, beside what they have changed. Knows neither
the server nor what a webhook changes.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa

from app.errors import WebhookInvalid, WebhookUnderWay
from cache import tables

TOLERANCE_S: Final = 300
"""How far the sender's clock may be off, and how long an id is remembered."""
PREFIX: Final = "whsec_"
_KEY_BYTES: Final = range(24, 65)
_ID_AT_MOST: Final = 256
_UNIX_TIME: Final = re.compile("[0-9]{1,11}", re.ASCII)


def signing_key(secret: str) -> bytes:
    """The key in `whsec_<base64 of 24 to 64 bytes>`. Raises ValueError, which never repeats the secret."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:  # binascii.Error is one, and there are others
        key = b""
    if not secret.startswith(PREFIX) or len(key) not in _KEY_BYTES:
        raise ValueError(f"must hold `{PREFIX}` and the base64 of {_KEY_BYTES[0]} to {_KEY_BYTES[-1]} random bytes")
    return key


def signature(key: bytes, webhook_id: str, timestamp: str, body: bytes) -> str:
    """What stands in `webhook-signature`: HMAC-SHA256 over `id.timestamp.body`."""
    signed = b".".join((webhook_id.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def verified_id(key: bytes, headers: Mapping[str, str], body: bytes, now_s: float) -> str:
    """The id of a webhook that was signed with this key just now. Raises WebhookInvalid."""
    webhook_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "").split()  # several while the sender changes its secret
    if not (webhook_id and timestamp and given):
        raise WebhookInvalid("Send `webhook-id`, `webhook-timestamp` and `webhook-signature` (Standard Webhooks).")
    if len(webhook_id) > _ID_AT_MOST or not _UNIX_TIME.fullmatch(timestamp):
        raise WebhookInvalid(
            f"`webhook-id` has at most {_ID_AT_MOST} characters, `webhook-timestamp` is in whole seconds since 1970."
        )
    expected = signature(key, webhook_id, timestamp, body).encode()
    if not any(hmac.compare_digest(each.encode(), expected) for each in given):
        raise WebhookInvalid("`webhook-signature` does not fit: sign `id.timestamp.body` with the configured secret.")
    if abs(now_s - int(timestamp)) > TOLERANCE_S:
        raise WebhookInvalid(
            f"`webhook-timestamp` is more than {TOLERANCE_S} seconds off: check both clocks, and sign every new "
            "attempt anew."
        )
    return webhook_id


class Received:
    """The ids of the webhooks that were obeyed lately; only signed ones, so that nobody else can fill it. What it
    forgets is refused for its timestamp. One that is being obeyed while the server is killed has not been obeyed."""

    def __init__(self, cache_file: sa.Engine) -> None:
        self._file = cache_file
        with cache_file.connect() as connection:
            known = connection.execute(sa.select(tables.webhooks))
            self._until = {row.id: row.until_us / 1e6 for row in known}
        self._under_way: set[str] = set()

    def take(self, webhook_id: str, now_s: float) -> bool:
        """Takes note of an id; whether it is to be obeyed, because it was not yet. A sender that has not heard that it
        was sends it again. Raises WebhookUnderWay while nobody knows whether it will be."""
        # A sender's clock may be ahead by the tolerance, so that a timestamp stays good for twice as long.
        self._until = {known: until for known, until in self._until.items() if until >= now_s}
        if webhook_id in self._under_way:
            raise WebhookUnderWay(
                "This `webhook-id` is being obeyed at this moment. Send it again to hear how it ended."
            )
        if webhook_id in self._until:
            return False
        self._until[webhook_id] = now_s + 2 * TOLERANCE_S
        self._under_way.add(webhook_id)
        return True

    def keep(self, webhook_id: str, now_s: float) -> None:
        """It was obeyed: from now on that outlives the server. May be called from any thread. Raises
        sqlalchemy.exc.DatabaseError."""
        t = tables.webhooks
        until_us = int((now_s + 2 * TOLERANCE_S) * 1e6)
        with self._file.begin() as connection:
            connection.execute(t.delete().where(t.c.until_us < int(now_s * 1e6)))
            connection.execute(t.insert().prefix_with("OR REPLACE").values(id=webhook_id, until_us=until_us))
        self._under_way.discard(webhook_id)

    def drop(self, webhook_id: str) -> None:
        """It could not be obeyed."""
        self._until.pop(webhook_id, None)
        self._under_way.discard(webhook_id)
