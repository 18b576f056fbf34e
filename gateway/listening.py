"""Sockets of the gateway's two addresses: the supervisor holds each as long as it runs, its processes listen there and may come and go."""

from __future__ import annotations

import socket

AFTER_A_CLOSE = (socket.SO_REUSEADDR,)
"""The port may have connections that were closed a moment ago; whoever listens there refuses it."""
SHARED = (socket.SO_REUSEADDR, socket.SO_REUSEPORT)
"""Other processes of this user may have a socket there as well; the kernel spreads connections over those that listen."""
HELD = (socket.SO_REUSEPORT,)
"""As shared, and who does not share cannot have it either while nobody listens."""


def bound(host: str, port: int, how: tuple[int, ...] = SHARED) -> socket.socket:
    """A socket of that address, which receives nothing before it listens; 0 takes a port that nobody has. Raises OSError."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    for option in how:
        sock.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def held(host: str, port: int) -> socket.socket:
    """A socket that keeps that address for processes of this user that share it. Raises OSError when somebody else has it."""
    if port:  # shared it would be had beside another gateway
        bound(host, port, AFTER_A_CLOSE).close()
    try:
        return bound(host, port, HELD)
    except OSError:  # connections of another program that was there before wait for their end
        return bound(host, port, SHARED)
