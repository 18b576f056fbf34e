"""Gateways in their own processes, one for each way of storing, through which the same planted secrets went; and what then lies on disk."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from gateway.config import Settings
from gateway.demo.stage import RunningGateway, settings_for
from gateway.installation import open_keys
from gateway.rehearsal import RunningRehearsal
from tests.patience import PATIENCE_S

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
DIALECTS = ("chat", "responses", "messages", "gemini")
MODES: dict[str, dict[str, Any]] = {
    "full": {"storing": "full"},
    "encrypted": {"storing": "full"},
    "redacted": {},
    "metadata": {"storing": "metadata"},
}
POLICY = """
policy: 1
id: p
agents: ['*']
allow: [look_up, pay]
rules:
- {id: big, tools: [pay], when: "args.amount > 10.0", effect: ask, message: 'Look closely at {args.note}'}
- {id: quoting, tools: [look_up], when: "args.city.startsWith('q')", message: 'not {args.city} {args.note} for {session.id}'}
limits:
- {id: many, tools: [look_up], per: session, max: 1000}
"""


def secret(place: str) -> str:
    """A made-up token of GitHub's form, another one for each place."""
    digest = hashlib.sha512(place.encode()).digest()
    return "ghp_" + "".join(ALPHABET[byte % 62] for byte in digest[:36])


def scenes(dialect: str) -> list[dict[str, Any]]:
    """What the model says, chosen by a word in the user's message."""
    s = lambda place: secret(f"{dialect} {place}")  # noqa: E731
    calls = [
        {"name": "look_up", "args": {"city": "Bern", "note": s("argument of a released call")}},
        {"name": "look_up", "args": {"city": "q", "note": s("argument of a denied call, quoted by its reason")}},
        {"name": f"x-{s('name of a tool')}", "args": {"k": s("argument of an undeclared tool")}},
        {"name": "pay", "args": {"amount": 50.0, "note": s("argument a person is asked about")}},
        {"name": "look_up", "arguments": '{"city": 1, "city": "' + s("argument without one reading")},
    ]
    spoken = [
        ("[streamed]", {"text": f"it is {s('streamed answer')} indeed", "chunk": 5}),
        ("[whole]", {"text": f"it is {s('whole answer')} indeed", "finish": f"odd-{s('finish reason')}"}),
        ("[error]", {"status": 400, "error": f"no such thing as {s('error of the provider')}"}),
        *((f"[call {at}]", {"text": "I will.", "calls": [call], "chunk": 4}) for at, call in enumerate(calls)),
    ]
    return [{"when": {"user_contains": f"{word} of {dialect}"}, "turns": [turn]} for word, turn in spoken]


