"""The tools people have, themselves, on a snapshot: DuckDB's command line, a notebook, an ADBC client, DuckDB over Parquet files."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from gateway import shipped
from gateway.question.snapshots import LATEST, Snapshots
from gateway.stores.duckdb import Ledger


@pytest.fixture(scope="module")
def snapshot(ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tools")
    Snapshots(folder).make(ledger, ledger.views())
    return folder / LATEST


def command_line() -> str | None:
    beside = Path(sys.executable).with_name("duckdb")
    return str(beside) if beside.exists() else shutil.which("duckdb")


@pytest.mark.skipif(command_line() is None, reason="DuckDB's command line is not installed: pip install duckdb-cli")
def test_duckdbs_command_line_opens_it_read_only(snapshot: Path) -> None:
    sql = "SELECT agent, sum(cost) AS usd FROM exchanges WHERE agent = 'coder' GROUP BY ALL"
    shown = subprocess.run([command_line() or "", "-readonly", "-csv", str(snapshot), sql], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stderr
    (row,) = csv.DictReader(io.StringIO(shown.stdout))
    assert row["agent"] == "coder"
    assert float(row["usd"]) > 0
    denied = subprocess.run(
        [command_line() or "", "-readonly", str(snapshot), "DELETE FROM calls"], capture_output=True, text=True, timeout=60
    )
    assert "read-only" in denied.stderr


def test_the_notebook_runs_from_its_first_cell_to_its_last(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="notebooks are not installed: pip install nbclient ipykernel")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel", reason="notebooks are not installed: pip install nbclient ipykernel")
    monkeypatch.setenv("TOLLHOUSE_SNAPSHOT", str(snapshot))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    notebook = nbformat.read(shipped.folder("traces") / "notebooks" / "the_book.ipynb", as_version=4)
    done = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = [output for cell in done.cells for output in cell.get("outputs", ())]
    shown = "".join(str(output["data"]["text/plain"]) for output in outputs if output["output_type"] == "execute_result")
    assert "300" in shown
    assert "bank" not in shown
    assert "gateway_p99_ms" in shown


def test_an_adbc_client_reads_it_as_arrow(snapshot: Path) -> None:
    """ADBC is to Arrow what JDBC is to Java: dbt, Polars, R and Go speak it. The driver is DuckDB's own library."""
    manager = pytest.importorskip("adbc_driver_manager.dbapi", reason="ADBC is not installed: pip install adbc-driver-manager")
    driver = pytest.importorskip("adbc_driver_duckdb")
    options = {"path": str(snapshot), "entrypoint": "duckdb_adbc_init", "access_mode": "READ_ONLY"}
    with manager.connect(driver=driver.driver_path(), db_kwargs=options) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT rule, count(*) AS hits FROM rule_hits GROUP BY ALL ORDER BY rule")
        assert cursor.fetch_arrow_table().to_pylist() == [{"rule": "r0", "hits": 150}, {"rule": "r1", "hits": 150}]


def test_anything_that_reads_parquet_reads_the_folder(ledger: Ledger, tmp_path: Path) -> None:
    made = Snapshots(tmp_path / "snapshots").make(ledger, ledger.views(), parquet=True)
    con = duckdb.connect(":memory:")
    exchanges, calls = (f"'{made.path}/{name}.parquet'" for name in ("exchanges", "calls"))
    sql = f"SELECT e.agent, count(*) FROM {exchanges} e JOIN {calls} c ON c.exchange_id = e.id GROUP BY 1"
    assert sum(count for _, count in con.execute(sql).fetchall()) == 300
    con.close()


@pytest.mark.parametrize("notebook", sorted((shipped.folder("traces") / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_is_shipped_without_outputs(notebook: Path) -> None:
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells
    assert [(cell["outputs"], cell["execution_count"]) for cell in cells] == [([], None)] * len(cells)
