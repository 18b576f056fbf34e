"""Models that a cloud rents out, through the data plane: a server that checks by itself the proof of who pays, and the SDKs that agents
use."""

from __future__ import annotations

import base64
import json
from decimal import Decimal

import anthropic
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.amazon import ACCESS, SECRET, frame, read, signature

POLICY = {"p.yaml": "policy: 1\nid: p\nagents: ['*']\nallow: [get]\non_deny: explain\n"}
SESSION = "FwoGZXIvYXdzE" * 4
MODEL = "anthropic.claude-sonnet-4-5-20250929-v1:0"
PRICES = {MODEL: {"input": "1", "output": "10"}, "claude-sonnet-4-5@20250929": {"input": "1", "output": "10"}}
METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 10, "outputTokenCount": 5}}


def chunk(event):
    payload = json.dumps({"bytes": base64.b64encode(json.dumps(event).encode()).decode(), "p": "abcd"}).encode()
    return frame(payload, **{":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"})


def events(wires, *pieces):
    """A stream of Anthropic's as Bedrock frames it."""
    trees = [json.loads(each.partition(b"data: ")[2]) for each in wires["messages"].stream(pieces, call=True)]
    return [chunk(each | METRICS if each["type"] == "message_stop" else each) for each in trees]


@pytest.fixture
def bedrock(start, provider, monkeypatch):
    def made(key=f"{ACCESS}:{SECRET}", dialect="anthropic.messages", **more):
        monkeypatch.setenv("BEDROCK_KEY", key)
        place = {"base_url": provider.base_url.removesuffix("/v1"), "key": {"env": "BEDROCK_KEY"}, "dialect": dialect}
        upstreams = {"aws": place | {"platform": {"bedrock": {"region": "us-east-1"}}}}
        routes = [{"models": ["*"], "targets": [{"upstream": "aws", "model": MODEL}]}]
        return start(POLICY, upstreams=upstreams, routes=routes, prices=PRICES, **more)

    return made


