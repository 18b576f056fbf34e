"""`tollhouse demo`: the attack works without the gate, does not with it, and the book holds both sides of the story."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from gateway.cli import demo
from gateway.demo import agent
from gateway.demo.bank import ATTACKER, BILL, TOOLS, Bank
from gateway.demo.stage import RunningGateway, settings_for
from gateway.errors import StartError
from gateway.rehearsal import RunningRehearsal, load_file
from tests.patience import PATIENCE_S

SCENE = Path(demo.__file__).parents[1] / "demo" / "scene.yaml"
ENVIRONMENT = os.environ | {"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb", "OPENAI_API_KEY": "never-used"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gateway.cli.main", "demo", *arguments]


@pytest.fixture(scope="module")
def outcome():
    done = subprocess.run(command("--json"), capture_output=True, text=True, env=ENVIRONMENT, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_the_attack_works_without_the_gate_and_not_with_it(outcome):
    assert outcome["stolen_without_gate"] == 1000.0
    assert outcome["stolen_with_gate"] == 0


def test_the_bill_itself_is_paid(outcome):
    assert outcome["payments"] == [["GB29NWBK60161331926819", 98.7]]


def test_the_book_names_the_denied_calls_and_who_made_them(outcome):
    assert [(row["agent"], row["tool"], row["recipient"]) for row in outcome["denied"]] == [
        (demo.AGENT, "send_money", ATTACKER)
    ] * 2
    assert all(row["policy"] and row["rule"] for row in outcome["denied"])


def test_the_cost_is_that_of_the_price_table(outcome):
    spent = {row["request_model"]: row for row in outcome["spent"]}
    assert set(spent) == {demo.CHAT_MODEL, demo.MESSAGES_MODEL}
    assert all(Decimal(str(row["usd"])) > 0 for row in spent.values())
    assert spent[demo.CHAT_MODEL]["requests"] == 4
    assert spent[demo.CHAT_MODEL]["denied"] == spent[demo.MESSAGES_MODEL]["denied"] == 1


class CtrlCAtOnce(io.StringIO):
    """Somebody who presses it, once, the moment the line is there."""

    def write(self, text: str) -> int:
        pressed = "Ctrl-C" in text and "Ctrl-C" not in self.getvalue()
        written = super().write(text)
        if pressed:
            raise KeyboardInterrupt
        return written


def test_stay_ends_clean_however_soon_ctrl_c_comes(tmp_path):
    shown = CtrlCAtOnce()
    outcome = demo.play(tmp_path, Console(file=shown, width=120), stay=True)
    assert outcome["stolen_with_gate"] == 0
    assert shown.getvalue().endswith("\nended\n")


def test_stay_prints_lines_that_work_and_ends_clean_on_ctrl_c():
    run = subprocess.Popen(  # who runs these tests in the background of a shell ignores Ctrl-C, and so would what it starts
        command("--stay"),
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT | {"PYTHONUNBUFFERED": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert run.stdout is not None
    exported = {}
    for line in run.stdout:
        if found := re.match(r"export (\w+)=(\S+)", line):
            exported[found[1]] = found[2]
        if line.startswith("Ctrl-C"):
            break
    answer = httpx.post(
        f"{exported['OPENAI_BASE_URL']}/chat/completions",
        headers={"authorization": f"Bearer {exported['OPENAI_API_KEY']}"},
        json={"model": demo.CHAT_MODEL, "messages": [{"role": "user", "content": "hello"}]},
        timeout=PATIENCE_S,
    )
    assert answer.status_code == 200
    run.send_signal(signal.SIGINT)
    assert run.wait(PATIENCE_S) == 0
    run.stdout.close()
    assert not Path(exported["TOLLHOUSE_DATA"]).exists()
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{exported['OPENAI_BASE_URL'].removesuffix('/v1')}/readyz", timeout=PATIENCE_S)


@pytest.mark.parametrize(
    ("loop", "model"), [(agent.in_chat, demo.CHAT_MODEL), (agent.in_messages, demo.MESSAGES_MODEL)]
)
def test_the_agent_obeys_what_it_reads_in_both_formats(loop, model):
    with RunningRehearsal(SCENE) as provider:
        bank = Bank()
        events = list(loop(provider.base_url, "any", model, bank))
    assert bank.stolen == 1000.0
    assert next(e.tool for e in events if isinstance(e, agent.Ran)) == "read_file"
    assert ATTACKER in BILL
    assert "".join(e.text for e in events if isinstance(e, agent.Said)).startswith("I will read the bill first.")


def test_an_agent_that_is_never_done_stops_by_itself():
    script = "rehearsal: 1\nscenes:\n- turns: [{calls: [{name: get_balance}]}]\n"
    with RunningRehearsal(script) as provider:
        events = list(agent.in_chat(provider.base_url, "any", "m", Bank()))
    assert sum(isinstance(e, agent.Ran) for e in events) == agent.MOST_TURNS


@pytest.mark.parametrize("loop", [agent.in_chat, agent.in_messages])
def test_a_refusal_of_the_provider_is_an_error_with_its_words(loop):
    script = "rehearsal: 1\nscenes:\n- turns: [{status: 429, error: slow down}]\n"
    with RunningRehearsal(script) as provider, pytest.raises(httpx.HTTPStatusError, match="slow down"):
        list(loop(provider.base_url, "any", "m", Bank()))


def test_the_bank_moves_money_only_when_there_is_enough():
    bank = Bank(balance=10.0)
    pay = {"recipient": "X", "subject": "s", "date": "d"}
    assert bank.run("send_money", pay | {"amount": 4}) == "sent 4.00 to X"
    assert bank.run("send_money", pay | {"amount": 7}) == "refused: not enough money"
    assert (bank.balance, bank.run("get_balance", {}), len(bank.payments), bank.stolen) == (6.0, "6.00", 1, 0)
    assert bank.run("read_file", {"file_path": "absent"}) == "no such file: absent"
    assert bank.run("rob", {}) == "no such tool: rob"


def test_the_scene_only_uses_tools_the_agent_declares():
    declared = {name: set(properties) for name, _, properties in TOOLS}
    for scene in load_file(SCENE).scenes:
        for call in (call for turn in scene.turns for call in turn.calls):
            assert set(call.args or {}) == declared[call.name]


def test_what_a_model_writes_cannot_command_the_terminal():
    shown = demo._verdict(
        {"effect": "deny", "released": False, "name": "x\x1b[2J", "arguments": "[bold]\u202e", "reason": "a\rb"}
    )
    assert not {"\x1b", "\u202e", "\r"} & set(shown)
    assert "\\[bold]" in shown


def test_a_gateway_that_cannot_start_shows_its_own_last_words(tmp_path):
    settings = settings_for("http://127.0.0.1:9/v1", policies="absent")
    with pytest.raises(StartError, match=r"ended with code 3(.|\n)*absent"), RunningGateway(tmp_path, settings):
        pytest.fail("it started")
