"""A gateway behind nginx, by the file that is shipped: events arrive as they are made, and a client that leaves is noticed."""

from __future__ import annotations

import datetime as dt
import json
import shutil
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

from tests.patience import PATIENCE_S, until
from tests.ports import free_port

SHIPPED = (Path(__file__).parents[2] / "deploy" / "proxy" / "nginx.conf").read_text()
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


def placed(folder: Path, port: int, gateway: str) -> str:
    """The shipped file, with the addresses and paths of this test; each must be in it once."""
    changed = SHIPPED
    for shipped, here in (
        ("server 127.0.0.1:8484;", f"server {gateway};"), ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("/etc/nginx/tollhouse.crt", str(folder / "tollhouse.crt")), ("/etc/nginx/tollhouse.key", str(folder / "tollhouse.key")),
        ("/var/log/nginx/tollhouse.log", str(folder / "access.log")), ("tollhouse.example.com", "localhost"),
    ):  # fmt: skip
        assert changed.count(shipped) == 1, shipped
        changed = changed.replace(shipped, here)
    paths = " ".join(f"{each}_temp_path {folder / each};" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}} http {{ {paths}\n{changed}\n}}\n"


@pytest.fixture
def proxied(start, tmp_path):
    if shutil.which("nginx") is None:
        pytest.skip("no nginx on this machine: apt install nginx-light")
    port, authority, running = free_port(), certificate(tmp_path), start()
    (tmp_path / "nginx.conf").write_text(placed(tmp_path, port, running.url.removeprefix("http://")))
    process = subprocess.Popen(["nginx", "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)], stderr=subprocess.DEVNULL)
    until(lambda: (tmp_path / "pid").exists() or process.poll() is not None, what="nginx starts")
    assert process.poll() is None, (tmp_path / "error.log").read_text()
    context = ssl.create_default_context(cafile=str(authority))
    with httpx.Client(base_url=f"https://localhost:{port}/v1", verify=context, trust_env=False, timeout=20) as client:
        yield client, running, tmp_path
    process.terminate()
    process.wait(PATIENCE_S)


def test_a_stream_through_nginx_arrives_event_by_event(proxied, provider):
    client, running, folder = proxied
    words = [f"word{number}" for number in range(5)]
    provider.answer = provider.sse(*(event({"content": word}) for word in words), END, gap=GAP_S)
    with client.stream("POST", "/chat/completions", json=BODY) as answer:
        assert answer.status_code == 200
        arrived = [time.monotonic() for line in answer.iter_lines() if "word" in line]
    assert len(arrived) == len(words)
    assert [later - earlier > GAP_S / 2 for earlier, later in pairwise(arrived)] == [True] * (len(words) - 1)
    running.ended()
    # nginx writes its line when the request has ended for it, which may be after its client has read the last byte
    written = until((folder / "access.log").read_text)
    assert f"exchange={answer.headers['x-gateway-trace-id']}" in written


def test_a_client_that_leaves_nginx_is_noticed_by_the_gateway(proxied, provider):
    client, running, _ = proxied
    provider.answer = provider.sse(event({"content": "word"}), hang=True)
    with client.stream("POST", "/chat/completions", json=BODY) as answer:
        next(answer.iter_lines())
    [ended] = running.ended()
    assert ended.exchange.state == "client_gone"