class Agent:
    """Sends requests of one dialect with secrets in every place."""

    def __init__(self, url: str, key: str, dialect: str) -> None:
        self.dialect, self._key = dialect, key
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def place(self, name: str) -> str:
        return secret(f"{self.dialect} {name}")

    def ask(self, word: str, *, stream: bool = False, model: str = "m", key: str | None = None) -> httpx.Response:
        s = self.place
        user, system = f"{word} of {self.dialect}: please use {s('request text')}", f"You are kind. {s('system prompt')}"
        headers = {"user-agent": f"agent/{s('user agent')}", "x-request-id": s("request id"), "x-session-id": f"ses-{s('session id')}"}
        build = getattr(self, f"_{self.dialect}")
        path, auth, body = build(user, system, stream, model, key or self._key)
        return self._http.post(path, headers={**headers, **auth}, json=body)

    def ask_kept(self) -> httpx.Response:
        """With a kept prompt, which is filled with something secret."""
        path, auth, body = getattr(self, f"_{self.dialect}")(f"[whole] of {self.dialect}", "", False, "m", self._key)
        for place in ("system", "instructions", "systemInstruction"):
            body.pop(place, None)
        if self.dialect == "chat":
            del body["messages"][0]
        named = {"name": "kept", "variables": {"note": self.place("variable of a prompt")}}
        return self._http.post(path, headers=auth, json=body | {"prompt": named})

    def _parameters(self) -> dict[str, Any]:
        note = {"type": "string", "description": self.place("declaration of a tool")}
        return {"type": "object", "properties": {"city": {"type": "string"}, "note": note, "amount": {"type": "number"}}}

    def _chat(self, user: str, system: str, stream: bool, model: str, key: str) -> tuple[str, dict[str, str], dict[str, Any]]:
        s = self.place
        tools = [{"type": "function", "function": {"name": name, "parameters": self._parameters()}} for name in ("look_up", "pay")]
        before = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": json.dumps({"city": s("earlier argument")})}}
        messages = [
            {"role": "system", "content": system},
            {"role": "assistant", "content": None, "tool_calls": [before]},
            {"role": "tool", "tool_call_id": "c1", "content": f"found\n{s('tool result')}"},
            {"role": "user", "content": user},
        ]
        body = {"model": model, "messages": messages, "tools": tools, "stream": stream}
        labels = {"user": s("user id"), "metadata": {"k": s("metadata")}}
        return "/v1/chat/completions", {"authorization": f"Bearer {key}"}, body | labels

    def _responses(self, user: str, system: str, stream: bool, model: str, key: str) -> tuple[str, dict[str, str], dict[str, Any]]:
        s = self.place
        tools = [{"type": "function", "name": name, "parameters": self._parameters()} for name in ("look_up", "pay")]
        items = [
            {"type": "function_call", "call_id": "c1", "name": "look_up", "arguments": json.dumps({"city": s("earlier argument")})},
            {"type": "function_call_output", "call_id": "c1", "output": f"found\n{s('tool result')}"},
            {"role": "user", "content": user},
        ]
        body = {"model": model, "instructions": system, "input": items, "tools": tools, "stream": stream, "store": False}
        return "/v1/responses", {"authorization": f"Bearer {key}"}, {**body, "user": s("user id"), "metadata": {"k": s("metadata")}}

    def _messages(self, user: str, system: str, stream: bool, model: str, key: str) -> tuple[str, dict[str, str], dict[str, Any]]:
        s = self.place
        tools = [{"name": name, "input_schema": self._parameters()} for name in ("look_up", "pay")]
        before = {"type": "tool_use", "id": "c1", "name": "look_up", "input": {"city": s("earlier argument")}}
        messages = [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [before]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": f"found\n{s('tool result')}"}]},
            {"role": "user", "content": user},
        ]
        body = {"model": model, "max_tokens": 99, "system": system, "messages": messages, "tools": tools, "stream": stream}
        return "/v1/messages", {"x-api-key": key, "anthropic-version": "2023-06-01"}, {**body, "metadata": {"user_id": s("user id")}}

    def _gemini(self, user: str, system: str, stream: bool, model: str, key: str) -> tuple[str, dict[str, str], dict[str, Any]]:
        s = self.place
        declared = [{"name": name, "parametersJsonSchema": self._parameters()} for name in ("look_up", "pay")]
        contents = [
            {"role": "user", "parts": [{"text": "go"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "look_up", "args": {"city": s("earlier argument")}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "look_up", "response": {"result": f"found\n{s('tool result')}"}}}]},
            {"role": "user", "parts": [{"text": user}]},
        ]
        path = f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")
        body = {"contents": contents, "systemInstruction": {"parts": [{"text": system}]}, "tools": [{"functionDeclarations": declared}]}
        return path, {"x-goog-api-key": key}, body


def play(gateway: RunningGateway, dialect: str) -> int:
    """Sends everything once; how many exchanges that made."""
    agent = Agent(gateway.url, new_key(gateway, f"agent-{dialect}"), dialect)
    sent = [agent.ask("[streamed]", stream=True), agent.ask("[whole]"), agent.ask("[error]"), agent.ask("[error]", stream=True)]
    for at in range(5):
        sent += [agent.ask(f"[call {at}]", stream=True), agent.ask(f"[call {at}]")]
    sent.append(agent.ask_kept())
    assert sent[-1].status_code == 200, sent[-1].text
    sent.append(agent.ask("[whole]", model=f"m-{agent.place('model name')}"))
    sent.append(agent.ask("[whole]", key=agent.place("unknown key")))
    sent.append(httpx.get(f"{gateway.url}/v1/{agent.place('path')}?x={agent.place('query')}", trust_env=False, timeout=PATIENCE_S))
    exchange = sent[1].headers["x-gateway-trace-id"]
    gateway.awaited(f"SELECT 1 FROM exchanges WHERE id = '{exchange}' AND state <> 'open'", 1)
    said = {"exchange": exchange, "label": agent.place("label of feedback"), "comment": f"good, but {agent.place('comment of feedback')}"}
    headers = {"authorization": f"Bearer {agent._key}"}
    answer = httpx.post(f"{gateway.url}/v1/feedback", headers=headers, json=said, trust_env=False, timeout=PATIENCE_S)
    assert answer.status_code == 201, answer.text
    return len(sent)


