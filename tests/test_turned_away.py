"""What the server refuses before it is a request is on record, and a flood of it is on record as a number."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

import pytest

from tests.patience import until

RUBBISH = b"NONSENSE\x00\r\n\r\n"


def send(gateway, raw: bytes) -> bytes:
    where = urlsplit(gateway.url)
    with socket.create_connection((where.hostname, where.port), timeout=20) as client:
        client.sendall(raw)
        return client.recv(256)


def refused(gateway, least: int) -> list:
    """The records, once they tell of so many refusals."""

    def rows() -> list:
        return [record.exchange for record in gateway.records() if hasattr(record, "exchange")]

    until(lambda: sum(int(row.error_message.split()[0]) for row in rows()) >= least, what=rows)
    return rows()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (RUBBISH, 400),
        (b"POST /v1/messages HTTP/1.1\r\n\r\n", 400),
        (b"POST /v1/messages HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nexpect: x\r\n\r\n", 417),
        (b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 1000 + b"\r\n", 431),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n", 414),
    ],
)
def test_a_refusal_at_the_door_is_on_record(start, provider, raw, status):
    gateway = start()
    assert send(gateway, raw).split(b" ")[1] == str(status).encode()
    [row] = refused(gateway, 1)
    assert (row.state, row.status, row.error_code, row.agent) == ("rejected", status, f"http_{status}", "")
    assert row.error_message.startswith("1 request that ")


def test_a_flood_is_on_record_as_a_number(start, provider):
    gateway = start()
    began = time.monotonic()
    for _ in range(200):
        send(gateway, RUBBISH)
    rows = refused(gateway, 200)
    assert len(rows) <= time.monotonic() - began + 2
    assert sum(int(row.error_message.split()[0]) for row in rows) == 200


def test_what_was_sent_is_kept_nowhere(start, provider):
    gateway = start()
    send(gateway, b"POST /secret-path HTTP/1.1\r\nauthorization: Bearer th_secret\r\n\r\n")
    refused(gateway, 1)
    assert "secret" not in repr(gateway.records())


def test_what_came_last_is_on_record_when_the_gateway_stops(start, provider):
    gateway = start()
    for _ in range(5):
        send(gateway, RUBBISH)
    gateway.stop()
    assert sum(int(row.error_message.split()[0]) for row in refused(gateway, 5)) == 5


def test_a_body_that_breaks_off_into_nonsense_is_its_request_s_own_matter(start, provider):
    gateway = start()
    send(gateway, b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n\r\n")
    gateway.ended(1)
    gateway.stop()
    assert [r.exchange.dialect for r in gateway.records() if hasattr(r, "exchange")] == ["anthropic.messages"]


def test_a_request_that_is_one_has_a_record_of_its_own_and_no_other(start, provider):
    gateway = start()
    provider.answer = provider.json({"id": "x"})
    with gateway.client() as client:
        client.post("/v1/nowhere", json={})
    [ended] = gateway.ended(1)
    assert ended.exchange.error_code == "unknown_path"
