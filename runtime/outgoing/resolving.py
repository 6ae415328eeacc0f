"""Resolve a host and judge all that it resolves to: what comes back is what is dialled."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from django.views.decorators.debug import sensitive_variables

from runtime.conf import BadSetting
from runtime.conf import settings as roost
from runtime.exceptions import RefusedAddress
from runtime.outgoing.addresses import Network, is_public, is_within, plain_host, read_address, read_allowed

if TYPE_CHECKING:
    import httpx

LOOKUPS_AT_ONCE = 16
DEFAULT_PORTS = {"http": 80, "https": 443}


@sensitive_variables()
async def addresses_of(url: httpx.URL) -> list[str]:
    """Return the addresses that may be dialled for the URL, in the resolver's order, at least one.

    A name that resolves to one refused address is refused whole: an answer that mixes the public with the private is
    what rebinding looks like. Raises `RefusedAddress`, `httpx.ConnectError` where nothing is found.
    """
    host, port = url.raw_host.decode("ascii"), url.port or DEFAULT_PORTS[url.scheme]
    networks, hosts = allowed()
    found = await _resolve(host, port)
    if plain_host(host) not in hosts:
        for text in found:
            _judge(text, host, port, networks)
    return found


def allowed() -> tuple[tuple[Network, ...], frozenset[str]]:
    """Return the networks and hosts of `ROOST_OUTGOING_ALLOW`. Raises `BadSetting`."""
    try:
        return read_allowed(roost.OUTGOING_ALLOW)
    except ValueError as error:
        raise BadSetting(f"ROOST_OUTGOING_ALLOW is wrong: {error}.") from None


def _judge(text: str, host: str, port: int, networks: tuple[Network, ...]) -> None:
    try:
        address = read_address(text)
    except ValueError:
        raise RefusedAddress(f"{host} resolves to {text!r}, which is no address. It was not called.") from None
    if is_within(address, networks):
        return
    if not is_public(address):
        raise RefusedAddress(
            f"{host} is {address}, which is no address of the public internet. It was not called. If it may be, name "
            "the host or its network in ROOST_OUTGOING_ALLOW."
        )
    ports: list[int] | None = roost.OUTGOING_PORTS
    if ports is not None and port not in ports:
        raise RefusedAddress(
            f"Port {port} of {host} was not called: ROOST_OUTGOING_PORTS has {', '.join(map(str, ports))}. Add the "
            "port there, or the host to ROOST_OUTGOING_ALLOW."
        )


async def _resolve(host: str, port: int) -> list[str]:
    from httpx import ConnectError

    try:
        found = await asyncio.get_running_loop().run_in_executor(_threads(os.getpid()), lookup, host, port)
    except UnicodeError:
        raise RefusedAddress(f"{host[:80]} is no host name. It was not called.") from None
    except OSError as error:
        raise ConnectError(f"{host} cannot be resolved: {error}") from error
    if not found:
        raise ConnectError(f"{host} resolves to nothing")
    return found


def lookup(host: str, port: int) -> list[str]:
    """Ask the system's resolver; return each address once."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@functools.cache
def _threads(pid: int) -> ThreadPoolExecutor:
    # Threads of our own, which no event loop waits for at its end: a resolver that hangs costs no caller more than its
    # time. By process, since threads do not survive a fork.
    return ThreadPoolExecutor(LOOKUPS_AT_ONCE, f"roost-resolver-{pid}")
