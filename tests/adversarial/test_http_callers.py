"""Rows F3, F5, F6 (what a request may move), E7, E8, G4 and G5: who asks, and where to, has one answer or none.

Headers and targets go out as written here; `http.client` neither cleans nor joins them.
"""

from __future__ import annotations

import gzip
import http.client
import json
import resource
import time
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.trace.record import Ended
from tests.patience import PATIENCE_S

CHAT = "/v1/chat/completions"
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]}).encode()


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["error"]
        return found


def ask(
    gateway: Any,
    *headers: tuple[str, Any],
    path: str = CHAT,
    method: str = "POST",
    body: bytes = BODY,
    host: str = "127.0.0.1",
) -> Answer:
    connection = http.client.HTTPConnection(gateway.url.removeprefix("http://"), timeout=PATIENCE_S)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in (("host", host), ("content-length", str(len(body))), *headers):
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    found = Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    connection.close()
    return found


@pytest.fixture
def served(house: Any, kit: Any) -> Any:
    house.provider.answer = house.provider.json(kit.chat.whole(finish="stop"))
    return house


@pytest.fixture
def keyed(served: Any) -> Any:
    """(house, two keys of two agents); without a key nobody is served."""
    create = served.gateway.plane.gateway.keys.create
    return served, *(create(agent=agent, now_us=int(time.time() * 1e6)) for agent in ("one", "two"))


def written(gateway: Any) -> bytes:
    """Every byte that was kept."""
    return b"".join(path.read_bytes() for path in gateway.settings.data_path.rglob("*") if path.is_file())


def of(answer: Answer, gateway: Any) -> Any:
    """The closing record of an exchange."""
    trace = answer.headers["x-gateway-trace-id"]
    found = [r for r in gateway.records() if isinstance(r, Ended) and r.exchange.id == trace]
    assert len(found) == 1
    return found[0].exchange


# F3, G4: the key

SEVERAL = {
    "two bearers": lambda one, two: [("authorization", f"Bearer {one}"), ("authorization", f"Bearer {two}")],
    "the same bearer twice": lambda one, two: [("authorization", f"Bearer {one}"), ("Authorization", f"Bearer {one}")],
    "a bearer and another scheme": lambda one, two: [("authorization", f"Bearer {one}"), ("authorization", "Basic x")],
    "a key and another key": lambda one, two: [("x-api-key", one), ("x-api-key", two)],
    "a key and nothing": lambda one, two: [("x-api-key", one), ("x-api-key", "")],
    "a bearer and a key": lambda one, two: [("authorization", f"Bearer {one}"), ("x-api-key", two)],
    "a key and a key of another client": lambda one, two: [("x-api-key", one), ("x-goog-api-key", two)],
    "a known bearer and an unknown key": lambda one, two: [("authorization", f"Bearer {one}"), ("x-api-key", "unknown")],
}


@pytest.mark.parametrize("what", SEVERAL)
def test_two_keys_are_refused_and_written_nowhere(keyed: Any, what: str) -> None:
    served, one, two = keyed
    answer = ask(served.gateway, *SEVERAL[what](one, two))
    assert (answer.status, answer.error["code"]) == (400, "ambiguous_key")
    assert served.provider.received == []
    row = of(answer, served.gateway)
    assert (row.state, row.agent, row.key_id) == ("rejected", "", None)
    kept = written(served.gateway)
    assert one.encode() not in kept
    assert two.encode() not in kept


@pytest.mark.parametrize("query", ["key={}", "beta=true&key={}", "%6bey={}", "key=&key={}"])
def test_a_key_in_a_url_is_refused(keyed: Any, query: str) -> None:
    served, one, _ = keyed
    answer = ask(served.gateway, path=f"{CHAT}?{query.format(one)}")
    assert (answer.status, answer.error["code"]) == (400, "key_in_query")
    assert one.encode() not in written(served.gateway)
    assert served.provider.received == []


def test_a_key_is_written_nowhere_wherever_a_client_puts_it(keyed: Any) -> None:
    served, one, two = keyed
    labels = [(name, f"x {two} x") for name in ("user-agent", "x-request-id", "x-session-id", "accept-language")]
    said = json.dumps({"model": "m", "messages": [{"role": "user", "content": f"my key is {two}"}], "user": two}).encode()
    asked = [
        ask(served.gateway, ("x-api-key", one), *labels, body=said),
        ask(served.gateway, ("x-api-key", one), path=f"/{two}/{two}?{two}"),
        ask(served.gateway, ("x-api-key", one), body=said + b"}"),
        ask(served.gateway, ("authorization", two)),
    ]
    assert [answer.status for answer in asked] == [200, 404, 400, 401]
    assert all(two.encode() not in answer.body for answer in asked)
    kept = written(served.gateway)
    assert two.encode() not in kept
    assert one.encode() not in kept


