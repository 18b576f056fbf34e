"""Approvals of a gateway in its own processes: people decide on the command line, nothing is lost with a worker, all is in the book."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import os
import signal
import threading
from typing import ClassVar

import httpx
import pytest
from typer.testing import CliRunner

from gateway.cli.approvals import app
from gateway.demo.stage import RunningGateway, settings_for
from gateway.errors import GatewayError, StartError
from gateway.rehearsal import RunningRehearsal
from tests.patience import PATIENCE_S, until

POLICY = """
policy: 1
id: bank
agents: ['*']
allow: [pay]
rules:
- {id: big, tools: [pay], effect: ask, message: 'Look closely'}
"""
SCRIPT = """
rehearsal: 1
scenes:
- turns: [{calls: [{name: pay, args: {amount: 50}}]}]
"""
BODY = {
    "model": "m",
    "messages": [{"role": "user", "content": "pay"}],
    "tools": [{"type": "function", "function": {"name": "pay", "parameters": {"type": "object"}}}],
    "stream": True,
}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "policies").mkdir()
    (folder / "policies" / "p.yaml").write_text(POLICY)
    receiver = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    hook = {"url": f"http://127.0.0.1:{receiver.server_port}/hook", "secret": {"env": "HOOK_WORD"}, "events": ["pending", "used"]}
    approvals = {"keep_alive": 0.2, "hold": 30, "webhooks": [hook]}
    with RunningRehearsal(SCRIPT) as provider:
        settings = settings_for(provider.base_url, policies="policies", workers=2, approvals=approvals)
        gateway = RunningGateway(folder, settings)
        gateway.environment |= {"HOOK_WORD": "a word"}
        with gateway:
            yield gateway
    receiver.shutdown()


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes what the gateway tells, if the signature is right."""

    told: ClassVar[list[tuple[str, str]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        signed = self.headers["x-tollhouse-timestamp"].encode() + b"." + body
        right = "v1=" + hmac.new(b"a word", signed, hashlib.sha256).hexdigest() == self.headers["x-tollhouse-signature"]
        self.send_response(204 if right else 403)
        self.end_headers()
        approval = json.loads(body)["approval"]
        self.told.append((approval["id"], approval["state"] if right else "badly signed"))

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def post(gateway, session: str) -> str:
    answer = httpx.post(f"{gateway.base_url}/chat/completions", json=BODY, headers={"x-session-id": session}, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.text


def cli(gateway, *arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments, "--data", str(gateway.data)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def pending(gateway, session: str) -> str:
    def found() -> list[str]:
        return [each["id"] for each in json.loads(cli(gateway, "list", "--json")) if each["session"] == session]

    return until(found, what="somebody is asked")[0]


class Asking(threading.Thread):
    """A client that waits for its answer."""

    def __init__(self, gateway, session: str) -> None:
        super().__init__(daemon=True)
        self._gateway, self._session = gateway, session
        self.text = ""
        self.start()

    def run(self) -> None:
        try:
            self.text = post(self._gateway, self._session)
        except httpx.TransportError as error:
            self.text = f"broken: {error}"

    def answer(self) -> str:
        self.join(PATIENCE_S)
        return self.text




def in_the_book(gateway, name: str, state: str) -> dict:
    sql = "SELECT a.*, c.code, c.released FROM approvals AS a JOIN calls AS c ON c.approval = a.id"
    return gateway.awaited(f"{sql} WHERE a.id = '{name}' AND a.state = '{state}'", 1)[0]


def test_a_person_approves_on_the_command_line_and_the_book_says_who(running):
    asking = Asking(running, "one")
    name = pending(running, "one")
    until(lambda: (name, "pending") in Receiver.told, what=lambda: Receiver.told)
    assert "Look closely" in cli(running, "show", name)
    assert "pay" in cli(running, "list")
    told = json.loads(cli(running, "approve", name, "--by", "ann", "--reason", "known", "--json"))
    assert (told["state"], told["decided_by"]) == ("approved", "ann")
    assert "50" in asking.answer()
    until(lambda: (name, "used") in Receiver.told, what=lambda: Receiver.told)
    assert [state for told, state in Receiver.told if told == name] == ["pending", "used"]
    row = in_the_book(running, name, "used")
    assert (row["decided_by"], row["reason"], row["code"], row["released"]) == ("ann", "known", "approved", True)


def test_a_denial_and_changed_arguments_reach_the_agent(running):
    asking = Asking(running, "two")
    cli(running, "deny", pending(running, "two"), "--by", "ann", "--reason", "not today")
    assert "ann: not today" in asking.answer()
    asking = Asking(running, "three")
    cli(running, "edit", pending(running, "three"), '{"amount": 7}', "--by", "ann", "--for", "session")
    assert '\\"amount\\": 7' in asking.answer()
    assert '\\"amount\\": 7' in post(running, "three")


def test_what_was_asked_outlives_the_worker_that_held_it(running):
    asking = Asking(running, "four")
    name = pending(running, "four")
    for pid in workers(running):
        os.kill(pid, signal.SIGKILL)
    assert "broken" in asking.answer()
    again = Asking(running, "four")
    until(running.ready)
    if "broken" in again.text:
        again = Asking(running, "four")
    assert pending(running, "four") == name
    cli(running, "approve", name, "--by", "ann")
    assert "50" in again.answer()
    assert in_the_book(running, name, "used")["code"] == "approved"


def workers(gateway) -> list[int]:
    found = gateway.processes()["worker"]
    assert len(found) == 2
    return found




@pytest.mark.parametrize("name", ["x", "apr_../../sql", "apr_1?x", "apr_é"])
def test_what_is_no_id_is_not_asked_for(running, name):
    result = CliRunner().invoke(app, ["show", name, "--data", str(running.data)])
    assert result.exit_code == 2


def test_refusals_are_told_in_the_gateway_s_words(running):
    for arguments in (["approve", "apr_0"], ["show", "apr_0"]):
        with pytest.raises(GatewayError, match="no approval"):
            CliRunner().invoke(app, [*arguments, "--data", str(running.data)], catch_exceptions=False)
    with pytest.raises(GatewayError, match="'by' must be"):
        CliRunner().invoke(app, ["deny", "apr_0", "--by", "a\nb", "--data", str(running.data)], catch_exceptions=False)
    assert CliRunner().invoke(app, ["edit", "apr_0", "[1]", "--data", str(running.data)]).exit_code == 2


def test_without_a_gateway_it_says_how_to_start_one(tmp_path):
    with pytest.raises(StartError, match="no gateway is running"):
        CliRunner().invoke(app, ["list", "--data", str(tmp_path)], catch_exceptions=False)
