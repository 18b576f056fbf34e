"""The bench's own parts: a wrong answer is a failure, a peer that is absent says why, regressions are told as ratios."""

import http.server
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gateway.errors import StartError
from tests.bench import measure, processes, report
from tests.bench.peers import installing
from tests.bench.peers.subject import START_S, Subject
from tests.patience import until

ROOT = Path(__file__).resolve().parents[2]


def bench(*arguments, module="tests.bench", **environment):
    line = [sys.executable, "-m", module, *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, env=os.environ | environment, timeout=120)


class Refusing(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(500)
        self.send_header("content-length", "4")
        self.end_headers()
        self.wfile.write(b"nope")

    def log_message(self, *_):
        """Says nothing."""


@pytest.fixture
def refusing():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


def test_an_answer_that_is_not_the_providers_counts_as_a_failure(refusing):
    done = bench("--port", str(refusing), "--seconds", "0.2", module="tests.bench.load")
    seen = json.loads(done.stdout)
    assert (seen["requests"], seen["first_failure"]) == (0, "500 nope")
    assert seen["failures"] > 0


def test_what_is_passed_on_unchanged_is_measured():
    """The bare relay passes every kind of answer on; nginx is not on the PATH of this run."""
    done = bench("--peers", "relay,nginx", "--rounds", "1", "--seconds", "0.3", "--held", "7", "--json", "-", PATH="")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report["scenarios"]) == {"2 KB", "60 KB", "tool call", "one at a time", "stream, burst", "stream, paced"}
    for seen in report["scenarios"].values():
        assert seen["relay"]["per_s"] > 0
        assert seen["direct"]["per_s"] > 0
    assert report["held"]["relay"]["streams"] == 7
    assert "apt-get install nginx" in report["absent"]["nginx"]
    assert report["peers"] == {"relay": "of this commit"}
    assert report["environment"]["cores"] == os.cpu_count()


def test_a_peer_that_nobody_knows_is_refused_with_those_there_are():
    done = bench("--peers", "tollhouse,apache")
    assert done.returncode == 2
    assert "no such peer: apache; there are tollhouse, relay, nginx" in done.stderr


def test_curves_are_told_as_tables_and_as_figures(tmp_path):
    file = tmp_path / "figures.json"
    line = ("streams", "workers", "--most", "1", "--rounds", "1", "--seconds", "0.3", "--json", str(file))
    done = bench(*line, module="tests.bench.curves")
    assert done.returncode == 0, done.stderr
    assert [row.split()[:2] for row in done.stdout.splitlines() if row.startswith("1 ")] == [["1", "streams"], ["1", "workers"]]
    assert all(json.loads(file.read_text())[curve]["1"]["workers_us"] > 0 for curve in ("streams", "workers"))


def test_a_curve_that_nobody_knows_is_refused_with_those_there_are():
    done = bench("wings", module="tests.bench.curves")
    assert done.returncode == 2
    assert "no such curve: wings; there are conversation, rules" in done.stderr


def test_what_is_not_installed_says_how_to_get_it_and_what_cannot_be_had_says_why(tmp_path):
    peers = "litellm,mlflow,tensorzero,envoy,portkey,bifrost,otari,agentgateway"
    line = ("--peers", f"relay,{peers}", "--scenarios", "2 KB", "--rounds", "1", "--seconds", "0.2", "--held", "0", "--json", "-")
    done = bench(*line, TOLLHOUSE_BENCH_PEERS=str(tmp_path))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report["absent"]) == set(peers.split(","))
    assert report["absent"]["mlflow"] == "not installed; python -m tests.bench --install mlflow"
    assert "container image" in report["absent"]["otari"]


