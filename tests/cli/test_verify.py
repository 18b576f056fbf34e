"""`tollhouse verify`: what it says and how it ends, for people and for programs."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner, Result

from gateway.book import Book
from gateway.cli.verify import verify
from gateway.journal import Journal
from gateway.notary import Notary
from gateway.storage_settings import Heads
from gateway.stores.memory import MemoryStore
from gateway.trace.heads import public_text
from gateway.trace.policy_rows import PolicyRow
from gateway.trace.record import Booted, PolicyLoaded

START_US = 1_790_000_000_000_000
RUN, BOOT = "1" * 32, "2" * 32

app = typer.Typer()
app.command("verify")(verify)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"

    async def write() -> None:
        first = lambda: Booted(RUN, 0, BOOT, START_US)  # noqa: E731
        journal = Journal(folder / "journal", run=RUN, slot=0, boot=BOOT, durability="interval", first=first)
        for n in range(5):
            await journal.append(PolicyLoaded(PolicyRow(f"{n}", START_US + n)))
        await journal.close()

    asyncio.run(write())
    notary = Notary(folder, folder / "journal", Heads(to=f"file:{tmp_path}/second"), lambda: START_US)
    stop = threading.Event()
    stop.set()
    Book(folder / "journal", MemoryStore, notary=notary).run(stop)
    return folder


def run(data: Path, *more: str) -> Result:
    return CliRunner().invoke(app, ["--data", str(data), *more], catch_exceptions=False)


def test_a_sound_journal_ends_with_0_and_says_what_was_not_compared(data: Path) -> None:
    result = run(data)
    assert result.exit_code == 0
    assert "SOUND: 6 records in 1 segments, 6 of them signed (2 lines of heads)" in result.stdout
    assert "no second place was compared (--heads)" in result.stdout
    assert "the key was taken from the data folder" in result.stdout


@pytest.mark.parametrize("written", ["{}", "file:{}"], ids=["a path", "as the settings write it"])
def test_with_key_and_second_place_there_is_nothing_to_note(data: Path, tmp_path: Path, written: str) -> None:
    key = run(data, "--show-key").stdout.strip()
    result = run(data, "--public-key", key, "--heads", written.format(tmp_path / "second"))
    assert (result.exit_code, result.stdout.count("note:")) == (0, 0)


def test_a_broken_journal_ends_with_1_and_names_segment_offset_record_and_times(data: Path) -> None:
    (path,) = (data / "journal").glob("*.log")
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b'"hash":"3"', b'"hash":"4"'))
    result = run(data)
    assert result.exit_code == 1
    assert f"changed: {path.name}, offset " in result.stdout
    times = "after 2026-09-21 14:13:20.000002 UTC, before 2026-09-21 14:13:20.000004 UTC"
    assert f"record 4: the bytes are not those that were written ({times})" in result.stdout
    assert "BROKEN in 1 places" in result.stdout


def test_json_holds_the_same(data: Path) -> None:
    (path,) = (data / "journal").glob("*.log")
    assert json.loads(run(data, "--json").stdout)["state"] == "sound"
    path.write_bytes(path.read_bytes().replace(b'"hash":"3"', b'"hash":"4"'))
    found = json.loads(run(data, "--json").stdout)
    assert (found["state"], found["findings"][0]["kind"], found["findings"][0]["record"]) == ("broken", "changed", 4)


def test_without_heads_or_key_it_ends_with_2(data: Path) -> None:
    (data / "heads.log").unlink()
    result = run(data)
    assert result.exit_code == 2
    assert "CANNOT TELL" in result.stdout
    (data / "signing.key").unlink()
    assert "give --public-key" in run(data).stdout
    assert not (data / "signing.key").exists()


def test_a_place_that_cannot_be_read_or_holds_nonsense_ends_with_2(data: Path, tmp_path: Path) -> None:
    for place in (str(tmp_path / "nowhere"), "s3://bucket/prefix"):
        more = ["--endpoint", "http://127.0.0.1:9", "--region", "us-east-1"] if place.startswith("s3") else []
        result = run(data, "--heads", place, *more)
        assert (result.exit_code, "cannot tell:" in result.stderr) == (2, True)
    second = tmp_path / "second"
    second.write_bytes(second.read_bytes().replace(b'"n":1', b'"n":2'))
    assert "a line of" in run(data, "--heads", str(second)).stderr


def test_a_second_place_with_two_histories_ends_with_2(data: Path, tmp_path: Path) -> None:
    notary = Notary(tmp_path, data / "journal", Heads(), lambda: 1)
    notary.close()
    (tmp_path / "signing.key").write_bytes((data / "signing.key").read_bytes())
    (tmp_path / "heads.log").unlink()
    Notary(tmp_path, data / "journal", Heads(to=f"file:{tmp_path}/second"), lambda: 1).close()
    assert "the heads of two histories" in run(data, "--heads", str(tmp_path / "second")).stderr


def test_a_replaced_key_is_found_by_the_public_key(data: Path) -> None:
    other = public_text(Ed25519PrivateKey.generate().public_key())
    assert run(data, "--public-key", other).exit_code == 1


def test_a_key_that_is_none_is_refused_with_what_to_give(data: Path) -> None:
    result = run(data, "--public-key", "abc")
    assert result.exit_code == 2
    assert "--show-key" in result.stderr


def test_a_folder_without_a_journal_ends_with_2_and_says_what_to_name(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["--data", str(tmp_path)])
    assert (done.exit_code, f"there is no journal in {tmp_path}; name the data folder with --data" in done.output) == (2, True)
