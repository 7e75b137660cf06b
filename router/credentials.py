"""Credentials that expire: renewed before their end, in a thread, while calls go on with the old ones.

Owns when they are renewed; where they come from is the sources' business (`aws_credentials.py`,
`google_credentials.py`). Nothing is fetched until somebody asks, and nothing while nobody does. Secrets appear in no
repr and no error.
"""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from router.catalogue import AwsChain, CredentialSource

_SPARE_S: Final = 30.0
"""So long before their end they are not used any more: a call takes its time, and clocks differ."""
_AHEAD_S: Final = 14 * 60.0
"""So long before their end they are renewed, if they last that long: botocore fetches new ones from 15 minutes on."""
_LOOKED_AT_S: Final = 300.0
"""How often those without an end are looked at again: somebody may have exchanged them."""
_BELIEVED_S: Final = 60.0
"""So often, at most, they are fetched anew because the provider has turned them down."""
_AGAIN_S: Final = 2.0
"""After a failure nobody tries again for so long."""


class Lease(Struct, frozen=True):
    """Credentials as the provider's protocol takes them. `ends_s` in seconds since the epoch; infinite = they do not
    say."""

    value: str
    ends_s: float

    def __repr__(self) -> str:
        return f"Lease(until {self.ends_s})"

    def renewed_from_s(self, now_s: float) -> float:
        """When the next ones should be fetched: in good time, but not before half of their own is over."""
        if math.isinf(self.ends_s):
            return now_s + _LOOKED_AT_S
        left_s = self.ends_s - now_s
        return now_s + max(left_s - _AHEAD_S, left_s / 2)


class CredentialsUnavailable(Exception):
    """There are none, or none that are still good. `reason` is the name of what went wrong, never its text: that may
    quote what it could not read."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


Fetch = Callable[[bool], Lease]
"""Blocks, and raises whatever it likes. True = what it has given before was turned down."""


class Renewed:
    """One source's credentials. `now` gives seconds since the epoch."""

    def __init__(self, fetch: Fetch, now: Callable[[], float] = time.time) -> None:
        self._fetch = fetch
        self._now = now
        self._lease: Lease | None = None
        self._renew_from_s = -math.inf
        self._failure = ""
        self._is_doubted = False
        self._believed_until_s = -math.inf
        self._renewing: asyncio.Task[None] | None = None

    async def current(self) -> str:
        """Good credentials; at once, if there are any. Raises CredentialsUnavailable."""
        now_s = self._now()
        if now_s >= self._renew_from_s and self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())
        if (value := self._good_at(now_s)) is not None:
            return value
        if self._renewing is not None:
            await asyncio.shield(self._renewing)
        if self._lease is None or self._failure:
            raise CredentialsUnavailable(self._failure)
        return self._lease.value

    def doubt(self, value: str) -> None:
        """The provider has turned these down: new ones are fetched for whoever asks next. Not every time: it may be
        about what was asked."""
        now_s = self._now()
        if self._lease is not None and self._lease.value == value and now_s >= self._believed_until_s:
            self._lease, self._is_doubted, self._renew_from_s = None, True, now_s
            self._believed_until_s = now_s + _BELIEVED_S

    def close(self) -> None:
        """Whoever waits is let go; a thread that fetches ends by itself."""
        if self._renewing is not None:
            self._renewing.cancel()

    def _good_at(self, now_s: float) -> str | None:
        lease = self._lease
        return lease.value if lease is not None and now_s < lease.ends_s - _SPARE_S else None

    async def _renew(self) -> None:
        try:
            lease = await asyncio.to_thread(self._fetch, self._is_doubted)
        except Exception as error:  # noqa: BLE001  a library's own errors, of any kind: the old ones may still be good
            self._failure, self._renew_from_s = type(error).__name__, self._now() + _AGAIN_S
        else:
            self._lease, self._failure, self._is_doubted = lease, "", False
            self._renew_from_s = lease.renewed_from_s(self._now())
        finally:
            self._renewing = None


def opened(source: CredentialSource) -> Renewed:
    """The credentials of this source. Only what is used is imported: both libraries are large."""
    if isinstance(source, AwsChain):
        from router import aws_credentials

        return Renewed(aws_credentials.fetcher(source))
    from router import google_credentials

    return Renewed(google_credentials.fetcher(source))
