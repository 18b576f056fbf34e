"""The book as a process, its ledger a lake: from the journal to an answer of the admin plane."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.config import Settings
from gateway.ledger_place import LakePlace
from tests.patience import PATIENCE_S, until
from tests.ports import free_port


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def process(tmp_path: Path, lake_place: LakePlace, port: int) -> Iterator[subprocess.Popen[bytes]]:
    settings = tmp_path / "settings.json"
    settings.write_text(Settings(ledger=f"ducklake:postgres:{lake_place.catalogue};data={lake_place.data}").model_dump_json())
    command = [sys.executable, "-m", "gateway.book_process", "--data", str(tmp_path), "--port", str(port), "--settings", str(settings)]
    with (tmp_path / "log").open("wb") as log:
        started = subprocess.Popen(command, stdout=log, stderr=log)
    yield started
    started.kill()
    started.wait()


def asked(client: httpx.Client, sql: str) -> list[list[Any]]:
    answer = client.post("/sql", json={"sql": sql})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["rows"])


def test_a_book_brings_its_journal_into_the_lake_and_answers_from_it(
    process: subprocess.Popen[bytes], port: int, tmp_path: Path, make: Any, postgres: Any, lake_place: LakePlace
) -> None:
    segment = make.segment()
    make.write(tmp_path / "journal", segment, [make.booted(segment), make.opened(1), make.ended(2), make.ended(3, cost="0.5")])
    url = f"http://127.0.0.1:{port}"
    until(lambda: ready(url) or process.poll() is not None, what=(tmp_path / "log").read_text)
    assert process.poll() is None, (tmp_path / "log").read_text()
    headers = {"authorization": f"Bearer {(tmp_path / 'admin.token').read_text().strip()}"}
    with httpx.Client(base_url=url, headers=headers, timeout=PATIENCE_S) as client:
        assert asked(client, "SELECT state, count(*), sum(cost) FROM exchanges GROUP BY ALL ORDER BY 1") == [
            ["complete", 2, "0.500012345"], ["open", 1, None],
        ]  # fmt: skip
        assert client.get("/queries/tools_seen").status_code == 200
    process.terminate()
    assert process.wait(PATIENCE_S) == 0
    assert not list(tmp_path.glob("*.duckdb"))
    database = lake_place.catalogue.split()[0].partition("=")[2]
    left = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'tollhouse%' AND datname = current_database()"
    until(lambda: postgres.ask(left, database) == "0", what="the server has noticed that its sessions ended")
    for file in ("log", "settings.json", "node"):
        assert postgres.PASSWORD not in (tmp_path / file).read_text()
    assert postgres.PASSWORD in os.environ["PGPASSWORD"]


def ready(url: str) -> bool:
    try:
        told = httpx.get(f"{url}/readyz", timeout=PATIENCE_S)
    except httpx.HTTPError:
        return False
    return bool(told.status_code == 200 and told.json()["records"] == 4)
