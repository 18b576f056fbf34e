"""Rows F3, F5, F6 (what a request may move), E7, E8, G4 and G5: who asks, and where to, has one answer or none.

Headers and targets go out as written here; `http.client` neither cleans nor joins them.
"""

from __future__ import annotations

import http.client
import json
import time
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.dialects import DIALECTS
from gateway.trace.record import Ended

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
    connection = http.client.HTTPConnection(gateway.url.removeprefix("http://"), timeout=10)
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
