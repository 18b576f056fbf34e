"""What pip makes of the sdist, beside what the lock names, in a folder where there is nothing else: everything that belongs to it is found.

The demo is played there by `test_no_network.py`."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.patience import until

ROOT = Path(__file__).parents[2]
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
READY_S = 60


@pytest.fixture
def begin(packages, tmp_path):
    """Begins Python in an empty folder, where nothing but the installation is found."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "COLUMNS": "120", "OPENAI_API_KEY": "sk-made-up-0000"}
    environment |= {"PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"TOLLHOUSE_LISTEN": "127.0.0.1:0", "TOLLHOUSE_ADMIN": "127.0.0.1:0", "TOLLHOUSE_WORKERS": "1"}

    def beginning(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-S", *arguments]  # without -S, the packages of this environment would be found as well
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return beginning


@pytest.fixture
def run(begin):
    def running(*arguments: str) -> str:
        with begin(*arguments) as program:
            said, _ = program.communicate(timeout=120)
        assert program.returncode == 0, said
        return said

    return running


def test_policies_queries_tables_views_and_templates_are_found_in_it(run):
    views, queries, templates = map(int, run("-c", PROGRAM).split())
    assert views > 40
    assert queries > 25
    assert templates > 5


def test_what_init_writes_is_checked_and_tested_there(run, packages, tmp_path):
    tollhouse = str(packages / "bin" / "tollhouse")
    run(tollhouse, "init")
    assert (tmp_path / "tollhouse.yaml").is_file()
    run(tollhouse, "policy", "check", "policies")
    assert "passed" in run(tollhouse, "policy", "test", "policies")


def test_a_saved_query_is_answered_there(begin, run, tmp_path):
    with begin("-m", "gateway.cli.main", "up", "--data", "data") as gateway:
        try:
            until(lambda: (tmp_path / "data" / "run.json").is_file() or gateway.poll() is not None, what="it starts")
            answer = run("-m", "gateway.cli.main", "sql", "--data", "data", "--saved", "tokens_by_model", "--format", "csv")
        finally:
            gateway.terminate()
            said, _ = gateway.communicate(timeout=60)
    assert gateway.returncode == 0, said
    assert answer.startswith("provider,model,exchanges,"), answer


def held(wheel: Path) -> dict[str, int]:
    """Each file with its CRC."""
    with zipfile.ZipFile(wheel) as archive:
        return {each.filename: each.CRC for each in archive.infolist()}


def test_a_wheel_of_this_tree_is_the_wheel_of_the_sdist(build, wheel, tmp_path):
    assert held(build("wheel", tmp_path)) == held(wheel)
    assert len(held(wheel)) > 500


def test_the_sdist_holds_every_file_of_the_project(sdist):
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode != 0:
        pytest.skip("not a checkout: nobody knows which files belong to it")
    with tarfile.open(sdist) as archive:
        there = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in tracked.stdout.splitlines() if (ROOT / name).exists()} - there == {".dockerignore", ".gitattributes"}
