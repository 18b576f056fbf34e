"""The wheel, installed beside what the lock names, in a folder where there is nothing else: everything that belongs to it is found.

The demo is played there by `test_no_network.py`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
from pathlib import Path
from gateway.shipped import folder
from gateway.policy_folder import load_folder
from gateway.stores.opening import open_ledger
import gateway
home = Path(gateway.__file__).parent
assert "packages" in str(home), home
for name in ("policies", "traces", "deploy"):
    assert folder(name).is_dir() and home in folder(name).parents, folder(name)
assert len(load_folder(folder("policies") / "starter").policies) >= 1
views = "SELECT count(*) FROM duckdb_views() WHERE database_name = 'ledger'"
print(open_ledger(Path("ledger.duckdb")).execute(views).fetchall()[0][0])
print(len(list((folder("traces") / "queries").glob("*.sql"))), len(list((home / "face").rglob("*.html"))))
"""


@pytest.fixture
def run(packages, tmp_path):
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "COLUMNS": "120"}
    environment |= {"PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"}

    def running(*arguments: str) -> str:
        command = [sys.executable, "-S", *arguments]  # without -S, the packages of this environment would be found as well
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return running


def test_policies_queries_tables_views_and_templates_are_found_in_it(run):
    views, queries, templates = map(int, run("-c", PROGRAM).split())
    assert views > 40
    assert queries > 25
    assert templates > 5


def test_what_init_writes_is_checked_and_tested_there(run, tmp_path):
    run("-m", "gateway.cli.main", "init")
    assert (tmp_path / "tollhouse.yaml").is_file()
    run("-m", "gateway.cli.main", "policy", "check", "policies")
    assert "passed" in run("-m", "gateway.cli.main", "policy", "test", "policies")
