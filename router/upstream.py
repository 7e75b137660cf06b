"""Calls at a provider: opens one, awaits its first event, and gives its events until the end.

The first event is the last moment at which a failure can still be answered by another attempt. What
happens then is an UpstreamError that says whether a retry may help and whether it may have been billed.
"""

import asyncio
import math
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Final

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from msgspec import Struct

from router.catalogue import CredentialSource, Deployment, Provider
from router.chat import ChatEvent
from router.credentials import CredentialsUnavailable, Renewed, opened
from router.errors import (
    UpstreamCut,
    UpstreamError,
    UpstreamMalformed,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from router.masking import masked
from router.protocols import wire_format
from router.protocols.wire import StreamReader, Wire, WireFormat
from router.rate_limits import pause_s
from router.simulated import SimulatedProvider
from router.sockets import open_socket
from router.sse import BlockTooLong

MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
_READ_OUT_AT_MOST_S: Final = 0.25
_CHECK_AT_MOST_S: Final = 5.0
_IDLE_AT_MOST_S: Final = 30.0
"""After which an unused connection is closed."""
_TURNED_DOWN: Final = (401, 403)
_REQUEST_IDS: Final = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id")

# aiohttp's own errors tell whether the request had been sent; the transport's translation does not.
_NOT_SENT: Final = (aiohttp.ClientConnectorError, httpx.ConnectError, httpx.ProxyError, httpx.UnsupportedProtocol)
_NOT_CONNECTED_IN_TIME: Final = (aiohttp.ConnectionTimeoutError, httpx.PoolTimeout)


class OpenCall(Struct):
    """An answer that has begun. Iterate `events` to the end or close it."""

    begun: list[ChatEvent]
    """What has come so far: the first event that says something, and the comments before it."""
    rest: AsyncIterator[ChatEvent]
    request_id: str | None = None
    """The provider's own id of the call."""
    ended: Callable[[UpstreamError | None, bool], None] | None = None
    """Is told when the answer is over: what made it fail, and whether it is whole. Neither = it was given up."""

    async def events(self) -> AsyncIterator[ChatEvent]:
        """The first event and all others, ending in one that `is_last`. Raises UpstreamError."""
        try:
            for event in self.begun:
                yield event
            async for event in self.rest:
                yield event
            self._tell(None, is_whole=True)
        except UpstreamError as error:
            self._tell(error)
            raise
        finally:
            await self.close()

    async def close(self) -> None:
        """Hangs up. Does nothing after the end."""
        try:
            await self.rest.aclose()  # type: ignore[attr-defined]
        finally:
            self._tell(None)

    def _tell(self, error: UpstreamError | None, *, is_whole: bool = False) -> None:
        ended, self.ended = self.ended, None
        if ended is not None:
            ended(error, is_whole)


def open_transport(provider: Provider) -> httpx.AsyncBaseTransport:
    """The transport for a provider: aiohttp's behind httpx's interface, called without httpx's client around it,
    because that carried 13 times the answers of httpx's own (`benchmarks/transports.py`)."""
    if provider.simulation is not None:
        return SimulatedProvider(provider.simulation)
    trusted = httpx.create_ssl_context()
    return AiohttpTransport(verify=trusted, client=partial(_open_session, trusted))


def _open_session(trusted: ssl.SSLContext) -> aiohttp.ClientSession:
    # 0 = no limit in the transport: what may be under way at once is decided before a call is made.
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0, keepalive_timeout=_IDLE_AT_MOST_S, ssl=trusted, socket_factory=open_socket
        )
    )


class Upstream:
    """All providers' transports, by provider name."""

    def __init__(self, transports: Mapping[str, httpx.AsyncBaseTransport]) -> None:
        self._transports = dict(transports)
        self._replaced: list[httpx.AsyncBaseTransport] = []
        self._credentials: dict[CredentialSource, Renewed] = {}

    def knows(self, provider: str) -> bool:
        return provider in self._transports

    def add(self, provider: str, transport: httpx.AsyncBaseTransport) -> None:
        """For a provider that it does not know yet, or instead of what it had: calls under way go on there."""
        if provider in self._transports:
            self._replaced.append(self._transports[provider])
        self._transports[provider] = transport

    async def close(self) -> None:
        for credentials in self._credentials.values():
            credentials.close()
        for transport in (*self._transports.values(), *self._replaced):
            await transport.aclose()

    async def credentials_of(self, provider: Provider, at_most_s: float = math.inf) -> str | None:
        """What the provider's calls carry now, where that is renewed; None where it is not. New ones are waited for as
        long as a connection, and at most `at_most_s`. Raises UpstreamUnreachable."""
        if provider.credentials is None:
            return None
        renewed = self._credentials.get(provider.credentials)
        if renewed is None:
            renewed = self._credentials[provider.credentials] = opened(provider.credentials)
        try:
            async with asyncio.timeout(min(provider.connect_timeout_s, at_most_s)):
                return await renewed.current()
        except (CredentialsUnavailable, TimeoutError) as error:
            reason = error.reason if isinstance(error, CredentialsUnavailable) else "none came in time"
            said = f"There are no credentials for provider `{provider.name}` at the moment ({reason})."
            raise UpstreamUnreachable(said) from None

    async def is_up(self, deployment: Deployment) -> bool:
        """Whether the provider answers a question that costs nothing, whatever it says: it is asked for its models,
        without a key."""
        provider = deployment.provider
        limits = {"connect": provider.connect_timeout_s, "read": _CHECK_AT_MOST_S}
        request = httpx.Request("GET", provider.base_url + "/models", extensions={"timeout": limits})
        try:
            async with asyncio.timeout(_CHECK_AT_MOST_S):
                response = await self._transports[provider.name].handle_async_request(request)
                await response.aclose()
        except (TimeoutError, OSError, httpx.TransportError, aiohttp.ClientError):
            return False
        return response.status_code < 500

    async def open(
        self,
        deployment: Deployment,
        wire: Wire,
        *,
        is_stream: bool,
        api_key: str | None = None,
        at_most_s: float = math.inf,
    ) -> OpenCall:
        """Sends the request and awaits the first event that says something, for `at_most_s` if the provider's own
        limit is longer. Raises UpstreamError."""
        provider = deployment.provider
        api_key = await self.credentials_of(provider, at_most_s) or api_key
        url = provider.base_url + wire.path
        spoken = wire_format(wire.protocol or provider.protocol)
        headers = spoken.authorised(wire, url, api_key, datetime.now(UTC))
        request = httpx.Request(
            wire.method,
            url,
            headers=headers,
            content=wire.body,
            extensions={"timeout": {"connect": provider.connect_timeout_s, "read": provider.idle_timeout_s}},
        )
        events: AsyncIterator[ChatEvent] | None = None
        request_id: str | None = None
        try:
            async with asyncio.timeout(min(provider.first_event_timeout_s, at_most_s)):
                response = await self._transports[provider.name].handle_async_request(request)
                request_id = _request_id(response.headers)
                events = _events(response, is_stream, spoken, deployment, api_key)
                begun = [await anext(events)]
                while begun[-1].kind == "comment":  # a sign of life is not yet an answer
                    begun.append(await anext(events))
        except BaseException as error:
            if events is not None:
                await events.aclose()  # type: ignore[attr-defined]
            if isinstance(error, UpstreamError) and error.status in _TURNED_DOWN and provider.credentials is not None:
                self._credentials[provider.credentials].doubt(api_key or "")
            if isinstance(error, UpstreamError) or not isinstance(error, Exception):
                raise
            raise _as_upstream_error(error, deployment, request_id) from error
        return OpenCall(begun, events, request_id)


