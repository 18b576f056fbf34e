"""Clouds whose credentials are the machine's: found where Amazon's and Google's own libraries look, at real addresses of this machine."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway import examining
from gateway.config import Settings
from tests.amazon import ACCESS, SECRET, read
from tests.patience import PATIENCE_S, until

POLICY = {"p.yaml": "policy: 1\nid: p\nagents: ['*']\nallow: [get]\non_deny: explain\n"}
MODEL = "anthropic.claude-sonnet-4-5-20250929-v1:0"
BEDROCK = {"bedrock": {"region": "us-east-1", "credentials": "machine"}}
VERTEX = {"vertex": {"project": "p-1", "location": "us-east5", "credentials": "machine"}}


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """A machine that has none: no variables, no files, nobody at the address of instances."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE", "ROLE_ARN", "WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_METADATA_SERVICE_TIMEOUT", "1")
    monkeypatch.setenv("GCE_METADATA_IP", "127.0.0.1:9")


def place(provider, platform, dialect="anthropic.messages"):
    return {"base_url": provider.base_url.removesuffix("/v1"), "dialect": dialect, "platform": platform}


@pytest.fixture
def bedrock(start, provider):
    def made(**others):
        targets = [{"upstream": "aws", "model": MODEL}, *({"upstream": name, "priority": 1} for name in others)]
        return start(POLICY, upstreams={"aws": place(provider, BEDROCK), **others}, routes=[{"models": ["*"], "targets": targets}])

    return made


@pytest.fixture
def said(amazon, wires):
    """Amazon answers whoever proves who pays."""
    amazon(json.dumps(wires["messages"].whole("Hi", call=True)).encode(), kind="application/json")


@pytest.fixture
def there(provider):
    """Another server of this machine."""
    made = type(provider)()
    yield made
    made.stop()


def container(there, token, life=3600):
    """Credentials as a container's agent gives them, another token each time; what it was asked stands in `there.received`."""

    async def answer(reader, writer, body):
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=life)
        found = {"AccessKeyId": ACCESS, "SecretAccessKey": SECRET, "Token": f"{token}-{len(there.received)}"}
        await there.json(found | {"Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ")})(reader, writer, body)

    there.answer = answer
    return f"{there.base_url}/credentials"


def test_keys_in_the_environment_are_found(bedrock, said, wires, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert wires["messages"].ask(bedrock().url, False)[0] == "Hi"


def test_a_profile_is_found_and_the_one_that_is_named(bedrock, said, wires, monkeypatch, tmp_path):
    wrong = f"[default]\naws_access_key_id = {ACCESS}\naws_secret_access_key = another\n"
    right = f"[paying]\naws_access_key_id = {ACCESS}\naws_secret_access_key = {SECRET}\n"
    (tmp_path / "credentials").write_text(wrong + right)
    monkeypatch.setenv("AWS_PROFILE", "paying")
    assert wires["messages"].ask(bedrock().url, False)[0] == "Hi"


def test_a_programs_credentials_are_found(bedrock, said, wires, tmp_path):
    (tmp_path / "said.json").write_text(json.dumps({"Version": 1, "AccessKeyId": ACCESS, "SecretAccessKey": SECRET}))
    (tmp_path / "config").write_text(f"[default]\ncredential_process = cat {tmp_path / 'said.json'}\n")
    assert wires["messages"].ask(bedrock().url, False)[0] == "Hi"


def test_a_containers_credentials_sign_are_kept_and_stand_nowhere(bedrock, said, wires, provider, there, monkeypatch, tmp_path):
    token = "FwoGZXIvYXdzE-made-up-token"
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container(there, token))
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "for-the-agent")
    gateway = bedrock()
    for _ in range(3):
        assert wires["messages"].ask(gateway.url, False)[0] == "Hi"
    ((head, _),) = there.received
    assert read(head)[3]["authorization"] == "for-the-agent"
    assert {read(head)[3]["x-amz-security-token"] for head, _ in provider.received} == {f"{token}-1"}
    provider.answer = provider.json(wires["messages"].whole(f"It is {token}-1 and {SECRET}.", call=True))
    assert wires["messages"].ask(gateway.url, False)[0] == "It is [REDACTED:provider_key] and [REDACTED:provider_key]."
    gateway.ended(4)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert token.encode() not in written
    assert SECRET.encode() not in written