def decide(gateway: RunningGateway) -> None:
    """A person answers what is asked: with other arguments, and with a reason."""
    token = {"authorization": f"Bearer {(gateway.data / 'admin.token').read_text().strip()}"}
    with httpx.Client(base_url=gateway.admin, headers=token, timeout=30, trust_env=False) as people:
        for at, asked in enumerate(people.get("/approvals").json()["approvals"]):
            said = {"by": "ann", "reason": f"because of {secret('reason of a person')}"}
            edited = {"arguments": {"amount": 1.0, "note": secret("edited argument")}} if at else {}
            ruled = people.post(f"/approvals/{asked['id']}/{'approve' if at else 'deny'}", json=said | edited)
            assert ruled.status_code == 200, ruled.text


def texts(folder: Path) -> dict[str, bytes]:
    """By name: every byte on disk, and every value of the ledger as it reads once unpacked."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with duckdb.connect(":memory:") as con:
        for path in folder.rglob("*.duckdb"):
            con.execute(f"ATTACH '{path}' AS book (READ_ONLY)")
            tables = con.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'book'").fetchall()
            for (table,) in tables:
                rows = con.execute(f'SELECT * FROM book."{table}"').fetchall()
                found[f"{path.name}: {table}"] = repr(rows).encode()
            con.execute("DETACH book")
    return found


def new_key(gateway: RunningGateway, agent: str) -> str:
    keys = open_keys(Settings(data=str(gateway.data)))
    try:
        return keys.create(agent=agent, now_us=1)
    finally:
        keys.close()


class Disk:
    """What one gateway left behind."""

    def __init__(self, folder: Path, exchanges: int) -> None:
        self.texts = texts(folder)
        self.exchanges = exchanges
        self.secret = secret

    def places_of(self, wanted: str) -> list[str]:
        """Where a secret lies, in any form in which a gateway could have written it."""
        forms = written(wanted)
        return sorted(name for name, data in self.texts.items() if any(form in data for form in forms))


def written(wanted: str) -> list[bytes]:
    raw = wanted.encode()
    coded = [base64.b64encode(b"x" * shift + raw)[4 if shift else 0 : -4] for shift in range(3)]
    escaped = "".join(f"\\u{ord(c):04x}" for c in wanted).encode()
    return [raw, raw.hex().encode(), raw.hex().upper().encode(), escaped, raw[::-1], *coded]


@pytest.fixture(scope="session", params=MODES)
def mode(request):
    return request.param


@pytest.fixture(scope="session")
def disk(mode, tmp_path_factory):
    folder = tmp_path_factory.mktemp(mode)
    (folder / "policies").mkdir()
    (folder / "policies" / "p.yaml").write_text(POLICY)
    (folder / "prompts").mkdir()
    (folder / "prompts" / "kept.md").write_text("---\nvariables: {note: {type: string}}\n---\nYou are kind. {{ note }}")
    more = {"prompts": "prompts", **MODES[mode]}
    if mode == "encrypted":
        master = folder.parent / f"{folder.name}.master"
        master.write_bytes(base64.b64encode(b"m" * 32))
        master.chmod(0o600)
        more["encryption"] = {"keys": {"file": str(master)}}
    script = json.dumps({"rehearsal": 1, "scenes": [scene for dialect in DIALECTS for scene in scenes(dialect)]})
    with RunningRehearsal(script) as provider:
        settings = settings_for(provider.base_url, policies="policies", approvals={"hold": 0, "hold_whole": 0}, **more)
        with RunningGateway(folder, settings) as gateway:
            sent = sum(play(gateway, dialect) for dialect in DIALECTS)
            decide(gateway)
            gateway.awaited("SELECT 1 FROM exchanges WHERE state <> 'open'", sent)
            gateway.awaited("SELECT 1 FROM approvals WHERE state <> 'pending'", 4)
            gateway.awaited("SELECT 1 FROM feedback", 4)
            while_running = texts_of_state(folder)
    found = Disk(folder, sent)
    found.texts |= while_running
    return found


def texts_of_state(folder: Path) -> dict[str, bytes]:
    """The state files and their logs before the end tidies them up."""
    return {f"running {path.name}": path.read_bytes() for path in (folder / ".tollhouse").iterdir() if path.is_file()}