def _request_id(headers: httpx.Headers) -> str | None:
    """Under the names that providers give it."""
    return next((headers[name] for name in _REQUEST_IDS if name in headers), None)


async def _events(
    response: httpx.Response, is_stream: bool, wire: WireFormat, deployment: Deployment, api_key: str | None
) -> AsyncIterator[ChatEvent]:
    chunks = response.stream.__aiter__()  # type: ignore[union-attr]
    try:
        if response.status_code >= 300:
            refusal = wire.parse_error(response.status_code, response.headers, await _whole(chunks), time.time())
            if response.status_code == 429 and (asked_s := pause_s(response.headers, time.time())) is not None:
                refusal.retry_after_s = asked_s
            raise refusal
        model, at_s = deployment.upstream_model, int(time.time())
        if is_stream and response.headers.get("content-type", "").lower().startswith(wire.STREAM_TYPE):
            async for event in _streamed(chunks, wire.Reader()):
                yield event.told(model, at_s)
        else:
            yield wire.parse_body(await _whole(chunks)).told(model, at_s)
    except UpstreamError as error:
        error.request_id = _request_id(response.headers)
        error.reword(masked(deployment.provider.base_url, api_key))
        raise
    except Exception as error:
        raise _as_upstream_error(error, deployment, _request_id(response.headers)) from error
    finally:
        await response.aclose()


async def _whole(chunks: AsyncIterator[bytes]) -> bytes:
    parts, size = [], 0
    async for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise UpstreamMalformed("The provider's answer is too long.", billed="unknown")
    return b"".join(parts)


async def _streamed(chunks: AsyncIterator[bytes], reader: StreamReader) -> AsyncIterator[ChatEvent]:
    """A stream's events, up to the one that ends it. Raises UpstreamCut for a stream without an end."""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise UpstreamMalformed("The provider's answer is too long.", billed="unknown")
        for event in reader.feed(chunk):
            yield event
            if event.is_last:
                await _read_out(chunks)
                return
    for event in reader.end():
        yield event


async def _read_out(chunks: AsyncIterator[bytes]) -> None:
    """Reads the end of the body that follows the last event: a connection that is left before it is closed, and
    the next call would have to shake hands anew. The answer is complete, whatever happens here."""
    with suppress(Exception):
        async with asyncio.timeout(_READ_OUT_AT_MOST_S):
            async for _ in chunks:
                pass


def _as_upstream_error(error: Exception, deployment: Deployment, request_id: str | None) -> UpstreamError:
    """Our error for whatever went wrong. Never repeats an address or a key."""
    failure = _in_our_words(error, deployment)
    failure.request_id = request_id
    return failure


def _in_our_words(error: Exception, deployment: Deployment) -> UpstreamError:
    name = deployment.provider.name
    cause = error.__cause__ or error
    match error:
        case _ if isinstance(cause, _NOT_CONNECTED_IN_TIME):
            return UpstreamTimeout(f"No connection to provider `{name}` in time.")
        case _ if isinstance(cause, _NOT_SENT):
            return UpstreamUnreachable(f"Provider `{name}` cannot be reached.")
        case TimeoutError() | httpx.ReadTimeout():
            return UpstreamTimeout(f"Provider `{name}` did not answer in time.", billed="unknown")
        case BlockTooLong() | StopAsyncIteration():
            return UpstreamMalformed(f"Provider `{name}` sent no proper event.", billed="unknown")
        case httpx.TransportError() | OSError() | aiohttp.ClientError():
            return UpstreamCut(f"The connection to provider `{name}` broke off.", billed="unknown")
        case _:
            return UpstreamMalformed(
                f"Provider `{name}` sent what cannot be understood ({type(error).__name__}).",
                billed="unknown",
            )