def test_credentials_that_end_soon_are_renewed_while_requests_go_on(bedrock, said, wires, provider, there, monkeypatch):
    """A quarter of an hour before they end."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container(there, "token", life=700))
    gateway = bedrock()

    def third():
        assert wires["messages"].ask(gateway.url, False)[0] == "Hi"
        return len({read(head)[3]["x-amz-security-token"] for head, _ in provider.received}) >= 3

    until(third, what="a third token")
    tokens = [read(head)[3]["x-amz-security-token"] for head, _ in provider.received]
    assert tokens == sorted(tokens, key=lambda token: int(token.partition("-")[2]))
    assert len(set(tokens)) >= 3


def test_credentials_that_have_ended_are_waited_for(bedrock, said, wires, provider, there, monkeypatch):
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container(there, "token", life=3))
    gateway = bedrock()
    assert wires["messages"].ask(gateway.url, False)[0] == "Hi"
    container(there, "later")
    time.sleep(3.1)
    assert wires["messages"].ask(gateway.url, False)[0] == "Hi"
    last = [read(head)[3]["x-amz-security-token"] for head, _ in provider.received][-1]
    assert last.startswith("later-")


def test_without_any_the_next_target_is_asked_and_without_one_the_client_is_told_what_to_do(bedrock, provider, wires, there):
    there.answer = there.json(wires["messages"].whole("from the next", call=True))
    gateway = bedrock(next={"base_url": there.base_url, "dialect": "anthropic.messages"})
    assert wires["messages"].ask(gateway.url, False)[0] == "from the next"
    (first, second) = gateway.ended()[0].attempts
    assert (first.upstream, first.fault, first.unsure, second.upstream) == ("aws", "upstream_auth", False, "next")
    alone = bedrock()
    path, body = wires["messages"].asked(False)
    with alone.client() as client:
        answer = client.post(path, json=body)
    assert answer.status_code == 502
    assert "Give it a role, a profile or a web identity (deploy/README.md, Credentials of the machine), or the upstream" in answer.text
    assert not provider.received


def test_an_address_that_says_nothing_keeps_no_other_request_waiting(bedrock, said, wires, start, provider, there, monkeypatch):
    there.answer = there.silent()
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{there.base_url}/credentials")
    plain = {"base_url": provider.base_url, "dialect": "openai.chat"}
    upstreams = {"aws": place(provider, BEDROCK), "plain": plain}
    routes = [{"models": ["claude*"], "upstream": "aws"}, {"models": ["*"], "upstream": "plain"}]
    gateway = start(POLICY, upstreams=upstreams, routes=routes)
    path, body = wires["messages"].asked(True)
    with gateway.client() as client:
        slow = threading.Thread(target=lambda: client.post(path, json=body))
        slow.start()
        until(lambda: there.received)
        provider.answer = provider.json(wires["chat"].whole("at once", call=True))
        times = []
        for _ in range(10):
            at = time.monotonic()
            assert wires["chat"].ask(gateway.url, False)[0] == "at once"
            times.append(time.monotonic() - at)
        assert slow.is_alive()
        assert sorted(times)[5] < 0.5
        slow.join(PATIENCE_S)
    ended = {row.exchange.upstream: row.exchange for row in gateway.ended(11)}
    assert ended["aws"].error_code == "upstream_auth"


@pytest.fixture
def google(there):
    """Google's metadata server, and the place where tokens are made for users and service accounts."""
    tokens = []

    async def answer(reader, writer, body):
        _, path, _, headers = read(there.received[-1][0])
        if path == "/token" or path.endswith("/token"):
            tokens.append(f"ya29.made-up-{len(tokens)}")
            found = {"access_token": tokens[-1], "expires_in": 3600, "token_type": "Bearer"}
            found["issued_token_type"] = "urn:ietf:params:oauth:token-type:access_token"
            await there.json(found, headers="metadata-flavor: Google\r\n")(reader, writer, body)
        elif "computeMetadata" in path:
            assert headers["metadata-flavor"] == "Google"
            said = b"p-1" if path.endswith("project-id") else json.dumps({"aliases": [], "email": "gate@p", "scopes": []}).encode()
            media = "text/plain" if path.endswith("project-id") else "application/json"
            await there.raw(said, headers="metadata-flavor: Google\r\n", media=media)(reader, writer, body)
        else:
            await there.raw(b"ok", headers="metadata-flavor: Google\r\n", media="text/plain")(reader, writer, body)

    there.answer = answer
    return tokens


