"""Make one call out: resolve, judge, dial, follow redirects, read, all within one time limit."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TypedDict, Unpack

import httpx
from django.views.decorators.debug import sensitive_variables

from runtime.exceptions import RefusedAddress
from runtime.outgoing.reply import Reply, bare, read_reply, told
from runtime.outgoing.resolving import addresses_of
from runtime.weblinks import url_trouble

TIMEOUT_SECONDS = 10.0
CONNECT_SECONDS = 5.0
MAX_BYTES = 1024 * 1024
REDIRECTS = 3
REDIRECTING = (301, 302, 303, 307, 308)
OWN_HEADERS = {
    "user-agent": "roost/1",
    "accept": "*/*",
    # Content as it is on the wire: a small answer cannot unfold into a large one.
    "accept-encoding": "identity",
}
HARMLESS = frozenset({*OWN_HEADERS, "accept-language", "content-type", "content-length"})
"""Headers that may follow a redirect to somebody else; any other could be a credential or a signature."""


class CallOptions(TypedDict, total=False):
    """What a call may be given; see `opened` for the defaults."""

    headers: Mapping[str, str] | None
    content: bytes | None
    timeout: float
    redirects: int


@sensitive_variables()
def fetch(method: str, url: str, *, max_bytes: int = MAX_BYTES, **options: Unpack[CallOptions]) -> Reply:
    """Do what `afetch` does, in code that is not async; the thread waits. Raises `RuntimeError` in an event loop."""
    if _in_event_loop():
        raise RuntimeError("fetch() would stop this event loop. Call: await afetch(…).")
    return asyncio.run(afetch(method, url, max_bytes=max_bytes, **options))


@sensitive_variables()
async def afetch(method: str, url: str, *, max_bytes: int = MAX_BYTES, **options: Unpack[CallOptions]) -> Reply:
    """Call out once and return the reply, whatever its status.

    `max_bytes` bound the body, before and after it is decompressed; see `opened` for the other options. Nothing is
    tried twice.

    Raises `RefusedAddress` and `ReplyRefused` (permanent), `TimeoutError` and `httpx.TransportError` (transient). After
    the last two the other side may have acted. Neither messages nor error reports hold more of the URL than its server.
    """
    async with opened(method, url, **options) as response:
        return await read_reply(response, max_bytes)


@sensitive_variables()
def opened(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
    timeout: float = TIMEOUT_SECONDS,
    redirects: int = REDIRECTS,
) -> AbstractAsyncContextManager[httpx.Response]:
    """Give the answer with its body unread, in an `async with` block. Read it with `aiter_raw` and a cap.

    `timeout` seconds bound everything from resolving to the end of the block. `redirects` are followed at most; 0 gives
    a redirect as it is. Raises what `afetch` raises. The answer's own decoding (`aread`, `aiter_bytes`) has no cap on
    what it unfolds to.
    """
    return _opened(_first(method, url, headers, content), timeout, redirects)


@asynccontextmanager
async def _opened(call: _Call, timeout: float, redirects: int) -> AsyncIterator[httpx.Response]:
    try:
        async with asyncio.timeout(timeout) as limit, _guarded() as transport:
            response = await _follow(transport, call, timeout, redirects)
            try:
                yield response
            finally:
                await response.aclose()
    except TimeoutError:
        if not limit.expired():
            raise
        # Without its cause, whose frames hold the whole URL.
        raise TimeoutError(f"{told(call.url)} gave no complete answer within {timeout:g} s.") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """One request to make. `secret`: it began with a body or with headers that are not for everybody."""

    method: str
    url: httpx.URL = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)
    secret: bool


def _first(method: str, url: str, headers: Mapping[str, str] | None, content: bytes | None) -> _Call:
    given = OWN_HEADERS | {name.lower(): value for name, value in (headers or {}).items()}
    secret = content is not None or not HARMLESS.issuperset(given)
    return _Call(method=method.upper(), url=_checked(url), headers=given, content=content, secret=secret)


def _checked(url: str) -> httpx.URL:
    trouble = url_trouble(url)
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL as error:
        trouble, found = trouble or f"it is no URL ({error})", httpx.URL("")
    if trouble:
        raise RefusedAddress(f"A URL was not called: {trouble}. Give an http or https URL.")
    return found


@sensitive_variables()
async def _follow(transport: _Guarded, call: _Call, timeout: float, redirects: int) -> httpx.Response:
    for left in range(redirects, -1, -1):
        response = await _sent(transport, call, timeout)
        target = response.headers.get("location")
        if response.status_code not in REDIRECTING or target is None or not redirects:
            return response
        await response.aclose()
        if left:
            call = _redirected(call, response.status_code, target)
    raise RefusedAddress(f"{told(call.url)} redirected more than {redirects} times. It was not followed further.")


@sensitive_variables()
async def _sent(transport: _Guarded, call: _Call, timeout: float) -> httpx.Response:
    """Make one request, without httpx's client: that one logs whole URLs, and keeps cookies."""
    request = _request(call, timeout)
    try:
        response = await transport.handle_async_request(request)
    except httpx.TransportError as error:
        error.request = request
        raise bare(error) from None
    response.request = request
    return response


@sensitive_variables()
def _request(call: _Call, timeout: float) -> httpx.Request:
    seconds = httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)).as_dict()
    return httpx.Request(
        call.method, call.url, headers=call.headers, content=call.content, extensions={"timeout": seconds}
    )


@sensitive_variables()
def _redirected(call: _Call, status: int, target: str) -> _Call:
    """Return the call that a redirect asks for. Raises `RefusedAddress` where it must not be made."""
    try:
        url = _checked(str(call.url.join(target)))
    except (RefusedAddress, httpx.InvalidURL) as error:
        raise RefusedAddress(f"{told(call.url)} redirected to a URL that is not followed: {error}") from None
    turned = status == 303 or (status in (301, 302) and call.method == "POST")
    if turned and call.method != "HEAD":
        kept = {name: value for name, value in call.headers.items() if not name.startswith("content-")}
        call = replace(call, method="GET", content=None, headers=kept)
    if call.secret and call.url.scheme == "https" and url.scheme == "http":
        raise RefusedAddress(f"{told(call.url)} redirected from https to http. It was not followed.")
    if told(url) != told(call.url):
        call = _for_somebody_else(call)
    return replace(call, url=url)


def _for_somebody_else(call: _Call) -> _Call:
    if call.content is not None:
        raise RefusedAddress(f"{told(call.url)} redirected a body to another server. It was not followed.")
    return replace(call, headers={name: value for name, value in call.headers.items() if name in HARMLESS})


def _guarded() -> _Guarded:
    return _Guarded(verify=_certificates(), limits=httpx.Limits(max_keepalive_connections=0), trust_env=False)


@functools.cache
def _certificates() -> ssl.SSLContext:
    # The environment may name the certificates (SSL_CERT_FILE), never a proxy. Reading them takes milliseconds: once.
    return httpx.create_ssl_context(trust_env=True)


class _Guarded(httpx.AsyncHTTPTransport):
    """Dials addresses that were judged, in turn until one takes the connection, under the name of the URL.

    Keeps no connection: one that was opened for another name at the same address must not be used.
    """

    @sensitive_variables()
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        found = await addresses_of(request.url)
        for address in found[:-1]:
            try:
                return await super().handle_async_request(_dialling(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await super().handle_async_request(_dialling(request, found[-1]))


def _dialling(request: httpx.Request, address: str) -> httpx.Request:
    """Return the request to one address, with the name of the URL in Host, and in TLS where it is checked."""
    name = request.url.raw_host.decode("ascii")
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": name},
    )


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
