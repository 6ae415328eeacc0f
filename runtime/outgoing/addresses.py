"""Judge IP addresses: which may be dialled on behalf of somebody who wrote a URL. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Named one by one, since what the standard library calls global differs between versions of Python, and some of these
# are global by the book: what embeds an IPv4 address, and the host that serves secrets to machines of Azure.
REFUSED: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        # All of IPv6 but 2000::/3, the only part that is given out for the public internet; and what is no host there.
        "::/3",
        "4000::/2",
        "8000::/1",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
)


def read_address(text: str) -> Address:
    """Return the address that a connection to `text` would reach: an IPv4 address mapped into IPv6 is IPv4.

    Raises `ValueError` if it is none.
    """
    found = ipaddress.ip_address(text)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def is_public(address: Address) -> bool:
    """Say whether the address is one of the public internet, and of no network that somebody owns alone."""
    if any(address in network for network in REFUSED if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast


def is_within(address: Address, networks: Iterable[Network]) -> bool:
    """Say whether one of the networks has the address."""
    return any(address in network for network in networks if network.version == address.version)


def read_allowed(entries: Iterable[object]) -> tuple[tuple[Network, ...], frozenset[str]]:
    """Return the networks and the host names of an allow list. Raises `ValueError` that names a wrong entry."""
    networks: list[Network] = []
    hosts: set[str] = set()
    for entry in entries:
        if not isinstance(entry, str) or not entry.strip() or any(sign in entry for sign in " @*"):
            raise ValueError(f"{entry!r} is neither a network like 10.1.0.0/16 nor a host name")
        try:
            networks.append(ipaddress.ip_network(entry))
        except ValueError:
            if "/" in entry or ":" in entry:
                raise ValueError(f"{entry!r} is neither a network like 10.1.0.0/16 nor a host name") from None
            hosts.add(plain_host(entry))
    return tuple(networks), frozenset(hosts)


def plain_host(host: str) -> str:
    """Return the host name as it is compared: in small letters, without the dot at its end."""
    return host.lower().rstrip(".")
