"""A gateway without policies changes nothing; one with policies takes up an edit while it runs, and survives a bad one."""

import re
import time
from pathlib import Path

import httpx
import pytest

from gateway.demo.stage import RunningGateway, settings_for
from tests.patience import PATIENCE_S, until

USER = [{"role": "user", "content": "Please do it."}]
CHAT_TOOLS = [
    {"type": "function", "function": {"name": n, "parameters": {"type": "object"}}} for n in ("look_up", "delete_all")
]
MESSAGES_TOOLS = [{"name": n, "input_schema": {"type": "object"}} for n in ("look_up", "delete_all")]
REQUESTS = {
    "chat": ("/chat/completions", {"messages": USER, "tools": CHAT_TOOLS}),
    "messages": ("/messages", {"messages": USER, "tools": MESSAGES_TOOLS, "max_tokens": 500}),
}
GRANT_LOOK_UP = "policy: 1\nid: p\nagents: ['*']\nallow: [look_up]\n"
GRANT_BOTH = GRANT_LOOK_UP.replace("[look_up]", "[look_up, delete_all]")


def ask(base_url: str, form: str, model: str, *, stream: bool = False) -> httpx.Response:
    path, body = REQUESTS[form]
    headers = {"authorization": "Bearer any", "anthropic-version": "2026-10-21"}
    body = body | {"model": model, "stream": stream}
    if stream and form == "chat":
        body |= {"stream_options": {"include_usage": True}}
    return httpx.post(base_url + path, headers=headers, json=body, timeout=30)


@pytest.fixture(scope="module")
def observing(provider, tmp_path_factory):
    with RunningGateway(tmp_path_factory.mktemp("observing"), settings_for(provider.base_url)) as running:
        yield running


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("form", REQUESTS)
@pytest.mark.parametrize("model", ["allowed", "denied", "one-of-two-mixed"])
def test_an_observing_gateway_passes_every_byte_unchanged(observing, provider, form, model, stream):
    direct = ask(provider.base_url, form, model, stream=stream).content
    through = ask(observing.base_url, form, model, stream=stream).content
    assert _without_ids(through) == _without_ids(direct)


def _without_ids(body: bytes) -> bytes:
    """The provider numbers its answers; two requests never get the same number."""
    return re.sub(rb"(chatcmpl-|msg_|call_|toolu_)\d+", rb"\1N", body)


def test_an_observing_gateway_says_so_on_every_record(observing):
    exchange = ask(observing.base_url, "chat", "denied").headers["x-gateway-trace-id"]
    [row] = observing.awaited(f"SELECT enforcing, unevaluated FROM exchanges WHERE id = '{exchange}'", 1)
    [call] = observing.awaited(f"SELECT effect, released FROM calls WHERE exchange_id = '{exchange}'", 1)
    assert (row["enforcing"], "no_policy" in row["unevaluated"]) == (False, True)
    assert call == {"effect": "unevaluated", "released": True}
    assert "OBSERVING ONLY" in observing.log.read_text()


@pytest.fixture
def enforcing(provider, tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(GRANT_LOOK_UP)
    with RunningGateway(tmp_path, settings_for(provider.base_url, policies="policies")) as running:
        yield running, tmp_path / "policies" / "p.yaml"


def is_released(gateway: RunningGateway) -> bool:
    return ask(gateway.base_url, "chat", "denied").json()["choices"][0]["finish_reason"] == "tool_calls"


def becomes(gateway: RunningGateway, released: bool) -> bool:
    return until(lambda: is_released(gateway) is released)


def test_an_edit_is_taken_up_and_a_mistake_leaves_the_last_good_policy(enforcing):
    gateway, file = enforcing
    assert not is_released(gateway)
    replace(file, GRANT_BOTH)
    assert becomes(gateway, released=True)
    replace(file, GRANT_LOOK_UP)
    assert becomes(gateway, released=False)
    for broken in (GRANT_BOTH + "alow: [x]\n", "", "policy: 1\nid: [", GRANT_BOTH.replace("policy: 1", "policy: 2")):
        replace(file, broken)
        stale = awaited_stale(gateway)
        assert stale["ready"], "a bad edit must not take the gateway down"
        assert not is_released(gateway)
    file.unlink()
    time.sleep(1.5)
    assert not is_released(gateway), "a deleted policy must not open the gate"
    replace(file, GRANT_BOTH)
    assert becomes(gateway, released=True)


def replace(file: Path, text: str) -> None:
    """As editors save: whole or not at all."""
    fresh = file.with_suffix(".tmp")
    fresh.write_text(text)
    fresh.replace(file)


def awaited_stale(gateway: RunningGateway) -> dict:
    def state() -> dict:
        return httpx.get(f"{gateway.url}/readyz", timeout=PATIENCE_S).json()

    until(lambda: state()["policy"]["stale"], what=state)
    return state()


def test_a_revoked_key_stops_working_at_once(enforcing):
    gateway, _ = enforcing
    key = gateway.create_key("some-agent")
    headers = {"authorization": f"Bearer {key}"}
    path, body = REQUESTS["chat"]

    def status() -> int:
        return httpx.post(gateway.base_url + path, headers=headers, json=body | {"model": "allowed"}, timeout=PATIENCE_S).status_code

    assert status() == 200
    gateway.tollhouse("keys", "revoke", key.split("_")[1], "--data", str(gateway.data))
    until(lambda: status() != 200, what="the key no longer works")
    assert status() == 401
