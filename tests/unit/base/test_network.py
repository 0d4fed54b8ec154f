"""From where somebody asks."""

from __future__ import annotations

import pytest

from quanmin.base.network import network_of


@pytest.mark.parametrize(
    ("peer", "told"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::9", "2001:db8::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", "unknown"),
        ("192.0.2.7\r\nX: y", "unknown"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_address_is_told_of_version_6_the_network(peer: str, told: str) -> None:
    assert network_of(peer, []) == told


def test_a_header_is_believed_only_where_somebody_stands_in_front_and_then_its_end() -> None:
    headers = [(b"x-real-ip", b"9.9.9.9"), (b"x-real-ip", b"8.8.8.8, 192.0.2.1")]
    assert network_of("127.0.0.1", headers) == "127.0.0.1"
    assert network_of("127.0.0.1", headers, b"x-real-ip") == "192.0.2.1"
    assert network_of("127.0.0.1", [], b"x-real-ip") == "127.0.0.1"
