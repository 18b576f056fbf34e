"""The long run, for some seconds: its agents are of every kind, and whatever they were answered is on record."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.bench.processes import ROOT


def test_a_short_soak_finds_every_exchange_on_record_and_tells_what_each_process_holds(tmp_path):
    figures = tmp_path / "figures.json"
    line = [sys.executable, "-m", "tests.bench.soak", "--minutes", "0.1", "--json", str(figures)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(figures.read_text())
    assert {"200", "400", "500", "502"} <= set(found["answered"])
    assert (found["missing"], found["chain"].split(":")[0]) == (0, "SOUND")
    first, *_, last = found["rows"]
    assert (first["requests"], last["requests"] > 50, last["worker"] >= first["worker"] > 20) == (0, True, True)
    assert f"on record: {found['exchanges']}, missing: 0" in done.stdout