def test_what_cannot_be_had_is_not_taken_for_installed(tmp_path):
    done = bench("--install", "relay,bifrost", TOLLHOUSE_BENCH_PEERS=str(tmp_path))
    assert done.returncode == 1
    assert "relay is here" in done.stderr
    assert "bifrost cannot be had here: its npm package holds no gateway" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_cannot_be_installed_is_told_by_the_command_that_failed(tmp_path, monkeypatch):
    monkeypatch.setenv("TOLLHOUSE_BENCH_PEERS", str(tmp_path))
    monkeypatch.setattr(installing.sys, "executable", shutil.which("false"))
    with pytest.raises(StartError, match=r"false -m venv .*nothing' ended with code 1"):
        installing.FromPypi("nothing", "nothing", "nothing").install()
    assert installing.FromPypi("nothing", "nothing", "nothing").absent() == "not installed; python -m tests.bench --install nothing"


# -- targets ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def targets():
    spec = importlib.util.spec_from_file_location("targets", Path(__file__).with_name("targets.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report_of(times, relay=20.0):
    """A report in which the gateway takes so many times the relay's CPU in every scenario."""
    floor = {"workers_us": relay}
    return {"scenarios": {name: {"tollhouse": {"workers_us": many * relay}, "relay": floor} for name, many in times.items()}}


def test_within_the_bounds_nothing_is_said(targets):
    assert targets.regressions(report_of({bound.scenario: bound.most for bound in targets.BOUNDS})) == []


def test_beyond_a_bound_the_ratio_is_told_on_any_machine(targets):
    for bound in targets.BOUNDS:
        times = {each.scenario: each.most for each in targets.BOUNDS} | {bound.scenario: bound.most * 1.1}
        for relay in (5.0, 500.0):
            [line] = targets.regressions(report_of(times, relay))
            assert line.startswith(f"{bound.scenario}: {bound.most * 1.1:.1f} times")


def test_a_core_is_counted_with_all_processes_and_compared_as_times(targets):
    cpu = {"tollhouse": 400.0, "litellm": 10_000.0, "idle": 0.0}
    report = {"scenarios": {"2 KB": {name: {"cpu_us": us, "workers_us": 1.0} for name, us in cpu.items()}}}
    assert targets.per_core(report, "2 KB", "tollhouse") == 2500
    assert targets.times(report, "2 KB", "litellm") == 25
    assert targets.times(report, "2 KB", "idle") is None
    assert targets.times(report, "2 KB", "nobody") is None


def test_what_was_not_measured_is_no_success(targets):
    assert len(targets.regressions({"scenarios": {}})) == len(targets.BOUNDS)


def test_targets_without_figures_are_not_kept(targets):
    empty = {"scenarios": {}, "idle": {}, "held": {}, "cold": {}}
    assert [target.measured(empty) for target in targets.TARGETS] == [None] * len(targets.TARGETS)


@pytest.fixture
def deaf():
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Subject("deaf", server.getsockname()[1], lambda: {"workers": [os.getpid()]})


def test_a_subject_that_takes_no_streams_is_told_after_a_while_with_the_reason(deaf, monkeypatch):
    monkeypatch.setattr(measure, "STAND_S", 1)
    assert measure.held_or_why(deaf, 3) == {"failed": "none of 3 streams began within 1 s"}


def test_a_subject_that_is_gone_fails_alone(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        gone = Subject("gone", server.getsockname()[1], lambda: {"workers": [os.getpid()]})
    monkeypatch.setattr(measure, "START_S", 20)
    assert "said nothing" in measure.held_or_why(gone, 3)["failed"]
    empty = {"cold": {"gone": {"seconds": 1.0}}, "idle": {"gone": {}}, "after": {"gone": {}}, "held": {"gone": {"failed": "why"}}}
    assert "gone holds no streams: why" in report._standing(empty)


def test_what_a_subject_has_started_ends_with_it():
    begins = "import subprocess, sys, time; print(subprocess.Popen(['sleep', '600']).pid, flush=True); time.sleep(600)"
    with processes.running([sys.executable, "-c", begins]) as process:
        begun = int(processes.line_within(process, START_S))
        assert processes.started(begun)
    until(lambda: not processes.started(begun), what="its child has ended")
