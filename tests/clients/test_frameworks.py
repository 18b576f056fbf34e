"""Agent frameworks as people install them, over every dialect they speak, unmodified but for base URL and key."""

import json
import os
import subprocess
from pathlib import Path

import pytest

FRAMEWORKS = ["agents", "langchain"]
LOOKED_UP = ["look_up", {"city": "Bern"}]


@pytest.fixture
def drive(framework_python, tap, key):
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}

    def run(framework: str, model: str) -> dict:
        command = [str(framework_python), str(Path(__file__).parent / f"drive_{framework}.py"), tap.url, key, model]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["loops"]

    return run


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_allowed_call_makes_the_whole_round(drive, framework):
    loops = drive(framework, "allowed")
    assert len(loops) == 4
    for name, loop in loops.items():
        assert loop == {"ran": [LOOKED_UP], "text": "It is sunny in Bern."}, name


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("model", ["denied", "denied-by-rule"])
def test_a_denied_call_becomes_our_text_and_a_normal_end(drive, tap, framework, model):
    for name, loop in drive(framework, model).items():
        assert loop["ran"] == [], name
        assert "NOT executed" in loop["text"], name
    assert b"MARK-" not in tap.received


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_of_two_calls_the_denied_one_disappears_and_the_other_runs(drive, tap, framework):
    for name, loop in drive(framework, "one-of-two").items():
        assert loop == {"ran": [LOOKED_UP], "text": "It is sunny in Bern."}, name
    assert b"MARK-" not in tap.received