def test_the_signature_that_the_server_checks_by_is_amazons_own():
    """The vector `get-vanilla` of Amazon's test suite."""
    headers = {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"}
    scope = ["20150830", "us-east-1", "service", "aws4_request"]
    found = signature("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", scope, "GET", "/", "", headers, sorted(headers), b"")
    assert found == "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"


@pytest.mark.parametrize("key", [f"{ACCESS}:{SECRET}", f"{ACCESS}:{SECRET}:{SESSION}"], ids=["for good", "for a session"])
@pytest.mark.parametrize("stream", [False, True])
def test_bedrock_gets_a_signed_request_and_the_client_its_own_dialect(bedrock, amazon, wires, provider, stream, key):
    gateway = bedrock(key)
    whole = json.dumps(wires["messages"].whole("onetwo", call=True)).encode()
    amazon(*(events(wires, "one", "two") if stream else (whole,)), kind=None if stream else "application/json")
    assert wires["messages"].ask(gateway.url, stream) == ("onetwo", ["get"], "tool_use", 5)
    ((head, body),) = provider.received
    verb = "invoke-with-response-stream" if stream else "invoke"
    assert read(head)[1] == f"/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/{verb}"
    told = json.loads(body)
    assert (told["anthropic_version"], told["max_tokens"], "model" in told, "stream" in told) == ("bedrock-2023-05-31", 99, False, False)
    row = gateway.ended()[0].exchange
    assert (row.state, row.provider, row.upstream, row.upstream_model) == ("complete", "aws.bedrock", "aws", MODEL)
    assert Decimal(row.cost) == Decimal("0.00006")


def test_a_wrong_secret_is_refused_in_the_clients_dialect_and_stands_nowhere(bedrock, amazon, wires, tmp_path):
    gateway = bedrock(f"{ACCESS}:another{SECRET}")
    amazon()
    with pytest.raises(anthropic.PermissionDeniedError, match="The request signature we calculated does not match"):
        wires["messages"].ask(gateway.url, True)
    assert gateway.ended()[0].attempts[0].fault == "status_403"
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET.encode() not in written


def test_a_bedrock_api_key_travels_as_a_bearer_token(bedrock, provider, wires):
    gateway = bedrock("ABSKmadeUpKeyOfNobody123")
    provider.answer = provider.json(wires["messages"].whole("Hi", call=True))
    assert wires["messages"].ask(gateway.url, False)[0] == "Hi"
    assert read(provider.received[0][0])[3]["authorization"] == "Bearer ABSKmadeUpKeyOfNobody123"


def test_what_a_client_asks_by_header_for_is_said_in_the_body(bedrock, amazon, wires, provider):
    gateway = bedrock()
    amazon(json.dumps(wires["messages"].whole("Hi", call=True)).encode(), kind="application/json")
    path, body = wires["messages"].asked(False)
    with gateway.client() as client:
        assert client.post(path, json=body, headers={"anthropic-beta": "one-2025-01-01, two-2025-02-02"}).status_code == 200
    assert json.loads(provider.received[0][1])["anthropic_beta"] == ["one-2025-01-01", "two-2025-02-02"]


def test_an_openai_client_is_translated_to_bedrock(bedrock, amazon, wires):
    gateway = bedrock()
    amazon(*events(wires, "one", "two"))
    assert wires["chat"].ask(gateway.url, True) == ("onetwo", ["get"], "tool_calls", 5)
    assert gateway.ended()[0].exchange.upstream_dialect == "anthropic.messages"


SLOW = frame(b'{"message":"slow down"}', **{":message-type": "exception", ":exception-type": "throttlingException"})
BREAKS = {
    "throttled inside": (lambda found: [*found[:3], SLOW], "provider_error"),
    "a bit is turned": (lambda found: [*found[:2], found[2][:40] + bytes([found[2][40] ^ 1]) + found[2][41:], *found[3:]], "protocol"),
    "cut between frames": (lambda found: found[:3], "upstream_reset"),
    "cut inside a frame": (lambda found: [*found[:3], found[3][:50]], "upstream_reset"),
    "no base64": (lambda found: [*found[:3], frame(b'{"bytes":"%%"}', **{":event-type": "chunk", ":message-type": "event"})], "protocol"),
    "no event": (lambda found: [*found[:3], frame(b'{"bytes":"W10="}', **{":event-type": "chunk", ":message-type": "event"})], "protocol"),
}  # fmt: skip


@pytest.mark.parametrize("breaks", BREAKS)
def test_what_does_not_add_up_in_bedrocks_framing_ends_the_answer_in_an_error(bedrock, amazon, wires, breaks):
    gateway = bedrock()
    doing, code = BREAKS[breaks]
    amazon(*doing(events(wires, "one", "two")))
    with pytest.raises(anthropic.APIError):
        wires["messages"].ask(gateway.url, True)
    ended = gateway.ended()[0]
    assert (ended.exchange.error_code, ended.exchange.cost) == (code, None)
    assert not any(call.released for call in ended.calls)


def test_what_bedrock_does_not_serve_is_refused_in_words(bedrock):
    gateway = bedrock()
    with gateway.client() as client:
        body = {"model": "m", "messages": [{"role": "user", "content": "go"}]}
        refused = client.post("/v1/messages/count_tokens", json=body)
    assert refused.status_code == 404
    assert "Amazon Bedrock serves conversations in anthropic.messages only" in refused.json()["error"]["message"]


@pytest.fixture(scope="module")
def signing():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def google(provider, signing, wires):
    """A server that gives tokens for assertions that it can verify, and answers whoever brings the latest one."""

    def made(dialect, stream, life=3600):
        tokens = []

        async def answer(reader, writer, body):
            head, form = provider.received[-1]
            _, path, _, headers = read(head)
            if path == "/token":
                said = dict(part.split("=", 1) for part in form.decode().split("&"))
                found = jwt.decode(said["assertion"], signing.public_key(), ["RS256"], audience="https://oauth2.googleapis.com/token")
                assert (found["iss"], found["scope"]) == ("gate@p.example", "https://www.googleapis.com/auth/cloud-platform")
                tokens.append(f"ya29.made-up-{len(tokens)}")
                told = {"access_token": tokens[-1], "expires_in": life, "token_type": "Bearer"}
                await provider.json(told)(reader, writer, body)
            elif headers.get("authorization") != f"Bearer {tokens[-1] if tokens else ''}":
                await provider.json({"error": {"message": "who?"}}, "401 Unauthorized")(reader, writer, body)
            elif stream:
                await provider.sse(*wires[dialect].stream(["one", "two"], call=True))(reader, writer, body)
            else:
                await provider.json(wires[dialect].whole("onetwo", call=True))(reader, writer, body)

        provider.answer = answer
        return tokens

    return made


@pytest.fixture
def vertex(start, provider, signing, monkeypatch):
    def made(model, location="us-east5", prices=PRICES, **more):
        private = signing.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        address = provider.base_url.removesuffix("/v1")
        account = {"type": "service_account", "client_email": "gate@p.example", "token_uri": f"{address}/token"}
        account["private_key"] = private.decode()
        monkeypatch.setenv("VERTEX_KEY", json.dumps(account | more))
        place = {"base_url": address, "key": {"env": "VERTEX_KEY"}, "dialect": ["anthropic.messages", "google.gemini"]}
        upstreams = {"vertex": place | {"platform": {"vertex": {"project": "p-1", "location": location}}}}
        routes = [{"models": ["*"], "targets": [{"upstream": "vertex", "model": model}]}]
        return start(POLICY, upstreams=upstreams, routes=routes, prices=prices)

    return made


PLACE = "/v1/projects/p-1/locations/us-east5/publishers"
AT_VERTEX = {
    ("messages", False): f"{PLACE}/anthropic/models/claude-sonnet-4-5@20250929:rawPredict",
    ("messages", True): f"{PLACE}/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict",
    ("gemini", False): f"{PLACE}/google/models/gemini-2.5-flash:generateContent",
    ("gemini", True): f"{PLACE}/google/models/gemini-2.5-flash:streamGenerateContent",
}


@pytest.mark.parametrize(("dialect", "stream"), AT_VERTEX)
def test_vertex_gets_a_token_for_its_service_account_and_the_client_its_own_dialect(vertex, google, wires, provider, dialect, stream):
    tokens = google(dialect, stream)
    gateway = vertex("claude-sonnet-4-5@20250929" if dialect == "messages" else None)
    for _ in range(2):
        text, calls, _, written = wires[dialect].ask(gateway.url, stream)
        assert (text, calls, written) == ("onetwo", ["get"], 5)
    assert len(tokens) == 1
    asked = [(read(head), body) for head, body in provider.received if not head.startswith(b"POST /token")]
    query = "alt=sse" if (dialect, stream) == ("gemini", True) else ""
    assert [(found[1], found[2]) for found, _ in asked] == [(AT_VERTEX[dialect, stream], query)] * 2
    told, headers = json.loads(asked[0][1]), asked[0][0][3]
    assert "x-goog-api-key" not in headers
    assert "x-api-key" not in headers
    if dialect == "messages":
        assert (told["anthropic_version"], "model" in told, told.get("stream", False)) == ("vertex-2023-10-16", False, stream)
    row = gateway.ended(2)[0].exchange
    assert (row.state, row.provider) == ("complete", "gcp.vertex_ai")
    assert row.cost is not None


@pytest.mark.parametrize("stream", [False, True])
def test_a_location_of_vertex_costs_more_than_the_global_one_where_the_price_table_says_so(vertex, google, wires, stream):
    """A tenth more for this model, by litellm's table."""
    google("messages", stream)
    rows = {}
    for location in ("us-east5", "global"):
        gateway = vertex("claude-sonnet-4-5@20250929", location, prices={})
        wires["messages"].ask(gateway.url, stream)
        (ended,) = gateway.ended()
        rows[location] = ended.exchange
        assert [Decimal(each.cost) for each in ended.attempts] == [Decimal(ended.exchange.cost)]
    assert Decimal(rows["us-east5"].cost) == Decimal(rows["global"].cost) * Decimal("1.1") > 0
    assert (rows["us-east5"].price_terms, rows["global"].price_terms) == (("regional_endpoint",), ())


def test_a_token_of_vertex_is_fetched_again_when_it_ends(vertex, google, wires):
    tokens = google("gemini", False, life=0)
    gateway = vertex(None)
    for _ in range(2):
        assert wires["gemini"].ask(gateway.url, False)[0] == "onetwo"
    assert len(tokens) == 2


@pytest.mark.parametrize(("dialect", "stream"), AT_VERTEX)
def test_a_token_that_vertex_says_back_reaches_neither_client_nor_disk(vertex, google, wires, provider, dialect, stream, tmp_path):
    tokens, known = google(dialect, stream), provider.answer

    async def answer(reader, writer, body):
        if provider.received[-1][0].startswith(b"POST /token"):
            return await known(reader, writer, body)
        said = ["It is ", tokens[-1][:6], tokens[-1][6:] + "."]
        if stream:
            return await provider.sse(*wires[dialect].stream(said))(reader, writer, body)
        return await provider.json(wires[dialect].whole("".join(said)))(reader, writer, body)

    provider.answer = answer
    gateway = vertex("claude-sonnet-4-5@20250929" if dialect == "messages" else None)
    assert wires[dialect].ask(gateway.url, stream)[0] == "It is [REDACTED:provider_key]."
    gateway.ended()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert tokens[-1].encode() not in written
    assert b"REDACTED:provider_key" in written


def test_without_a_token_nothing_is_asked_of_vertex_and_the_client_is_told_where_to_look(vertex, provider, wires):
    provider.answer = provider.json({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, "400 Bad Request")
    gateway = vertex(None)
    with gateway.client() as client:
        path, body = wires["gemini"].asked(False)
        answer = client.post(path, json=body)
    assert answer.status_code == 502
    assert "Look at the service account and its key" in answer.text
    assert all(head.startswith(b"POST /token") for head, _ in provider.received)
    (attempt,) = gateway.ended()[0].attempts
    assert (attempt.fault, attempt.unsure) == ("upstream_auth", False)
