"""Two gateways with folders of their own and one Redis, in real processes: keys, people's words and erasures of one hold at the other."""

from __future__ import annotations

import base64
import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from gateway.demo.stage import RunningGateway, settings_for
from gateway.errors import StartError
from gateway.rehearsal import RunningRehearsal
from tests.patience import until

SCRIPT = """rehearsal: 1
scenes:
- {turns: [{calls: [{name: pay, args: {amount: 1}}]}]}
"""
POLICY = """policy: 1
id: p
agents: ['*']
allow: [pay]
rules:
- {id: people, tools: [pay], when: caller.labels.?asked.orValue('') == 'yes', effect: ask}
limits:
- {id: few, tools: [pay], per: user, window: 1h, max: 10}
"""
TOOLS = [{"type": "function", "function": {"name": "pay", "parameters": {"type": "object"}}}]
WORD = "made-up-word-for-tests"
SERVER = ("--requirepass", WORD, "--appendonly", "yes", "--appendfsync", "always")
ASKED = "please pay the plumber"


class Pair:
    def __init__(self, one: RunningGateway, two: RunningGateway) -> None:
        self.both = (one, two)

    def key(self, *more: str, at: int = 0) -> str:
        gateway = self.both[at]
        made = gateway.tollhouse("keys", "create", "--agent", "bot", "--team", "red", *more, "--json", "--data", str(gateway.data))
        return json.loads(made)["key"]

    def ask(self, at: int, key: str) -> httpx.Response:
        body = {"model": "m", "messages": [{"role": "user", "content": ASKED}], "tools": TOOLS}
        headers = {"authorization": f"Bearer {key}"}
        with httpx.Client(timeout=60, trust_env=False, headers=headers) as client:
            return client.post(f"{self.both[at].base_url}/chat/completions", json=body)


def delivered(answer: httpx.Response) -> bool:
    assert answer.status_code == 200, answer.text
    return bool(answer.json()["choices"][0]["message"].get("tool_calls"))


@pytest.fixture(scope="module")
def server(tmp_path_factory, redis_servers):
    """One that wants a password and writes to its disk."""
    made = redis_servers(tmp_path_factory.mktemp("redis"), *SERVER)
    yield made
    made.kill()


@pytest.fixture(scope="module")
def machine(server):
    """Makes the folder and the settings of a machine."""
    url = server.url()

    def made(folder, provider_url: str) -> RunningGateway:
        store = {"url": url, "password": {"env": "REDIS_WORD"}}
        more = {"state": store, "encryption": {"keys": {"env": "MASTER"}}, "approvals": {"hold_whole": 0}, "policies": "policies"}
        (folder / "policies").mkdir()
        (folder / "policies" / "p.yaml").write_text(POLICY)
        gateway = RunningGateway(folder, settings_for(provider_url, **more))
        gateway.environment |= {"REDIS_WORD": WORD, "MASTER": base64.b64encode(b"m" * 32).decode()}
        return gateway

    return made


@pytest.fixture(scope="module")
def pair(tmp_path_factory, machine):
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    with RunningRehearsal(SCRIPT) as provider, ExitStack() as running:
        gateways = [machine(folder, provider.base_url) for folder in folders]
        running.enter_context(gateways[0])
        gateways[1].data.mkdir()
        shutil.copy2(gateways[0].data / "secret", gateways[1].data / "secret")
        running.enter_context(gateways[1])
        yield Pair(*gateways)


def test_a_key_made_by_command_at_one_machine_is_good_at_both_until_it_is_revoked_at_the_other(pair):
    key = pair.key("--user", "kim")
    assert all(delivered(pair.ask(at, key)) for at in (0, 1))
    two = pair.both[1]
    assert "revoked" in two.tollhouse("keys", "revoke", key, "--data", str(two.data))
    revoked = begun = time.monotonic()
    while any(pair.ask(at, key).status_code != 401 for at in (0, 1)):
        assert begun - revoked < 1, "a request that begins a second later still gets in"
        begun = time.monotonic()


