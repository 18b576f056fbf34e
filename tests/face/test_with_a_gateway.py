"""A person's day in headless Chromium, before a gateway in its own processes that real agents talk to: a held call is approved, another is
edited first, and the agents go on with what was decided; traffic is found, followed live, counted by SQL; a decision becomes a test."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

import httpx
import openai
import pytest

from gateway.demo.stage import RunningGateway, settings_for
from gateway.face import first_login
from gateway.rehearsal import RunningRehearsal
from tests.patience import PATIENCE_S, until

PASSWORD = "a boat upon the river"
POLICY = """policy: 1
id: bank
agents: ['*']
allow: [pay]
rules:
- {id: big, tools: [pay], when: args.amount > 100, effect: ask, message: 'Look closely'}
- {id: none-to-eve, tools: [pay], when: "args.to == 'Eve'", effect: deny, message: 'Eve is not paid'}
"""
SCRIPT = """
rehearsal: 1
scenes:
- {when: {user_contains: large}, turns: [{calls: [{name: pay, args: {to: Bob, amount: 500}}]}, {text: Paid.}]}
- {when: {user_contains: Eve}, turns: [{calls: [{name: pay, args: {to: Eve, amount: 1}}]}, {text: Not paid.}]}
- turns: [{calls: [{name: pay, args: {to: Bob, amount: 1}}]}, {text: Paid.}]
"""
TOOLS = [{"type": "function", "function": {"name": "pay", "parameters": {"type": "object"}}}]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "policies").mkdir()
    (folder / "policies" / "bank.yaml").write_text(POLICY)
    with RunningRehearsal(SCRIPT) as provider:
        settings = settings_for(provider.base_url, policies="policies", workers=2, approvals={"keep_alive": 0.2, "hold": 60})
        with RunningGateway(folder, settings) as running:
            yield running


class Agent(threading.Thread):
    """Asks once, and carries out the calls that it is let have."""

    def __init__(self, gateway, task: str, system: str = "You pay bills.") -> None:
        super().__init__(daemon=True)
        headers = {"x-session-id": task}
        self._client = openai.OpenAI(base_url=gateway.base_url, api_key="none", max_retries=0, default_headers=headers)
        self._messages = [{"role": "system", "content": system}, {"role": "user", "content": task}]
        self.calls: list[dict] = []
        self.start()

    def run(self) -> None:
        with self._client.chat.completions.create(model="m", messages=self._messages, tools=TOOLS, stream=True) as stream:
            arguments = "".join(
                call.function.arguments or "" for piece in stream for choice in piece.choices for call in choice.delta.tool_calls or ()
            )
        self.calls = [json.loads(arguments)] if arguments else []

    def done(self) -> list[dict]:
        self.join(PATIENCE_S)
        assert not self.is_alive()
        return self.calls


def found(gateway, sql: str, count: int) -> None:
    """The book has applied so much."""
    until(lambda: len(gateway.sql(sql)) >= count, what=sql)


def waiting(tab, at: str) -> None:
    """Until a call waits on the page of approvals."""

    def waits() -> int:
        tab.go(f"{at}/ui/approvals")
        return tab.run("document.querySelectorAll('article').length")

    until(waits, what="somebody is asked")


def test_a_person_decides_looks_and_asks_and_the_agents_go_on(gateway, tab, tmp_path):
    at = gateway.admin
    tab.go(f"{at}/ui/begin?token={first_login.read(gateway.data)}")
    tab.submit("main form", name="ada", password=PASSWORD, again=PASSWORD)
    assert "OPENAI_BASE_URL" in tab.run("document.body.innerText")

    approved = Agent(gateway, "a large bill")
    waiting(tab, at)
    assert "Look closely" in tab.run("document.body.innerText")
    tab.run("document.querySelector('article button[value=approve]').click()")
    assert approved.done() == [{"to": "Bob", "amount": 500}]

    edited = Agent(gateway, "another large bill")
    waiting(tab, at)
    tab.run("document.querySelector('article textarea').value = '{\"to\": \"Bob\", \"amount\": 20}'")
    tab.run("document.querySelector('article button[value=approve]').click()")
    assert edited.done() == [{"to": "Bob", "amount": 20}]

    assert Agent(gateway, "Eve").done() == []
    found(gateway, "SELECT id FROM exchanges WHERE state <> 'open'", 3)
    tab.go(f"{at}/ui/traces?q=decision:deny")
    assert tab.run("document.querySelectorAll('tr[data-row]').length") == 1

    tab.go(f"{at}/ui/traces")
    tab.run("document.getElementById('live').click()")
    assert tab.until("document.getElementById('live').getAttribute('aria-pressed') === 'true'")
    time.sleep(3)  # the connection of the live rows is made
    assert Agent(gateway, "a small bill", system="You pay small bills, and nothing else.").done() == [{"to": "Bob", "amount": 1}]
    assert tab.until("document.querySelectorAll('tr.fresh').length > 0")

    tab.go(f"{at}/ui/traces?q=decision:deny")
    tab.run("document.querySelector('tr[data-row] a').click()")
    assert tab.until("document.body?.innerText.includes('Eve is not paid')")
    assert "bank.yaml" in tab.run("document.body.innerText")
    path = tab.run("location.pathname")
    cookie = {each["name"]: each["value"] for each in tab.send("Network.getCookies", urls=[at])["cookies"]}
    as_test = read(f"{at}{path}.yaml", cookie)
    assert "tests:" in as_test
    policy = tmp_path / "policies"
    policy.mkdir()
    (policy / "bank.yaml").write_text(POLICY + as_test)
    command = [sys.executable, "-m", "gateway.cli.main", "policy", "test", str(policy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    found(gateway, "SELECT DISTINCT prompt_hash FROM exchanges WHERE prompt_hash IS NOT NULL", 2)
    tab.go(f"{at}/ui/prompts")
    tab.run("document.querySelectorAll('input[name=before]')[1].checked = document.querySelectorAll('input[name=after]')[0].checked = true")
    tab.submit("main form[action$=compare]")
    shown = tab.run("document.body.innerText")
    assert all(words in shown for words in ("You pay bills.", "You pay small bills, and nothing else.")), shown

    tab.go(f"{at}/ui/sql")
    tab.submit("main form:has(textarea)", sql="SELECT count(*) AS paid FROM calls WHERE released")
    assert tab.run("document.querySelector('tbody td').textContent") == "3"
    assert tab.complaints == []


def read(url: str, cookies: dict[str, str]) -> str:
    answer = httpx.get(url, cookies=cookies, trust_env=False, headers={"sec-fetch-site": "same-origin"}, timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text
    return answer.text
