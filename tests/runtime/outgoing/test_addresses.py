"""Only addresses of the public internet are called, and what the allow list names."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.outgoing.addresses import is_public, is_within, read_address, read_allowed

pytestmark = pytest.mark.scenario("S10")


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",  # noqa: S104 - an address to refuse, not to bind to
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.168.1.1",
        "198.18.0.1",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_an_address_that_is_not_of_the_public_internet_is_refused(text: str) -> None:
    assert not is_public(read_address(text))


@pytest.mark.parametrize("text", ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_an_address_of_the_public_internet_is_called(text: str) -> None:
    assert is_public(read_address(text))


def test_a_mapped_address_is_allowed_as_the_one_it_maps() -> None:
    networks, _hosts = read_allowed(["10.1.0.0/16", "::1"])
    assert is_within(read_address("::ffff:10.1.2.3"), networks)
    assert is_within(read_address("::1"), networks)
    assert not is_within(read_address("10.2.0.1"), networks)


def test_host_names_are_compared_in_small_letters_without_the_last_dot() -> None:
    assert read_allowed(["Hooks.Internal."])[1] == {"hooks.internal"}


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "10.0.0.0/99", "http://host", "host:80", "*", "", " ", 7, "a@b"])
def test_an_entry_that_is_neither_network_nor_host_is_an_error_that_names_it(entry: Any) -> None:
    with pytest.raises(ValueError, match="neither a network") as caught:
        read_allowed([entry])
    assert repr(entry) in str(caught.value)
