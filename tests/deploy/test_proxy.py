"""A gateway behind nginx and Caddy, by the files that are shipped: events arrive as they are made, and a client that leaves is noticed."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.limit_settings import Limits
from tests.patience import PATIENCE_S, until
from tests.ports import free_port

SHIPPED = Path(__file__).parents[2] / "deploy" / "proxy"
GAP_S = 0.3
BODY = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "hi"}]}


def event(delta: dict[str, str], finish: str | None = None) -> bytes:
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: %b\n\n" % json.dumps(chunk | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode()


END = event({}, "stop") + b"data: [DONE]\n\n"


def certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False).sign(key, hashes.SHA256())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "tollhouse.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    (folder / "tollhouse.crt").write_bytes(made.public_bytes(pem))
    return folder / "tollhouse.crt"


def placed(shipped: str, *changes: tuple[str, str]) -> str:
    """The shipped file, with the addresses and paths of this test; each must be in it once."""
    changed = (SHIPPED / shipped).read_text()
    for there, here in changes:
        assert changed.count(there) == 1, there
        changed = changed.replace(there, here)
    return changed


def nginx(folder: Path, port: int, gateway: str) -> list[str]:
    changed = placed(
        "nginx.conf",
        ("server 127.0.0.1:8484;", f"server {gateway};"), ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("/etc/nginx/tollhouse.crt", str(folder / "tollhouse.crt")), ("/etc/nginx/tollhouse.key", str(folder / "tollhouse.key")),
        ("/var/log/nginx/tollhouse.log", str(folder / "access.log")), ("tollhouse.example.com", "localhost"),
    )  # fmt: skip
    paths = " ".join(f"{each}_temp_path {folder / each};" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}} http {{ {paths}\n{changed}\n}}\n"
    )
    return ["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)]


def caddy(folder: Path, port: int, gateway: str) -> list[str]:
    site = f"https://localhost:{port} {{\n\tbind 127.0.0.1\n\ttls {folder}/tollhouse.crt {folder}/tollhouse.key"
    changed = placed(
        "Caddyfile",
        ("tollhouse.example.com {", site), ("127.0.0.1:8484", gateway), ("/var/log/caddy/tollhouse.log", str(folder / "access.log")),
    )  # fmt: skip
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{changed}")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


@pytest.fixture(params=[nginx, caddy], ids=lambda proxy: proxy.__name__)
def proxied(request, start, tmp_path):
    name = request.param.__name__
    if shutil.which(name) is None:
        pytest.skip(f"no {name} on this machine: apt install {'nginx-light' if name == 'nginx' else name}")
    port, authority, running = free_port(), certificate(tmp_path), start()
    command = request.param(tmp_path, port, running.url.removeprefix("http://"))
    with (tmp_path / "error.log").open("ab") as log:
        process = subprocess.Popen(command, stderr=log, env=os.environ | {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)})
    until(lambda: listens(port) or process.poll() is not None, what=f"{name} starts")
    assert process.poll() is None, (tmp_path / "error.log").read_text()
    context = ssl.create_default_context(cafile=str(authority))
    with httpx.Client(base_url=f"https://localhost:{port}/v1", verify=context, trust_env=False, timeout=20) as client:
        yield client, running, tmp_path
    process.terminate()
    process.wait(PATIENCE_S)


def listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def test_a_stream_through_a_proxy_arrives_event_by_event(proxied, provider):
    client, running, folder = proxied
    words = [f"word{number}" for number in range(5)]
    provider.answer = provider.sse(*(event({"content": word}) for word in words), END, gap=GAP_S)
    with client.stream("POST", "/chat/completions", json=BODY) as answer:
        assert answer.status_code == 200
        arrived = [time.monotonic() for line in answer.iter_lines() if "word" in line]
    assert len(arrived) == len(words)
    assert [later - earlier > GAP_S / 2 for earlier, later in pairwise(arrived)] == [True] * (len(words) - 1)
    running.ended()
    # a proxy writes its line when the request has ended for it, which may be after its client has read the last byte
    written = until(lambda: (folder / "access.log").read_text())
    assert answer.headers["x-gateway-trace-id"] in written


def test_a_proxy_s_log_has_no_key_wherever_it_was_sent(proxied, provider):
    client, _, folder = proxied
    provider.answer = provider.sse(event({"content": "word"}), END)
    keys = {"authorization": "Bearer in-authorization", "x-api-key": "in-x-api-key", "x-goog-api-key": "in-x-goog-api-key"}
    answer = client.post("/chat/completions?key=in-the-address", json=BODY, headers=keys)
    written = until(lambda: (folder / "access.log").read_text())
    assert "/v1/chat/completions" in written
    assert answer.headers["x-gateway-trace-id"] in written
    assert [key for key in [*keys.values(), "in-the-address"] if key.removeprefix("Bearer ") in written] == []


def test_a_body_that_the_gateway_takes_passes_the_proxy(proxied, provider):
    client, *_ = proxied
    provider.answer = provider.sse(event({"content": "word"}), END)
    large = BODY | {"messages": [{"role": "user", "content": "x" * (Limits().body_bytes - 1_000)}]}
    assert client.post("/chat/completions", json=large).status_code == 200


@pytest.mark.parametrize("words", [1, 0], ids=["behind a word", "before anything"])
def test_a_client_that_leaves_a_proxy_is_noticed_by_the_gateway(proxied, provider, words):
    client, running, _ = proxied
    provider.answer = provider.sse(event({"content": "word"}), hang=True) if words else provider.silent()
    with contextlib.suppress(httpx.ReadTimeout), client.stream("POST", "/chat/completions", json=BODY, timeout=2) as answer:
        next(answer.iter_lines())
    [ended] = running.ended()
    assert ended.exchange.state == "client_gone"