@pytest.fixture
def revoked(keyed: Any) -> Any:
    served, one, _ = keyed
    served.gateway.plane.gateway.keys.revoke(one.split("_")[1], int(time.time() * 1e6))
    return served, one


STRANGE = [
    "' OR 1=1--",
    "th_00000000_" + "0" * 43,
    "th_%s_' OR '1'='1",
    "\xff\xfe",
    "clé",
    "\u202e".encode().decode("latin-1"),
    "%00",
    "x" * 20_000,
    "{}",
    "null",
    "undefined",
    "../../etc/passwd",
    "a b c",
    "$(id)",
    "\t",
]


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "x-goog-api-key"])
def test_every_key_that_is_not_known_gets_the_same_answer(revoked: Any, header: str) -> None:
    served, key = revoked
    scheme = "Bearer " if header == "authorization" else ""
    answers = [ask(served.gateway, (header, (scheme + text).encode("latin-1"))) for text in (key, *STRANGE[:-1])]
    assert {answer.status for answer in answers} == {401}
    assert len({json.dumps(answer.error) for answer in answers}) == 1
    assert {answer.error["code"] for answer in answers} == {"invalid_key"}
    assert served.provider.received == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60))
def test_no_text_is_a_key(keyed: Any, text: str) -> None:
    served, *_ = keyed
    answer = ask(served.gateway, ("x-api-key", text.encode("latin-1")))
    assert answer.status == 401
    assert answer.error["code"] in ("invalid_key", "missing_key")


def test_a_known_and_an_unknown_key_take_the_same_time_to_refuse(revoked: Any) -> None:
    """Medians of many, and a bound that only a slow hash or a look at the disk for one of them would break."""
    served, key = revoked
    times: dict[str, list[float]] = {key: [], "th_00000000_" + "0" * 43: []}
    for _ in range(100):
        for text, taken in times.items():
            start = time.perf_counter()
            assert ask(served.gateway, ("x-api-key", text)).status == 401
            taken.append(time.perf_counter() - start)
    revoked_, unknown = (sorted(taken)[50] for taken in times.values())
    assert abs(revoked_ - unknown) < 0.003 + 0.5 * min(revoked_, unknown)


