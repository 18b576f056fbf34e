"""Addresses: where listeners bind, and what reaches this machine only. Nothing is looked up: a name is no address."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from gateway.documents import Section


@lru_cache(256)
def is_loopback(host: str) -> bool:
    """Whether binding to `host` reaches this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_name(authority: str) -> str:
    """The host of a `Host` header: without port and brackets, lower case."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0].lower()
    return authority.partition(":")[0].lower()


def is_same_address(one: str, other: str) -> bool:
    """Whether both are the same IP address, however it is written (`::ffff:10.0.0.1` is 10.0.0.1); a name is none."""
    first, second = _ip(one), _ip(other)
    return first is not None and first == second


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


class Address(Section):
    """Where a listener binds."""

    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.authority}"

    @property
    def authority(self) -> str:
        return f"[{self.reached}]:{self.port}" if ":" in self.reached else f"{self.reached}:{self.port}"

    @property
    def reached(self) -> str:
        """The host that is connected to from here."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)


@lru_cache(64)
def parse_address(text: str) -> Address:
    """`host:port`, `[v6]:port` or a bare port (on 127.0.0.1). Raises ValueError saying what is expected."""
    host, _, port = text.strip().rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"'{text}' is no address; write host:port, for example 127.0.0.1:8484")
    return Address(host=host.strip("[]") or "127.0.0.1", port=int(port))


def encrypted_url(text: str) -> str:
    """Raises ValueError for what is no https:// URL (http:// is for this machine)."""
    parts = urlsplit(text)
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))):
        raise ValueError("must be an https:// URL")
    return text
