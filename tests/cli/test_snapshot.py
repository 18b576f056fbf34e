"""`tollhouse snapshot`: of a running gateway's book, of a file nobody holds, to a place that is named."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import httpx
import pytest
import typer
from typer.testing import CliRunner

from gateway.cli.snapshot import snapshot
from gateway.errors import GatewayError
from gateway.stores.duckdb import Ledger
from tests.patience import PATIENCE_S, until
from tests.ports import free_port

app = typer.Typer()
app.command("snapshot")(snapshot)


def run(*arguments: str) -> Path:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return Path(result.stdout.strip())


def boots(file: Path) -> int:
    con = duckdb.connect(str(file), read_only=True)
    try:
        return int(con.execute("SELECT count(*) FROM boots").fetchall()[0][0])
    finally:
        con.close()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    Ledger(folder / "ledger.duckdb").close()
    return folder


def test_without_a_gateway_it_is_made_of_the_file(data: Path, tmp_path: Path) -> None:
    made = run("--data", str(data))
    assert made.parent == data / "snapshots"
    assert boots(made) == 0
    assert run("--data", str(data), "--out", str(tmp_path / "book.duckdb")) == tmp_path / "book.duckdb"
    assert run("--data", str(data), "--out", str(tmp_path / "book.duckdb")) == tmp_path / "book.duckdb"
    assert boots(tmp_path / "book.duckdb") == 0
    assert (tmp_path / "book.duckdb").stat().st_mode & 0o077 == 0
    assert [each.name for each in tmp_path.iterdir()] == ["book.duckdb"]


def test_where_it_lies_is_told_as_json_too(data: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--data", str(data), "--out", str(tmp_path / "book.duckdb"), "--json"], catch_exceptions=False)
    assert json.loads(result.stdout) == {"path": str(tmp_path / "book.duckdb")}


def test_parquet_goes_into_a_new_folder_only(data: Path, tmp_path: Path) -> None:
    out = run("--data", str(data), "--parquet", "--out", str(tmp_path / "book"))
    assert (out / "exchanges.parquet").is_file()
    again = CliRunner().invoke(app, ["--data", str(data), "--parquet", "--out", str(out)])
    assert again.exit_code == 2
    assert "exists" in again.output


def test_nonsense_is_refused_with_what_to_say_instead(data: Path) -> None:
    refused = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["--data", str(data), "--since", "yesterday"])
    assert (refused.exit_code, "2026-11-01" in refused.output, "7d" in refused.output) == (2, True, True)


def test_a_span_before_now_bounds_it_as_elsewhere(data: Path, tmp_path: Path) -> None:
    assert run("--data", str(data), "--since", "7d", "--out", str(tmp_path / "week.duckdb")).is_file()


def test_what_is_no_snapshot_is_never_replaced_by_one(data: Path, tmp_path: Path) -> None:
    (tmp_path / "tollhouse.yaml").write_text("tollhouse: 1\n")
    refused = CliRunner().invoke(app, ["--data", str(data), "--out", str(tmp_path / "tollhouse.yaml")])
    assert (refused.exit_code, "exists" in refused.output) == (2, True)
    assert (tmp_path / "tollhouse.yaml").read_text() == "tollhouse: 1\n"


def test_a_place_where_nothing_can_be_written_is_said_before_anything_is_made(data: Path, tmp_path: Path) -> None:
    made = sorted((data / "snapshots").glob("*")) if (data / "snapshots").is_dir() else []
    refused = CliRunner().invoke(app, ["--data", str(data), "--out", str(tmp_path / "none" / "book.duckdb")])
    assert (refused.exit_code, "there is no folder" in refused.output) == (2, True)
    assert made == (sorted((data / "snapshots").glob("*")) if (data / "snapshots").is_dir() else [])


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """A data folder with a book at work on it that publishes each second and keeps one."""
    port = free_port()
    settings = tmp_path / "settings.json"
    settings.write_text('{"tollhouse": 1, "snapshots": {"every": 1, "keep": 1}}')
    command = [sys.executable, "-m", "gateway.book_process", "--data", str(tmp_path), "--port", str(port), "--settings", str(settings)]
    book = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    (tmp_path / "run.json").write_text(json.dumps({"pid": 1, "admin": f"http://127.0.0.1:{port}"}))
    until(lambda: httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE_S).status_code == 200, despite=httpx.HTTPError)
    yield tmp_path
    book.terminate()
    assert book.wait(PATIENCE_S) == 0


def test_a_running_gateway_publishes_now_and_then_and_when_it_is_asked(running: Path) -> None:
    latest = running / "snapshots" / "latest.duckdb"
    until(latest.exists)
    assert boots(latest) == 0
    mine = ("--data", str(running), "--out", str(running / "mine.duckdb"))
    made = until(lambda: run(*mine), despite=GatewayError)  # while the one that is due is being made
    assert boots(made) == 0
    assert len(list((running / "snapshots").glob("book-*.duckdb"))) <= 2
