"""The ledger's bench says what it promises to say, for a few exchanges."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.stores.duckdb import Ledger
from gateway.web.queries import read_all

BENCH = Path(__file__).with_name("ledger.py")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, str(BENCH), *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1), done.stderr  # 1: something misses what is wanted, which is for people to judge
    return done


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The data of a run, and what it said."""
    folder = tmp_path_factory.mktemp("kept")
    done = run("--exchanges", "300", "--times", "3", "--json", "--keep", str(folder))
    return folder, json.loads(done.stdout)


def test_every_saved_query_is_asked_and_finds_something(kept: tuple[Path, dict[str, Any]]) -> None:
    _, found = kept
    assert found["intake"]["made"] == 300
    assert found["intake"]["per_s"] > 0
    assert found["intake"]["request_kb_each"] > 1
    assert "ledger.duckdb" in found["intake"]["files_mb"]
    assert [each["exchanges"] for each in found["standing"]] == [300, 900]
    for each in found["standing"]:
        assert each["queries"].keys() == read_all().keys()
        empty = {name for name, seen in each["queries"].items() if not seen["rows"] or "refused" in seen}
        assert empty <= {"runaway_agents", "prompt_drift", "experiment_results"}  # too few to run away or to compare; no experiment runs


def test_data_that_are_there_are_asked_and_judged_and_not_written_again(kept: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = kept
    again = run("--keep", str(folder))
    lines = {line.split()[0]: line for line in again.stdout.splitlines() if line.startswith("  ")}
    assert all("holds" in lines[name] or "MISSES" in lines[name] for name in read_all())
    assert "900 exchanges in the ledger" in again.stderr
    assert "intake" not in again.stdout


def test_a_copied_exchange_has_copied_messages(kept: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = kept
    ledger = Ledger(folder / "ledger.duckdb")
    keys = [row[0] for row in ledger.query("SELECT id FROM exchanges ORDER BY id", 1000).rows]
    assert len(set(keys)) == 900
    for key in keys[::90]:
        parts = ledger.query(read_all()["exchange"].sql, 1000, {"id": key}).rows
        said = [part for part in parts if part[2] == "message"]
        assert said
        assert all(part[6] for part in said), key
    ledger.close()


def test_more_is_applied_to_a_ledger_that_is_there_and_timed(kept: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = kept
    found = json.loads(run("--keep", str(folder), "--more", "50", "--json").stdout)
    assert "intake" not in found
    assert found["more"]["made"] == 50
    assert found["more"]["per_cpu_s"] > 0
    ledger = Ledger(folder / "ledger.duckdb")
    assert ledger.query("SELECT count(*) FROM exchanges", 1).rows[0][0] == 950
    ledger.close()