def test_of_fifty_requests_at_two_machines_exactly_ten_pass_and_the_books_say_so(pair):
    key = pair.key("--user", "lee")
    with ThreadPoolExecutor(25) as pool:
        assert sum(delivered(answer) for answer in pool.map(lambda at: pair.ask(at, key), [0, 1] * 25)) == 10
    query = "SELECT c.released FROM calls AS c JOIN exchanges AS e ON e.id = c.exchange_id WHERE e.user = 'lee'"
    assert sum(row["released"] for gateway in pair.both for row in gateway.awaited(query, 25)) == 10


def test_what_a_person_approves_at_one_machine_is_used_at_the_other_once_and_recorded_once(pair):
    key = pair.key("--user", "ann", "--label", "asked=yes")
    one, two = pair.both
    assert not delivered(pair.ask(0, key))
    [pending] = json.loads(two.tollhouse("approvals", "list", "--json", "--data", str(two.data)))
    two.tollhouse("approvals", "approve", pending["id"], "--by", "eve", "--data", str(two.data))
    with ThreadPoolExecutor(10) as pool:
        assert sum(delivered(answer) for answer in pool.map(lambda at: pair.ask(at, key), [0, 1] * 10)) == 1
    query = f"SELECT state FROM approvals WHERE id = '{pending['id']}' AND state = 'used'"
    until(lambda: sum(len(gateway.sql(query)) for gateway in pair.both), what="somebody records it")
    assert [len(gateway.sql(query)) for gateway in (one, two)] in ([1, 0], [0, 1])


def test_what_is_erased_at_one_machine_is_unreadable_at_the_other(pair):
    key = pair.key("--user", "ida")
    mine = [pair.ask(at, key).headers["x-gateway-trace-id"] for at in (0, 1)]
    for gateway, name in zip(pair.both, mine, strict=True):
        gateway.awaited(f"SELECT 1 FROM exchanges WHERE id = '{name}' AND state <> 'open'", 1)
    assert ASKED in pair.both[0].tollhouse("show", mine[0])
    pair.both[1].tollhouse("erase", "--tenant", "team:red", "--user", "ida", "--yes", "--why", "asked for")
    for gateway, name in zip(pair.both, mine, strict=True):
        assert "[erased]" in gateway.tollhouse("show", name)
        assert ASKED not in gateway.tollhouse("show", name)


def test_a_machine_without_the_secret_of_the_others_does_not_start(pair, tmp_path, machine):
    with pytest.raises(StartError, match="state of another installation"), machine(tmp_path, "http://127.0.0.1:9/v1"):
        pass


def test_a_machine_without_the_password_does_not_start(tmp_path, machine):
    gateway = machine(tmp_path, "http://127.0.0.1:9/v1")
    del gateway.environment["REDIS_WORD"]
    with pytest.raises(StartError, match="variable REDIS_WORD, and nothing is there"), gateway:
        pass


def test_the_password_is_in_no_file_of_a_machine(pair):
    for gateway in pair.both:
        files = [path for path in gateway.data.parent.rglob("*") if path.is_file()]
        assert len(files) > 5
        assert "state shared on redis://127.0.0.1:" in gateway.log.read_text()
        assert not [path for path in files if WORD.encode() in path.read_bytes()]


def test_a_server_that_is_gone_is_told_and_one_that_writes_its_file_has_forgotten_nothing(pair, server):
    key = pair.key("--user", "max")
    assert delivered(pair.ask(0, key))
    server.kill()
    time.sleep(0.6)
    answer = pair.ask(1, key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "audit_unavailable")  # nor can anything be encrypted, so recorded
    with pytest.raises(StartError, match=r"NOT READY[\s\S]*STATE: redis://127.0.0.1:\d+/0 cannot be used"):
        pair.both[0].tollhouse("status")
    with pytest.raises(StartError, match="key store cannot be used"):
        pair.key("--user", "mia")
    server.start(*SERVER)
    until(lambda: all(gateway.ready() for gateway in pair.both), what="the gateways come back")
    assert sum(delivered(pair.ask(at % 2, key)) for at in range(10)) == 9
