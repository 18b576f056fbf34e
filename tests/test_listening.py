"""Ports that are held for processes which come and go."""

import socket

import pytest

from gateway.listening import bound, held


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_held_port_is_for_those_who_share_it(host):
    with held(host, 0) as sock:
        port = sock.getsockname()[1]
        with bound(host, port) as one, bound(host, port) as other:
            one.listen()
            other.listen()
        with pytest.raises(OSError, match="in use"):
            held(host, port)


def test_a_held_port_takes_no_connection_before_somebody_listens():
    with held("127.0.0.1", 0) as sock, socket.socket() as client:
        assert client.connect_ex(sock.getsockname()) != 0


@pytest.mark.parametrize("shared", [False, True])
def test_a_port_can_be_held_whose_connections_were_closed_a_moment_ago(shared):
    with bound("127.0.0.1", 0) if shared else socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(True)
        server.listen()
        place = server.getsockname()
        with socket.create_connection(place) as client:
            server.accept()[0].close()  # first, so that the wait for its end is here
            assert client.recv(1) == b""
    with held(*place), bound(*place) as sock:
        sock.listen()
