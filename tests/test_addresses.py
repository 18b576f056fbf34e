"""What an address is, and which reach this machine only."""

from __future__ import annotations

import pytest

from gateway.addresses import encrypted_url, host_name, is_loopback, is_same_address, parse_address


def test_a_port_alone_is_one_of_this_machine():
    assert parse_address("8484").host == "127.0.0.1"
    assert parse_address("8484").loopback


def test_an_address_that_binds_everywhere_is_reached_on_this_machine_and_is_not_its_own():
    assert parse_address("[::1]:80").url == "http://[::1]:80"
    assert parse_address("0.0.0.0:80").url == "http://127.0.0.1:80"
    assert parse_address("[::]:80").url == "http://[::1]:80"
    assert not parse_address("0.0.0.0:80").loopback


@pytest.mark.parametrize("text", ["", "nowhere", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:8O", "127.0.0.1:٨٠", "127.0.0.1:-1"])
def test_what_has_no_port_is_no_address(text):
    with pytest.raises(ValueError, match=r"is no address; write host:port, for example 127\.0\.0\.1:8484"):
        parse_address(text)


def test_only_what_cannot_be_another_machine_is_this_one():
    assert [is_loopback(host) for host in ("localhost", "127.8.9.1", "::1", "[::1]")] == [True] * 4
    assert [is_loopback(host) for host in ("example.com", "localhost.example", "10.0.0.1", "0.0.0.0", "::", "")] == [False] * 6


@pytest.mark.parametrize(
    ("authority", "name"),
    [("Example.com:80", "example.com"), ("example.com", "example.com"), ("[::1]:80", "::1"), ("[::1]", "::1"), ("", "")],
)
def test_a_host_s_name_is_without_port_and_brackets(authority, name):
    assert host_name(authority) == name


def test_a_url_is_encrypted_unless_it_is_of_this_machine():
    for url in ("https://example.com/x", "http://127.0.0.1:9/x", "http://localhost/x", "http://[::1]:9/x"):
        assert encrypted_url(url) == url
    for url in ("http://example.com/x", "ftp://127.0.0.1/x", "https:///x", "example.com", ""):
        with pytest.raises(ValueError, match="must be an https:// URL"):
            encrypted_url(url)


@pytest.mark.parametrize("other", ["10.1.2.3", "::ffff:10.1.2.3", "::FFFF:a01:203"])
def test_an_address_is_the_same_however_it_is_written(other):
    assert is_same_address("10.1.2.3", other)
    assert is_same_address(other, "10.1.2.3")


@pytest.mark.parametrize("other", ["10.1.2.4", "::1", "localhost", "", "10.1.2.3.example", "010.1.2.3", "167838211"])
def test_another_address_or_a_name_is_not_the_same(other):
    assert not is_same_address("10.1.2.3", other)
    assert not is_same_address(other, other) or other in ("10.1.2.4", "::1")
