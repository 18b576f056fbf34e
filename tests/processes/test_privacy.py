"""Encrypted content from the request to its erasure, in real processes: read by command, judged with the agent's key, erased, proven."""

from __future__ import annotations

import base64
import json
import shutil
import time

import httpx
import pytest

from gateway.demo.stage import RunningGateway, settings_for
from gateway.errors import StartError
from gateway.rehearsal import RunningRehearsal
from tests.patience import PATIENCE_S, until

SCRIPT = "rehearsal: 1\nscenes: [{turns: [{text: It is quite sunny in Bern.}]}]"
ASKED = "what is the weather in Bern"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encrypted")
    master = folder / "master"
    master.write_bytes(base64.b64encode(b"m" * 32))
    master.chmod(0o600)
    with RunningRehearsal(SCRIPT) as provider:
        settings = settings_for(provider.base_url, encryption={"keys": {"file": str(master)}})
        with RunningGateway(folder, settings) as running:
            yield running


class Agent:
    def __init__(self, gateway: RunningGateway, user: str) -> None:
        made = gateway.tollhouse("keys", "create", "--agent", "bot", "--team", "red", "--user", user, "--json", "--data", str(gateway.data))
        self._headers = {"authorization": f"Bearer {json.loads(made)['key']}"}
        self._http = httpx.Client(base_url=gateway.url, timeout=30, trust_env=False, headers=self._headers)

    def ask(self) -> str:
        body = {"model": "m", "messages": [{"role": "user", "content": ASKED}]}
        answer = self._http.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        return answer.headers["x-gateway-trace-id"]

    def says(self, **feedback) -> httpx.Response:
        """Sent again while the book has not seen the exchange yet."""

        def said() -> httpx.Response | None:
            answer = self._http.post("/v1/feedback", json=feedback)
            return None if answer.status_code == 503 else answer

        return until(said)


@pytest.fixture(scope="module")
def ada(gateway):
    return Agent(gateway, "ada")


@pytest.fixture(scope="module")
def bob(gateway):
    return Agent(gateway, "bob")


def test_an_agent_judges_its_own_exchanges_and_no_others(ada, bob, gateway):
    mine = ada.ask()
    assert ada.says(exchange=mine, score=1, comment="found the umbrella").status_code == 201
    gateway.awaited(f"SELECT 1 FROM feedback WHERE exchange_id = '{mine}'", 1)
    assert bob._http.post("/v1/feedback", json={"exchange": mine, "score": 0}).status_code in (404, 503)
    listed = json.loads(gateway.tollhouse("feedback", "list", "--exchange", mine, "--json"))
    assert gateway.tollhouse("feedback", "list", "--exchange", "0" * 32) == "There is none.\n"
    assert [(each["who"], each["comment"]) for each in listed] == [("bot", "found the umbrella")]
    assert "umbrella" not in repr(gateway.sql("SELECT * FROM feedback"))


UNCLEAR = (b"[]", b"{", b'{"exchange":"x"}', b'{"exchange":"x","score":1}} ', b'{"a":1,"a":2}')


@pytest.mark.parametrize(("body", "status"), [*((body, 400) for body in UNCLEAR), (b"x" * 40_000, 413)])
def test_unclear_feedback_is_refused_on_the_data_plane(ada, body, status):
    assert ada._http.post("/v1/feedback", content=body).status_code == status


def test_feedback_wants_a_key_where_requests_do(gateway, ada):
    answer = httpx.post(f"{gateway.url}/v1/feedback", json={"exchange": "x", "score": 1}, trust_env=False, timeout=PATIENCE_S)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "missing_key")


def test_a_person_adds_feedback_by_command(gateway, ada):
    mine = ada.ask()
    gateway.awaited(f"SELECT 1 FROM exchanges WHERE id = '{mine}' AND state <> 'open'", 1)
    name = gateway.tollhouse("feedback", "add", "--exchange", mine, "--label", "good", "--by", "ann").strip()
    rows = gateway.awaited(f"SELECT who, source, label FROM feedback WHERE id = '{name}'", 1)
    assert rows == [{"who": "ann", "source": "person", "label": "good"}]
    with pytest.raises(StartError, match="unknown_exchange"):
        gateway.tollhouse("feedback", "add", "--exchange", "nothing", "--score", "1")


def test_show_opens_what_sql_cannot_and_says_who_read_it(gateway, ada):
    mine = ada.ask()
    gateway.awaited(f"SELECT 1 FROM exchanges WHERE id = '{mine}' AND state <> 'open'", 1)
    told = gateway.tollhouse("show", mine, "--why", "a complaint", "--by", "ann")
    assert ASKED in told
    assert "quite sunny" in told
    assert ASKED not in repr(gateway.sql("SELECT * FROM messages"))
    read = gateway.awaited(f"SELECT who, why FROM content_reads WHERE subject = '{mine}'", 1)
    assert read == [{"who": "ann", "why": "a complaint"}]


def test_an_erased_user_is_unreadable_also_in_a_backup_and_the_journal_still_proves_itself(gateway, ada, bob, tmp_path):
    hers, his = ada.ask(), bob.ask()
    gateway.awaited(f"SELECT 1 FROM exchanges WHERE id IN ('{hers}', '{his}') AND state <> 'open'", 2)
    backup = tmp_path / "journal"
    shutil.copytree(gateway.data / "journal", backup)
    done = json.loads(gateway.tollhouse("erase", "--tenant", "team:red", "--user", "ada", "--yes", "--json", "--why", "asked for"))
    assert len(done["keys"]) == 1
    assert "[erased]" in gateway.tollhouse("show", hers)
    assert ASKED not in gateway.tollhouse("show", hers)
    assert ASKED in gateway.tollhouse("show", his)
    assert gateway.awaited("SELECT * FROM erasures", 1)[0]["tenant"] == "team:red"
    kept = b"".join(path.read_bytes() for path in gateway.data.glob("data-keys.sqlite*"))
    sealed = b"".join(path.read_bytes() for path in backup.iterdir())
    assert done["keys"][0].encode() in sealed
    assert ASKED.encode() not in sealed + kept
    assert "SOUND" in gateway.tollhouse("verify", "--data", str(gateway.data))
    time.sleep(1.1)
    again = ada.ask()
    gateway.awaited(f"SELECT 1 FROM exchanges WHERE id = '{again}' AND state <> 'open'", 1)
    assert ASKED in gateway.tollhouse("show", again)


@pytest.mark.parametrize("named", ["--tenant team:rde", "--tenant team:red --user Ada", "--tenant agent:bot --json"])
def test_erasing_what_has_no_key_is_never_told_as_done(gateway, ada, named):
    mine = ada.ask()
    with pytest.raises(StartError, match="so none was dropped"):
        gateway.tollhouse("erase", *named.split(), "--yes")
    gateway.awaited(f"SELECT 1 FROM exchanges WHERE id = '{mine}' AND state <> 'open'", 1)
    assert ASKED in gateway.tollhouse("show", mine)


def test_a_gateway_without_its_master_key_does_not_start(tmp_path):
    settings = settings_for("http://127.0.0.1:9/v1", encryption={"keys": {"env": "NOT_SET_ANYWHERE"}})
    with pytest.raises(StartError, match="holds no master key"), RunningGateway(tmp_path, settings):
        pass
