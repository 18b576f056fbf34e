"""Files that cannot be used keep their bytes."""

from __future__ import annotations

from pathlib import Path

from gateway.stores.setting_aside import set_aside


def test_files_set_aside_at_the_same_moment_all_keep_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    for number in range(20):
        path.write_text(f"file {number}")
        path.with_name("ledger.duckdb.wal").write_text(f"log {number}")
        set_aside(path, "a test")
    kept = {file.read_text() for file in tmp_path.iterdir()}
    assert kept == {f"{kind} {number}" for kind in ("file", "log") for number in range(20)}


def test_a_log_without_its_file_is_kept_too(tmp_path: Path) -> None:
    (tmp_path / "ledger.duckdb.wal").write_text("log")
    set_aside(tmp_path / "ledger.duckdb", "a test")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["log"]
