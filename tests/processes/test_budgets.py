"""Budgets over worker processes, gateways, kills and the command line."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from gateway.bench.client import Prompter
from gateway.demo.stage import RunningGateway, settings_for
from gateway.rehearsal import RunningRehearsal
from gateway.rehearsal.script import Turn
from tests.patience import PATIENCE_S, until

SCRIPT = """rehearsal: 1
scenes:
- {turns: [{text: done, usage: {input: 100, output: 100}}]}
"""
PRICES = {"m": {"input": "1", "output": "1000"}}


@pytest.fixture
def provider():
    with RunningRehearsal(SCRIPT) as provider:
        yield provider


def budget(**more):
    return {"id": "b", "per": "all", "of": "requests", "max": 10, "window": "total"} | more


def ask(gateway) -> int:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 100}
    with httpx.Client(timeout=60, trust_env=False) as client:  # a connection of its own: the kernel spreads them over the workers
        answer = client.post(f"{gateway.base_url}/chat/completions", json=body)
    assert answer.status_code in (200, 402), answer.text
    return answer.status_code


def test_of_fifty_requests_over_four_workers_exactly_ten_pass_and_people_see_and_reset_it(tmp_path, provider):
    settings = settings_for(provider.base_url, workers=4, budgets=[budget()])
    with RunningGateway(tmp_path, settings) as gateway, ThreadPoolExecutor(25) as pool:
        assert sorted(pool.map(lambda _: ask(gateway), range(50))) == [200] * 10 + [402] * 40
        rows = gateway.awaited("SELECT slot FROM exchanges WHERE state <> 'open'", 50)
        assert len({row["slot"] for row in rows}) > 1
        shown = json.loads(gateway.tollhouse("budgets", "show", "b", "--json"))
        assert [(each["taken"], each["left"]) for each in shown["subjects"]] == [("10", "0")]
        assert "b" in gateway.tollhouse("budgets", "list")
        gateway.tollhouse("budgets", "reset", "b", "--all", "--by", "ada")
        assert ask(gateway) == 200
        gateway.awaited("SELECT budget FROM budget_resets WHERE who = 'ada'", 1)
        gateway.awaited("SELECT id FROM exchanges WHERE usage_raw IS NOT NULL", 11)
        repriced = json.loads(gateway.tollhouse("reprice", "--since", "1d", "--model", "m", "--json"))
        assert (repriced["looked_at"], repriced["revised"], repriced["dry_run"]) == (11, 0, False)
        assert "11 exchanges looked at, 0 would be revised" in gateway.tollhouse("reprice", "--since", "1d", "--dry-run")


def test_a_budget_is_seen_and_reset_where_nothing_of_content_is_kept(tmp_path, provider):
    settings = settings_for(provider.base_url, storing="metadata", budgets=[budget(max=1), budget(id="agents", per="agent")])
    with RunningGateway(tmp_path, settings) as gateway:
        assert [ask(gateway), ask(gateway)] == [200, 402]
        gateway.awaited("SELECT id FROM exchanges WHERE state <> 'open'", 2)
        for name, subject in (("b", ""), ("agents", "anonymous")):
            (shown,) = json.loads(gateway.tollhouse("budgets", "show", name, "--json"))["subjects"]
            assert (shown["subject"], shown["taken"]) == (subject, "1")
        gateway.tollhouse("budgets", "reset", "b", "--all")
        assert ask(gateway) == 200


@pytest.mark.parametrize("subject", ["", "red team's", "--all"])
def test_the_line_that_a_refusal_names_resets_what_was_used_up(tmp_path, provider, subject):
    settings = settings_for(provider.base_url, budgets=[budget(id="tag", per="tag:job", max=1)])
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 100}
    with RunningGateway(tmp_path, settings) as gateway:
        asked = [httpx.post(f"{gateway.base_url}/chat/completions", json=body, headers={"x-tollhouse-tag-job": subject}) for _ in range(2)]
        assert [answer.status_code for answer in asked] == [200, 402]
        refusal = asked[1].json()["error"]["message"]
        told = "Budget 'tag' (requests per tag job, in total) allows 1 requests, 1 are taken, and this request may take 1. "
        assert refusal.startswith(told + "Waiting frees nothing of it. An operator may ")
        gateway.tollhouse(*shlex.split(refusal.partition("tollhouse ")[2]))
        (shown,) = json.loads(gateway.tollhouse("budgets", "show", "tag", "--json"))["subjects"]
        assert (shown["subject"], shown["taken"]) == (subject, "0")
        answer = httpx.post(f"{gateway.base_url}/chat/completions", json=body, headers={"x-tollhouse-tag-job": subject})
        assert answer.status_code == 200


def test_money_over_two_gateways_and_one_redis_is_spent_once(tmp_path, provider, own_redis_server):
    spent = budget(of="money", max="1.01")
    with ThreadPoolExecutor(25) as pool:
        folders = [tmp_path / name for name in ("one", "two")]
        for folder in folders:
            folder.mkdir()
        settings = settings_for(provider.base_url, state=own_redis_server.url(), keys="optional", prices=PRICES, budgets=[spent])
        with RunningGateway(folders[0], settings) as one:
            (folders[1] / ".tollhouse").mkdir(mode=0o700)
            (folders[1] / ".tollhouse" / "secret").write_bytes((one.data / "secret").read_bytes())
            (folders[1] / ".tollhouse" / "secret").chmod(0o600)
            with RunningGateway(folders[1], settings) as two:
                codes = list(pool.map(lambda n: ask((one, two)[n % 2]), range(50)))
                assert (codes.count(200), codes.count(402)) == (10, 40)
                shown = json.loads(one.tollhouse("budgets", "show", "b", "--json"))["subjects"]
                both = json.loads(two.tollhouse("budgets", "show", "b", "--json"))["subjects"]
    assert {each["taken"] for each in shown + both} == {"1.001"}


def leases(gateway) -> list[int]:
    with sqlite3.connect(gateway.data / "state.sqlite", timeout=20) as db:
        return [lease for (lease,) in db.execute("SELECT DISTINCT lease FROM limit_leases")]


def test_what_a_killed_worker_held_is_free_when_its_lease_ends(tmp_path):
    """A lease lasts two minutes: its end is brought near in the store, as time would."""
    prompter = Prompter((), {})
    prompter.turns.update({"slow": Turn(text="done", delay_ms=60_000), "m": Turn(text="done")})
    with RunningRehearsal(prompter) as provider, ThreadPoolExecutor(1) as pool:
        settings = settings_for(provider.base_url, budgets=[budget(max=1)])
        with RunningGateway(tmp_path, settings) as gateway:
            body = {"model": "slow", "messages": [{"role": "user", "content": "hi"}]}
            url = f"{gateway.base_url}/chat/completions"
            asking = pool.submit(lambda: httpx.post(url, json=body, timeout=60, trust_env=False))
            until(lambda: len(leases(gateway)) == 1, despite=sqlite3.OperationalError)
            assert ask(gateway) == 402
            killed = gateway.processes()["worker"]
            assert len(killed) == 1
            os.kill(killed[0], signal.SIGKILL)
            with pytest.raises(httpx.HTTPError):
                asking.result(PATIENCE_S)
            until(lambda: [pid for pid in gateway.processes()["worker"] if pid not in killed] and gateway.ready())
            assert ask(gateway) == 402
            with sqlite3.connect(gateway.data / "state.sqlite", timeout=20) as db:
                db.execute("UPDATE limit_leases SET until_us = until_us - 130000000")
            assert ask(gateway) == 200
            assert leases(gateway) == []