@pytest.fixture
def vertex(start, provider):
    def made():
        upstreams = {"vertex": place(provider, VERTEX, "google.gemini")}
        return start(POLICY, upstreams=upstreams, routes=[{"models": ["*"], "targets": [{"upstream": "vertex"}]}])

    return made


def proven(provider):
    return {read(head)[3]["authorization"] for head, _ in provider.received}


def test_an_instances_token_comes_from_the_metadata_server(vertex, google, wires, provider, there, monkeypatch):
    address = there.base_url.removeprefix("http://").removesuffix("/v1")
    monkeypatch.setenv("GCE_METADATA_IP", address)
    monkeypatch.setattr("google.auth.compute_engine._metadata._GCE_METADATA_HOST", address)  # read when it is first imported
    provider.answer = provider.json(wires["gemini"].whole("Hi", call=True))
    gateway = vertex()
    for _ in range(2):
        assert wires["gemini"].ask(gateway.url, False)[0] == "Hi"
    assert proven(provider) == {"Bearer ya29.made-up-0"}
    assert len(google) == 1


@pytest.mark.parametrize("kind", ["service_account", "external_account"])
def test_a_file_that_the_environment_names_is_taken(vertex, google, wires, provider, there, monkeypatch, tmp_path, kind):
    token = f"{there.base_url.removesuffix('/v1')}/token"
    if kind == "service_account":
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
        found = {"client_email": "gate@p.example", "private_key": pem, "token_uri": token}
    else:
        (tmp_path / "subject").write_text("made-up-identity")
        audience = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p"
        found = {"audience": audience, "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": token}
        found["credential_source"] = {"file": str(tmp_path / "subject")}
    (tmp_path / "adc.json").write_text(json.dumps(found | {"type": kind}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "adc.json"))
    provider.answer = provider.json(wires["gemini"].whole("Hi", call=True))
    assert wires["gemini"].ask(vertex().url, False)[0] == "Hi"
    assert proven(provider) == {"Bearer ya29.made-up-0"}


def test_without_credentials_of_googles_the_client_is_told_what_to_do(vertex, provider, wires):
    path, body = wires["gemini"].asked(False)
    with vertex().client() as client:
        answer = client.post(path, json=body)
    assert answer.status_code == 502
    assert "GOOGLE_APPLICATION_CREDENTIALS (deploy/README.md, Credentials of the machine), or the upstream a key" in answer.text
    assert not provider.received


def test_doctor_tells_whether_the_machine_has_them_and_never_what_they_are(provider, monkeypatch):
    settings = Settings.model_validate({"upstreams": {"aws": place(provider, BEDROCK), "vertex": place(provider, VERTEX, "google.gemini")}})
    amazons, googles = examining.machine(settings)
    assert (amazons.level, amazons.said) == ("error", "aws: this machine has no credentials (LookupError)")
    assert "Give it a role" in amazons.do
    assert (googles.level, googles.said) == ("error", "vertex: this machine has no credentials (DefaultCredentialsError)")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    found = next(iter(examining.machine(settings)))
    assert (found.level, found.said) == ("ok", "aws: this machine has credentials")


def test_nothing_is_looked_for_unless_the_settings_say_so(start, said, provider, wires, there, monkeypatch):
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container(there, "token"))
    monkeypatch.setenv("BEDROCK_KEY", f"{ACCESS}:{SECRET}")
    keyed = place(provider, {"bedrock": {"region": "us-east-1"}}) | {"key": {"env": "BEDROCK_KEY"}}
    assert wires["messages"].ask(start(POLICY, upstreams={"aws": keyed}).url, False)[0] == "Hi"
    assert not list(examining.machine(Settings.model_validate({"upstreams": {"aws": keyed}})))
    assert not there.received
