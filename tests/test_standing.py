"""What somebody should see to, from what the planes of a gateway say of themselves."""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gateway.errors import StartError
from gateway.standing import addresses, readiness, troubles

WELL = {
    "ready": True, "observing": False, "policy": {"problems": []}, "prompts": {"problems": []}, "journal": {"healthy": True},
    "state": {"healthy": True, "problem": None}, "routes": [],
}  # fmt: skip
READ = {"ready": True, "lag_bytes": 0, "records": 3, "problem": None, "quarantined": {}, "warnings": [], "counters": {}}
TARGET = {"target": "eu/m", "state": "closed", "opens_in_s": 0, "rests_s": 0, "last_fault": None, "last_fault_s_ago": None}


def told(worker=None, book=None):
    return [(each.level, each.about, each.said) for each in troubles(WELL | (worker or {}), READ | (book or {}))]


def test_where_all_is_well_there_is_nothing_to_see_to():
    assert told() == []
    assert told({"routes": [{"models": ["m"], "targets": [TARGET]}]}) == []


@pytest.mark.parametrize(
    ("worker", "book", "said"),
    [
        ({"policy": {"problems": ["p/a.yaml:5:3: no such key"]}}, {}, ("error", "policies", "p/a.yaml:5:3: no such key")),
        ({"prompts": {"problems": ["q.md:1:1: x"]}}, {}, ("error", "prompts", "q.md:1:1: x")),
        ({"journal": {"healthy": False, "problem": "no space"}}, {}, ("error", "journal", "no space")),
        ({"state": {"healthy": False, "problem": "redis is gone"}}, {}, ("error", "state", "redis is gone")),
        ({"error": "no answer"}, {}, ("error", "data plane", "no answer")),
        ({}, {"problem": "disk", "ready": False}, ("error", "book", "disk")),
        ({}, {"ready": False, "lag_bytes": 7}, ("warning", "book", "it is 7 bytes behind the journal, and reads on")),
        ({}, {"ready": False, "quarantined": {"s": "at 9"}}, ("error", "journal", "s is not read any further: at 9")),
        ({}, {"warnings": ["shorter"]}, ("warning", "book", "shorter")),
        ({}, {"counters": {"policy_error": 4}}, ("warning", "counters", "4 calls were denied because a policy could not be evaluated")),
    ],
)
def test_each_thing_that_is_wrong_is_told_once(worker, book, said):
    assert told(worker, book) == [said]


def test_a_provider_that_rests_is_told():
    open_ = TARGET | {"state": "open", "opens_in_s": 12.5, "last_fault": "503", "last_fault_s_ago": 3}
    resting = TARGET | {"state": "resting", "rests_s": 2}
    found = told({"routes": [{"models": ["m"], "targets": [open_, TARGET, resting]}]})
    assert [each[:2] for each in found] == [("warning", "providers"), ("warning", "providers")]
    assert found[0][2] == "eu/m is open for 12.5 s; last 503 3 s ago"


def test_every_trouble_says_what_to_do_or_is_a_note():
    ill = troubles(WELL | {"journal": {"healthy": False}}, READ | {"quarantined": {"s": "d"}})
    found = [*troubles({"error": "x"}, {}), *ill]
    assert found
    assert all(each.do for each in found)


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"listen": "x"}', '"x"'])
def test_where_no_gateway_is_said_to_run_there_is_no_address(tmp_path, text):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    assert addresses(tmp_path) is None
    (tmp_path / "run.json").write_text('{"listen": "a", "admin": "b"}')
    assert addresses(tmp_path) == {"listen": "a", "admin": "b"}


def test_who_may_not_read_the_folder_is_not_told_that_nothing_runs(tmp_path):
    (tmp_path / "run.json").write_text('{"listen": "a", "admin": "b"}')
    (tmp_path / "run.json").chmod(0)
    me = os.geteuid()
    try:
        if me == 0:
            os.seteuid(65534)
        with pytest.raises(StartError, match="is not yours to read; run this as the gateway's user"):
            addresses(tmp_path)
    finally:
        os.seteuid(me)


@pytest.mark.parametrize("body", [b"no json", b"[1]", b"7"])
def test_whoever_answers_otherwise_is_not_ready(body):
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    found = readiness(url)
    server.shutdown()
    server.server_close()
    assert found["ready"] is False
    assert url in json.dumps(found)
    assert readiness(url)["ready"] is False
