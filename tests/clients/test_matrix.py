"""The matrix judges what clients did: what it lets pass and what it does not; and the table in README.md is of the clients it has."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.rehearsal import load

HERE = Path(__file__).parent
TOLD = "It was blocked and was NOT executed."
LOOKED_UP = ["look_up", {"city": "Bern"}]


@pytest.fixture(scope="module")
def matrix():
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("matrix", HERE / "matrix.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["matrix"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = before
    del sys.modules["matrix"]


@pytest.fixture
def client(matrix):
    return matrix.Client("chat", ("x==1",), lambda *_: [], loops=2)


@pytest.fixture
def program(matrix):
    return matrix.Client("chat", ("x==1",), lambda *_: [], program=True)


def said(*loops, code=0):
    told = json.dumps({"loops": {str(n): {"ran": ran, "text": text} for n, (ran, text) in enumerate(loops)}})
    return subprocess.CompletedProcess([], code, f"something before\n{told}\n", "")


GOOD = ([LOOKED_UP], "It is sunny in Bern.")
ENDED = ([], TOLD)


@pytest.mark.parametrize(("scene", "loop", "requests"), [("allowed", GOOD, 2), ("two_calls", GOOD, 3), ("denied", ENDED, 1)])
def test_a_round_as_it_should_be_is_nothing_wrong(matrix, client, scene, loop, requests):
    assert matrix.judged(client, scene, said(loop, loop), requests) == ""


@pytest.mark.parametrize(
    ("scene", "loop", "requests", "problem"),
    [
        ("allowed", ([], "It is sunny in Bern."), 2, "ran []"),
        ("allowed", ([LOOKED_UP, LOOKED_UP], "It is sunny in Bern."), 2, "ran [["),
        ("allowed", ([LOOKED_UP], ""), 2, "no 'It is sunny"),
        ("allowed", GOOD, 1, "1 requests"),
        ("two_calls", ([["delete_all", {"path": "/srv"}], LOOKED_UP], "It is sunny in Bern."), 2, "ran [['delete_all'"),
        ("two_calls", GOOD, 4, "4 requests"),
        ("denied", ([["delete_all", {"path": "/srv"}]], TOLD), 1, "ran [["),
        ("denied", ([], "never"), 1, "no 'NOT executed'"),
        ("denied", ENDED, 4, "4 requests"),
        ("denied", ENDED, 0, "0 requests"),
    ],
)
def test_one_loop_that_goes_wrong_is_told(matrix, client, scene, loop, requests, problem):
    fine = ENDED if scene == "denied" else GOOD
    assert matrix.judged(client, scene, said(fine, loop), requests).startswith(problem)


def test_a_steered_client_gets_the_model_s_next_answer_or_is_told(matrix, client):
    for words in (matrix.LEFT, TOLD):
        assert matrix.judged(client, "denied", said(([], words), ([], words)), 2, steer=True) == ""
    assert matrix.judged(client, "denied", said(([], matrix.LEFT), ([], "never")), 2, steer=True).startswith("no 'I was refused")
    assert matrix.judged(client, "denied", said(([], matrix.LEFT), ([], matrix.LEFT)), 2).startswith("no 'NOT executed'")


def test_what_a_steered_model_would_say_first_is_left_out_so_that_nothing_has_left(matrix, client):
    script = json.loads(matrix.script_for(client, steer=True))
    turns = {scene["model"]: scene["turns"] for scene in script["scenes"] if "model" in scene}
    assert "text" not in turns["*denied"][0]
    assert turns["*denied"][1] == {"text": matrix.LEFT}
    assert turns["*two_calls"][0]["text"]


def test_a_loop_that_is_missing_is_told(matrix, client):
    assert matrix.judged(client, "allowed", said(GOOD), 2) == "1 loops"


@pytest.mark.parametrize("stdout", ["", "It is sunny in Bern.", "[]", "null", '{"loops"', '{"ran": []}'])
def test_a_driver_without_a_report_fails_whatever_else_it_printed(matrix, client, stdout):
    assert matrix.judged(client, "allowed", subprocess.CompletedProcess([], 0, stdout, ""), 2) == "no report"


def test_an_exit_code_is_a_failure_whatever_was_said(matrix, client, program):
    assert matrix.judged(client, "allowed", said(GOOD, GOOD, code=3), 2) == "exit 3"
    assert matrix.judged(program, "denied", subprocess.CompletedProcess([], 1, TOLD, ""), 1) == "exit 1"


def test_a_program_must_say_how_it_ended(matrix, program):
    assert matrix.judged(program, "denied", subprocess.CompletedProcess([], 0, TOLD, ""), 1) == ""
    assert matrix.judged(program, "denied", subprocess.CompletedProcess([], 0, "", TOLD), 1) == "no 'NOT executed'"


def test_the_control_is_well_only_when_each_denied_call_was_seen_to_run(matrix):
    def outcome(two_calls, denied, allowed="ok"):
        return matrix.Outcome("c", "1", "chat", scenes={"allowed": allowed, "two_calls": two_calls, "denied": denied})

    assert matrix.expected(outcome("ok", "ok"), False)
    assert not matrix.expected(outcome("ok", "exit 1"), False)
    assert matrix.expected(outcome("file x was touched", "ran [[]]"), True)
    assert not matrix.expected(outcome("ok", "ran [[]]"), True)
    assert not matrix.expected(outcome("file x was touched", "ran [[]]", allowed="exit 1"), True)


def test_a_file_that_is_removed_or_written_shows_that_a_denied_call_ran(matrix, tmp_path):
    for name in ("a.txt", "x"):
        (tmp_path / name).write_text(matrix.BYSTANDER)
    assert matrix.touched(tmp_path) == ""
    (tmp_path / "x").write_text("y")
    assert matrix.touched(tmp_path) == "file x was touched"
    (tmp_path / "a.txt").unlink()
    assert matrix.touched(tmp_path) == "file a.txt was touched"


def test_every_clients_script_is_one_the_rehearsal_plays(matrix):
    for client in matrix.CLIENTS.values():
        script = load(matrix.script_for(client).encode(), "script")
        assert {f"*{scene}" for scene in client.scenes} <= {scene.model for scene in script.scenes}


def test_every_client_starts_something_that_is_there(matrix, tmp_path):
    for name, client in matrix.CLIENTS.items():
        command = client.command(tmp_path, "http://127.0.0.1:9", "th_a_b", "allowed")
        scripts = [Path(part) for part in command if part.endswith((".py", ".mjs"))]
        assert all(script.is_file() for script in scripts), name
        assert bool(scripts) != client.program, name


def test_the_readme_has_the_row_of_every_client_and_all_is_well(matrix):
    rows = re.findall(r"^\| (.+) \|$", (HERE / "README.md").read_text(), re.MULTILINE)
    table = {cells[0]: cells for cells in (row.split(" | ") for row in rows) if cells[0] in matrix.CLIENTS}
    assert list(table) == list(matrix.CLIENTS)
    for name, client in matrix.CLIENTS.items():
        assert table[name][1:3] == [matrix.version_of(client), client.dialect], name
        assert set(table[name][3:6]) <= {"ok", "ok (text)", "–"}, name
        assert table[name][7] == (client.note or "–"), name
