"""A disk that is full, a cap that is reached, a disk that may not be written, a book that is stopped: the gateway refuses what it cannot
put on record, loses nothing, and goes on by itself.

`TOLLHOUSE_STOPPED` sets for how many seconds the book is stopped (default 3). The full disk is a small tmpfs, which only root may mount.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from gateway.errors import StartError
from gateway.heads_log import signing_key
from gateway.proof import prove
from tests.patience import PATIENCE_S, until

STOPPED_S = float(os.environ.get("TOLLHOUSE_STOPPED", "3"))
DISK = 24 * 1024 * 1024
RESIDENT_MORE = 64 * 1024 * 1024


@contextlib.contextmanager
def mounted(folder: Path, *how: str) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *how, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def readiness(url: str) -> dict[str, object]:
    answer = httpx.get(f"{url}/readyz", timeout=PATIENCE_S, trust_env=False)
    return {"status": answer.status_code, **answer.json()}


def check_book(gateway, kit, load) -> str:
    """Every answered request is on record, and every other was refused; the journal is sound."""
    rows = kit.settled(gateway, load.answered, ended=load.finished)
    assert load.asked == len(load.answered) + len(load.refused) + load.cut
    assert load.cut == 0
    assert not load.answered - rows.keys()
    assert {rows[one] for one in load.finished} <= {"complete", "denied"}
    gateway.stop()
    report = prove(gateway.data, signing_key(gateway.data).public_key(), None)
    assert (report.state, report.findings) == ("sound", [])
    return f"{load.asked} asked = {len(load.answered)} answered + {len(load.refused)} refused; {len(rows)} rows, {report.records} records"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")
def test_a_full_disk_refuses_within_a_second_and_goes_on_when_there_is_room(gateway_in, kit, tmp_path):
    with mounted(tmp_path / ".tollhouse", "-t", "tmpfs", "-o", f"size={DISK},mode=700", "tmpfs") as disk, gateway_in(workers=1) as gateway:
        load = kit.Load(gateway.url, clients=2)
        until(lambda: len(load.finished) > 5)
        filler = disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        full = time.monotonic()
        until(lambda: bool(load.refused))
        refused_after = time.monotonic() - full
        assert set(load.refused) == {"audit_unavailable"}
        found = until(lambda: (told := readiness(gateway.url))["status"] == 503 and told)  # what others give back may be taken meanwhile
        assert "No space left on device; free or repair the disk" in json.dumps(found["journal"])
        filler.unlink()
        until(gateway.ready)
        before = len(load.finished)
        until(lambda: len(load.finished) > before + 5)
        load.stop()
        print(f"full disk: refused after {refused_after:.2f} s;", check_book(gateway, kit, load))


def test_at_its_cap_the_journal_refuses_and_goes_on_when_segments_have_gone(gateway_in, kit, tmp_path):
    cap = 256 * 1024 * 1024  # far above what the load itself writes, however fast the machine is
    with gateway_in(workers=1, journal={"max_bytes": cap}) as gateway:
        load = kit.Load(gateway.url, clients=2, words=400)
        extra = gateway.data / "journal" / "other.log"
        until(lambda: len(load.finished) > 5)
        extra.touch()
        os.truncate(extra, cap)
        until(lambda: bool(load.refused))
        found = readiness(gateway.url)
        assert found["status"] == 503
        assert f"its cap is {cap}; raise journal.max_bytes" in json.dumps(found["journal"])
        extra.unlink()
        until(gateway.ready)
        before = len(load.finished)
        until(lambda: len(load.finished) > before)
        load.stop()
        print("cap:", check_book(gateway, kit, load))


def test_what_was_under_way_when_the_journal_refused_is_on_record_when_it_takes_records_again(gateway_in):
    cap = 256 * 1024 * 1024
    asked = "SELECT state, status, error_code, input_tokens, output_tokens, stream FROM exchanges ORDER BY stream"
    with gateway_in(workers=1, journal={"max_bytes": cap}) as gateway, httpx.Client(base_url=gateway.base_url, timeout=60) as client:

        def ask(stream: bool) -> httpx.Response:
            body = {"model": "slow", "stream": stream, "messages": [{"role": "user", "content": f"take your time, {stream}"}]}
            return client.post("/chat/completions", json=body)

        extra = gateway.data / "journal" / "other.log"
        with ThreadPoolExecutor(2) as both:
            answers = [both.submit(ask, stream) for stream in (False, True)]
            until(lambda: gateway.sql("SELECT id FROM exchanges WHERE state = 'open'"))  # the stream's
            extra.touch()
            os.truncate(extra, cap)
            whole, streamed = (each.result() for each in answers)
        assert (whole.status_code, whole.json()["error"]["code"]) == (503, "audit_unavailable")
        assert "audit_unavailable" in streamed.text
        assert '"finish_reason":"stop"' not in streamed.text
        assert readiness(gateway.url)["status"] == 503
        extra.unlink()
        until(lambda: len(rows := gateway.sql(asked)) == 2 and all(row["state"] != "open" for row in rows))
        found = gateway.sql(asked)
        assert [row["status"] for row in found] == [503, 200]
        assert {(row["state"], row["error_code"]) for row in found} == {("incomplete", "audit_unavailable")}
        assert all(row["input_tokens"] and row["output_tokens"] for row in found)
        said = gateway.sql("SELECT role, body FROM messages WHERE role = 'assistant'")
        assert "takes its time" in said[0]["body"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")
def test_a_data_folder_that_may_not_be_written_is_a_start_error(gateway_in, tmp_path):
    data = tmp_path / ".tollhouse"
    data.mkdir()
    with mounted(data, "--bind", str(data)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(data)], check=True)
        with pytest.raises(StartError, match="Read-only file system"):
            gateway_in().__enter__()


def resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_book_that_is_stopped_holds_nobody_up_and_catches_up(gateway_in, kit):
    with gateway_in(workers=1) as gateway:
        named = {kind: pids[0] for kind, pids in gateway.processes().items()}
        load = kit.Load(gateway.url, clients=24)
        until(lambda: len(load.finished) > 20)
        before, finished = resident(named["worker"]), len(load.finished)
        os.kill(named["book"], signal.SIGSTOP)
        time.sleep(STOPPED_S)
        meanwhile, grown = len(load.finished) - finished, resident(named["worker"]) - before
        os.kill(named["book"], signal.SIGCONT)
        load.stop()
        print(f"stopped for {STOPPED_S:g} s: {meanwhile} answers meanwhile, worker +{grown // 1024} KiB;", end=" ")
        assert meanwhile > 0
        assert grown < RESIDENT_MORE
        assert load.refused == []
        print(check_book(gateway, kit, load))