# Web pages in this machine's browser, where no key is needed


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "sent",
    [
        [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
        [("origin", "http://127.0.0.1:3000"), ("sec-fetch-site", "same-site")],
        [("origin", "null")],
        [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
        [("sec-fetch-site", "same-site")],
        [("origin", "https://evil.example"), ("access-control-request-method", "POST"), ("access-control-request-private-network", "true")],
    ],
)
def test_a_web_page_reaches_nothing_and_is_invited_to_nothing(served: Any, method: str, sent: list[tuple[str, str]]) -> None:
    for path in (CHAT, "/v1/models", "/v1/responses/resp_1"):
        answer = ask(served.gateway, *sent, path=path, method=method)
        assert (answer.status, answer.error["code"]) == (400, "foreign_origin")
        assert not any(name.startswith("access-control-") for name in answer.headers)
    assert served.provider.received == []


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8484", "169.254.169.254", "[::2]", "0.0.0.0", "localhost."])
def test_another_name_for_this_machine_reaches_nothing(served: Any, host: str) -> None:
    answer = ask(served.gateway, host=host)
    assert (answer.status, answer.error["code"]) == (400, "foreign_origin")
    assert served.provider.received == []


# F4: bodies that are longer than they look

BOMB = gzip.compress(b" " * 64_000_000)


@pytest.mark.parametrize(
    "codings",
    [["gzip"], ["br"], ["deflate"], ["zstd"], ["GZIP"], ["x-gzip"], ["gzip, gzip"], ["identity, gzip"], ["gzip", "identity"], ["identity", "gzip"], [""]],
)
def test_a_compressed_body_is_refused_and_not_unpacked(served: Any, codings: list[str]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = ask(served.gateway, *(("content-encoding", coding) for coding in codings), body=BOMB)
    assert (answer.status, answer.error["code"]) == (400, "content_encoding")
    assert of(answer, served.gateway).request_bytes == len(BOMB)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024
    assert served.provider.received == []


@pytest.mark.parametrize("charset", ["utf-16", "utf-32", "utf-16-le"])
def test_a_body_in_another_character_set_is_refused(served: Any, charset: str) -> None:
    answer = ask(served.gateway, ("content-type", f"application/json; charset={charset}"), body=BODY.decode().encode(charset))
    assert answer.status == 400
    assert served.provider.received == []


# F5, F6, E7, E8: where to

NOT_SERVED = [
    "/v1/%2e%2e/admin", "//v1/chat/completions", "/v1//chat/completions", "/v1%2fchat%2fcompletions", "/v1/chat%2Fcompletions",
    "/v1/%63hat/completions", "/v1/chat/completions;x", "/v1/chat/completions;jsessionid=1", "/v1/chat/completions/", "/v1/chat/completions/.",
    "/v1/x/../chat/completions", "/./v1/chat/completions", "/v1/chat/completions%00", "/v1/chat/completions%20", "/v1/chat/completions%3Fx",
    "/v1/chat/completions.json", "/V1/chat/completions", "/v1/Chat/Completions", "/v1\\chat\\completions", "/v1/chat%5Ccompletions",
    "http://127.0.0.1/v1/chat/completions", "http://evil.example/v1/chat/completions", "HTTPS://evil.example/livez", "*",
    "/v1/responses/..", "/v1/responses/%2e%2e", "/v1/responses/a%2Fb", "/v1/responses/resp_1/input_items", "/v1/responses/" + "a" * 300,
    "/v1beta/models/..:generateContent", "/v1beta/models/../x:generateContent", "/v1beta/models/a%2fb:generateContent",
    "/v1beta/models/a:GenerateContent", "/v1beta/tunedModels/a:generateContent", "/v1beta/models/a:generateContent:generateContent",
    "/livez%2f", "//livez", "/livez;x", "/readyz/", "/%6civez", "/sql", "/tail", "/queries", "/admin", "/metrics", "/.env", "/docs",
    "/" + "a" * 8_000,
]  # fmt: skip
"""F5: what some other server would take for a path that is served."""
NOT_JUDGED = [
    "/v1/batches", "/v1/batches/b/cancel", "/v1/files", "/v1/files/f/content", "/v1/assistants", "/v1/threads", "/v1/threads/t/runs",
    "/v1/realtime", "/v1/realtime/sessions", "/v1/live", "/v1/messages/batches", "/v1/messages/batches/b/results", "/v1/agents", "/v1/sessions",
    "/v1/fine_tuning/jobs", "/v1/completions", "/v1/complete", "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/images/generations",
    "/v1/moderations", "/v1/uploads", "/v1/vector_stores", "/v1/containers", "/v1/skills", "/v1/evals", "/v1/organization/admin_api_keys",
    "/v1/chat/completions/chatcmpl_1", "/v1beta/models/a:batchGenerateContent", "/v1beta/cachedContents", "/v1beta/files", "/v1beta/interactions",
    "/upload/v1beta/files", "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
]  # fmt: skip
"""E7: what providers serve and nobody here can judge."""


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"])
def test_a_path_that_is_not_listed_is_404_and_on_record(served: Any, method: str) -> None:
    for path in NOT_SERVED + NOT_JUDGED:
        answer = ask(served.gateway, path=path, method=method)
        assert answer.status == 404, (path, answer)
        row = of(answer, served.gateway)
        assert (row.state, row.error_code) == ("rejected", "unknown_path"), path
        assert row.route == path[:200]
    assert served.provider.received == []


def test_a_query_behind_an_absolute_target_is_not_kept(served: Any) -> None:
    answer = ask(served.gateway, path="http://x.example/v1?token=hidden-words")
    assert of(answer, served.gateway).route == "http://x.example/v1"
    assert b"hidden-words" not in written(served.gateway)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_only_the_listed_spelling_of_a_path_is_served(served: Any, data: st.DataObject) -> None:
    served.provider.received.clear()
    path = data.draw(st.sampled_from([CHAT, "/v1/messages", "/v1/responses", "/v1/embeddings", "/livez"]))
    at = data.draw(st.integers(2, len(path)))
    odd = data.draw(st.sampled_from(["/", "//", "/.", "/./", "/../", ";", ";x", "%2f", "%2e", "%00", "%0d%0a", "\\", ":", "@", "+", "%20", "|"]))
    changed = data.draw(st.sampled_from([path[:at] + odd + path[at:], path[: at - 1] + f"%{ord(path[at - 1]):02x}" + path[at:]]))
    answer = ask(served.gateway, path=changed, method="GET" if path == "/livez" else "POST")
    assert answer.status == 404, changed
    assert served.provider.received == []


MOVING = [
    ("x-forwarded-host", "evil.example"), ("x-forwarded-proto", "http"), ("x-forwarded-for", "10.0.0.1"), ("x-forwarded-prefix", "/evil"),
    ("forwarded", "host=evil.example;proto=http"), ("x-original-url", "/v1/files"), ("x-rewrite-url", "/v1/files"), ("x-host", "evil.example"),
    ("x-http-method-override", "DELETE"), ("x-base-url", "http://evil.example"), ("api-base", "http://evil.example"), ("proxy", "http://evil.example"),
    ("helicone-target-url", "http://evil.example"), ("x-portkey-custom-host", "http://evil.example"),
    ("proxy-authorization", "Basic x"), ("cookie", "a=b"), ("te", "trailers"), ("keep-alive", "timeout=1"), ("via", "1.1 evil.example"),
]  # fmt: skip


@pytest.mark.parametrize("query", ["", "?api_base=http://evil.example", "?base_url=http://evil.example&host=evil.example", "?api-version=../../x"])
def test_no_header_and_no_query_moves_the_upstream(served: Any, query: str) -> None:
    answer = ask(served.gateway, *MOVING, path=CHAT + query)
    assert answer.status == 200
    ((head, _),) = served.provider.received
    lines = head.decode().lower().split("\r\n")
    assert lines[0].startswith("post /v1/chat/completions")
    assert "host: " + served.provider.base_url.removeprefix("http://").removesuffix("/v1") in lines
    names = {line.partition(":")[0] for line in lines[1:] if line}
    assert names & {name for name, _ in MOVING} == set()
    assert "evil" not in head.decode()


@pytest.mark.parametrize("field", ["api_base", "base_url", "api_key", "fallbacks", "custom_llm_provider", "extra_headers", "mock_response", "api_version"])
def test_no_field_moves_the_upstream(served: Any, kit: Any, field: str) -> None:
    for wire in (kit.chat, kit.messages):
        answer = served.ask(wire, False, **{field: "http://evil.example"})
        served.judge(wire, False, answer, kit.needs("REJECT", ("unjudged_field",)))


@pytest.mark.parametrize("path", [CHAT, "/v1/responses", "/v1/realtime", "/v1/messages", "/", "/nowhere"])
@pytest.mark.parametrize(
    "wish",
    [
        [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "x"), ("sec-websocket-version", "13")],
        [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")],
        [("connection", "keep-alive"), ("connection", "upgrade"), ("upgrade", "websocket")],
        [("connection", "upgrade"), ("connection", "keep-alive"), ("upgrade", "websocket"), ("upgrade", "h2c")],
        [("connection", "upgrade, http2-settings"), ("upgrade", "h2c"), ("http2-settings", "x")],
    ],
)
def test_an_upgrade_is_426_and_on_record(served: Any, path: str, wish: list[tuple[str, str]]) -> None:
    answer = ask(served.gateway, *wish, path=path, method="GET", body=b"")
    if path == "/":
        assert answer.status == 200  # says what this is, and upgrades nothing
        return
    assert answer.status == 426
    row = of(answer, served.gateway)
    assert (row.state, row.error_code) == ("rejected", "upgrade_required")
    assert served.provider.received == []


# G5: names that clients choose


def test_a_client_s_id_that_comes_again_makes_another_row(served: Any) -> None:
    answers = [ask(served.gateway, ("x-request-id", "same")) for _ in range(3)]
    rows = [of(answer, served.gateway) for answer in answers]
    assert len({row.id for row in rows}) == 3
    assert [row.client_request_id for row in rows] == ["same"] * 3
    assert len(served.gateway.ended(3)) == 3


@pytest.mark.parametrize("given", ["", " ", "x" * 9_000, "a\tb", "\xff\xfe", "'; DROP TABLE exchanges; --", "../../x", "=cmd|' /C calc'!A0"])
def test_a_client_s_names_are_labels_and_nothing_else(served: Any, given: str) -> None:
    names = ("x-request-id", "x-session-id", "user-agent", "traceparent", "tracestate", "x-gateway-trace-id")
    answer = ask(served.gateway, *((name, given[: 9_000 // len(names)].encode("latin-1")) for name in names))
    assert answer.status == 200
    row = of(answer, served.gateway)
    assert row.id == answer.headers["x-gateway-trace-id"] != given
    for kept in (row.client_request_id or "", row.session, row.client):
        assert len(kept) <= 200
        assert kept.isprintable()
