"""What an address is, and which reach this machine only."""

from __future__ import annotations

from gateway.addresses import is_loopback, parse_address


def test_addresses():
    assert parse_address("8484").host == "127.0.0.1"
    assert parse_address("[::1]:80").url == "http://[::1]:80"
    assert parse_address("0.0.0.0:80").url == "http://127.0.0.1:80"
    assert not parse_address("0.0.0.0:80").loopback
    assert is_loopback("localhost")
    assert is_loopback("127.8.9.1")
    assert not is_loopback("example.com")
