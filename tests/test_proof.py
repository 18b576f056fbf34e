"""A journal is proven, and whatever is done to it afterwards is found: by its chains, by its heads, by the heads in a second place."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway import proof
from gateway.book import Book
from gateway.heads_log import HeadsLog, lines_of, signing_key
from gateway.journal import Journal
from gateway.notary import Notary
from gateway.proof import Report, prove
from gateway.storage_settings import Heads
from gateway.stores.memory import MemoryStore
from gateway.trace import frames, record
from gateway.trace.frames import HEADER_BYTES, Frame, Parts
from gateway.trace.heads import Head
from gateway.trace.policy_rows import PolicyRow
from gateway.trace.record import Booted, PolicyLoaded

START_US = 1_790_000_000_000_000
RUN = f"{1:032x}"


def note(n: int) -> PolicyLoaded:
    return PolicyLoaded(PolicyRow(hash=f"note {n}", loaded_us=START_US + n))


def write_boot(folder: Path, boot: int, count: int, *, run: str = RUN, slot: int = 0) -> None:
    async def write() -> None:
        name = f"{boot:032x}"
        first = lambda: Booted(run, slot, name, START_US)  # noqa: E731
        journal = Journal(folder, run=run, slot=slot, boot=name, durability="interval", first=first, max_segment_bytes=700)
        for n in range(count):
            await journal.append(note(n))
        await journal.close()

    asyncio.run(write())


def sign(data: Path, *, now_us: int = START_US + 10**9) -> None:
    """A book reads everything there is and ends."""
    notary = Notary(data, data / "journal", Heads(), lambda: now_us)
    stop = threading.Event()
    stop.set()
    Book(data / "journal", MemoryStore, notary=notary).run(stop)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two boots of one worker and one of another, several segments each, signed to the end."""
    data = tmp_path_factory.mktemp("made")
    write_boot(data / "journal", 1, 20)
    sign(data)
    write_boot(data / "journal", 2, 20)
    write_boot(data / "journal", 3, 20, slot=1)
    sign(data)
    return data


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "data"))


def proven(data: Path, second: dict[int, bytes] | None = None) -> Report:
    return prove(data, signing_key(data).public_key(), second)


def files(data: Path, boot: int = 1) -> list[Path]:
    return sorted((data / "journal").glob(f"*-{boot:032x}-*.log"))


def raws(path: Path) -> list[bytes]:
    data, offset, found = path.read_bytes(), 0, []
    while offset < len(data):
        one = frames.frame_at(data, offset, None)
        assert isinstance(one, Frame)
        found.append(data[offset : one.end])
        offset = one.end
    return found


def rewrite(paths: list[Path], change: Callable[[list[Parts]], list[Parts]]) -> None:
    """What somebody who may write everything does: changes the records of the first file and computes the chain anew to the last."""
    head = raws(paths[0])[0][8:HEADER_BYTES]
    for number, path in enumerate(paths):
        found = [parts for _, parts in frames.scan(path.read_bytes(), 0, None).payloads]
        made = []
        for parts in change(found) if number == 0 else found:
            raw, head = frames.frame(head, parts)
            made.append(raw)
        path.write_bytes(b"".join(made))


def test_what_nobody_touched_is_sound_to_the_last_record(data: Path) -> None:
    report = proven(data)
    assert (report.state, report.findings, report.unsigned) == ("sound", [], 0)
    assert report.signed == report.records >= 60 + report.segments
    assert report.segments > 9


def test_a_changed_byte_is_found_in_any_segment(data: Path) -> None:
    for path in (data / "journal").glob("*.log"):
        kept = path.read_bytes()
        path.write_bytes(kept[:100] + bytes([kept[100] ^ 1]) + kept[101:])
        (finding,) = proven(data).findings
        assert (finding.kind, finding.segment, finding.record) == ("changed", path.name, 0)
        path.write_bytes(kept)


def test_a_record_taken_out_is_found_at_its_place(data: Path) -> None:
    path = files(data)[1]
    made = raws(path)
    path.write_bytes(b"".join(made[:2] + made[3:]))
    (finding,) = proven(data).findings
    assert (finding.kind, finding.segment, finding.record, finding.offset) == ("chain", path.name, 2, len(b"".join(made[:2])))
    assert (finding.before_us or 0) < (finding.after_us or 0)


def test_a_tail_that_is_cut_is_found_with_the_number_of_records(data: Path) -> None:
    path = files(data, 2)[-1]
    made = raws(path)
    path.write_bytes(b"".join(made[:-2]))
    (finding,) = proven(data).findings
    assert (finding.kind, finding.segment, finding.record) == ("cut", path.name, len(made) - 2)
    assert "2 records are missing" in finding.text


def test_a_tail_that_is_cut_in_the_middle_of_a_boot_breaks_the_next_segment_too(data: Path) -> None:
    first, second = files(data)[:2]
    first.write_bytes(b"".join(raws(first)[:-1]))
    assert [(each.kind, each.segment) for each in proven(data).findings] == [("cut", first.name), ("chain", second.name)]


@pytest.mark.parametrize("number", [0, 1, -1])
def test_a_segment_that_is_removed_is_found_whichever_it_is(data: Path, number: int) -> None:
    path = files(data)[number]
    path.unlink()
    (finding,) = proven(data).findings
    assert (finding.kind, finding.segment) == ("missing", path.name)


def test_a_whole_boot_that_is_removed_is_found(data: Path) -> None:
    gone = files(data, 3)
    for path in gone:
        path.unlink()
    assert {finding.segment for finding in proven(data).findings} == {path.name for path in gone}


def test_a_boot_that_is_put_in_is_found(data: Path) -> None:
    write_boot(data / "journal", 9, 2, run=f"{0:032x}")
    kinds = {(finding.kind, finding.segment) for finding in proven(data).findings}
    assert kinds == {("added", path.name) for path in files(data, 9)}


def test_records_added_after_the_end_are_found(data: Path) -> None:
    path = files(data)[-1]
    head = frames.scan(path.read_bytes(), 0, None).head
    raw, _ = frames.frame(head or b"", record.encode(note(99)))
    path.write_bytes(path.read_bytes() + raw)
    (finding,) = proven(data).findings
    assert (finding.kind, finding.segment) == ("added", path.name)
    assert "1 records were added after its end" in finding.text


def test_a_segment_under_another_name_is_found(data: Path) -> None:
    path = files(data, 3)[0]
    path.rename(path.with_name(path.name.replace(f"{3:032x}", f"{4:032x}")))
    assert {"added", "missing"} <= {finding.kind for finding in proven(data).findings}


def test_a_chain_that_was_computed_anew_is_found_by_the_heads(data: Path) -> None:
    rewrite(files(data), lambda found: [*found[:3], record.encode(note(4711)), *found[4:]])
    report = proven(data)
    assert {finding.kind for finding in report.findings} == {"rewritten"}
    assert [finding.segment for finding in report.findings] == [path.name for path in files(data)]


def test_bodies_that_were_taken_away_unlawfully_are_found(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "journal").mkdir(parents=True)
    bodied = Parts(b'{"type":"x"}', b'{"text":"said"}')
    raw, _ = frames.frame(frames.GENESIS, bodied)
    path = other / "journal" / files(data)[0].name
    path.write_bytes(raw)
    log = HeadsLog(other, signing_key(other), 1)
    end = Head(path.name, 1, (frames.scan(raw, 0, None).head or b"").hex(), len(raw), 1, ended=True)
    log.add("heads", [end], 2)
    path.write_bytes(frames.shed(raw, None)[0])
    (finding,) = proven(other).findings
    assert (finding.kind, finding.segment) == ("shed", path.name)
    log.add("shed", [end], 3)
    report = proven(other)
    assert (report.state, report.shed) == ("sound", 1)
    path.unlink()
    assert [finding.kind for finding in proven(other).findings] == ["missing"]
    log.add("removed", [end], 4)
    log.close()
    report = proven(other)
    assert (report.state, report.removed) == ("sound", 1)


def test_what_follows_a_segment_that_was_removed_lawfully_must_follow_its_end(data: Path) -> None:
    first, second, *_ = files(data)
    log = HeadsLog(data, signing_key(data), 1)
    end = log.last[first.name]
    log.add("removed", [end], START_US + 2 * 10**9)
    log.close()
    first.unlink()
    assert proven(data).state == "sound"
    rewrite([second], lambda found: found[1:])
    assert {finding.kind for finding in proven(data).findings} >= {"cut"}


@pytest.mark.parametrize("cut", [1, 2])
def test_heads_that_are_cut_are_found_by_the_second_place(data: Path, cut: int) -> None:
    texts = lines_of(data / "heads.log")
    second = dict(enumerate(texts))
    (data / "heads.log").write_bytes(b"".join(text + b"\n" for text in texts[:-cut]))
    report = proven(data, second)
    assert [finding.kind for finding in report.findings] == ["heads"]
    assert "was cut or rewritten" in report.findings[0].text


def test_somebody_who_rewrites_journal_and_heads_with_the_key_is_found_by_the_second_place(data: Path) -> None:
    second = dict(enumerate(lines_of(data / "heads.log")))
    for boot in (1, 2, 3):
        rewrite(files(data, boot), lambda found: [*found[:2], record.encode(note(4711)), *found[3:]])
    (data / "heads.log").unlink()
    sign(data)
    assert proven(data).state == "sound", "alone it looks as it should: that is why there is a second place"
    report = proven(data, second)
    assert report.state == "broken"
    assert report.findings[0].kind == "heads"
    assert {finding.segment for finding in report.findings if finding.kind == "rewritten"} >= {files(data)[0].name}


def test_a_second_place_that_is_behind_contradicts_nothing(data: Path) -> None:
    texts = lines_of(data / "heads.log")
    assert proven(data, dict(enumerate(texts[:-1]))).state == "sound"
    assert proven(data, {1: texts[1]}).state == "sound"


def test_heads_by_another_key_are_not_believed(data: Path, tmp_path: Path) -> None:
    report = prove(data, signing_key(tmp_path / "other").public_key(), None)
    assert [finding.kind for finding in report.findings] == ["heads"]


def test_without_a_key_or_heads_nobody_can_tell(data: Path) -> None:
    assert prove(data, None, None).state == "unknown"
    (data / "heads.log").unlink()
    report = proven(data)
    assert (report.state, report.findings, report.signed) == ("unknown", [], 0)


def test_records_after_the_last_head_are_not_signed_yet(data: Path) -> None:
    write_boot(data / "journal", 8, 1, run=f"{2:032x}")
    report = prove(data, signing_key(data).public_key(), None)
    assert (report.state, report.unsigned) == ("broken", 2), "it is older than the newest line"
    (data / "heads.log").unlink()
    sign(data, now_us=START_US)
    write_boot(data / "journal", 9, 1, run=f"{3:032x}")
    report = proven(data)
    assert (report.state, report.unsigned) == ("sound", 2)


def test_a_number_that_a_full_disk_used_up_is_no_gap(tmp_path: Path) -> None:
    async def write() -> None:
        boot = f"{1:032x}"
        first = lambda: Booted(RUN, 0, boot, START_US)  # noqa: E731
        folder = tmp_path / "journal"
        journal = Journal(folder, run=RUN, slot=0, boot=boot, durability="commit", first=first, max_segment_s=0.0)
        await journal.append(note(1))
        journal._next = journal._next._replace(seq=7)
        await journal.append(note(2))
        await journal.close()

    asyncio.run(write())
    sign(tmp_path)
    assert [path.name[-12:-4] for path in sorted((tmp_path / "journal").glob("*.log"))] == ["00000000", "00000001", "00000007"]
    assert proven(tmp_path).state == "sound"


def test_many_segments_are_walked_by_several_processes_with_the_same_result(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    path = files(data)[1]
    path.write_bytes(b"".join(raws(path)[:-1]))
    alone = proven(data)
    monkeypatch.setattr(proof, "PARALLEL_FROM", 0)
    assert prove(data, signing_key(data).public_key(), None, lambda done, total: seen.append((done, total))) == alone
    assert seen[-1][0] == seen[-1][1] == alone.bytes


def test_a_segment_that_cannot_be_read_is_said(data: Path) -> None:
    path = files(data)[-1]
    path.unlink()
    path.mkdir()
    assert "unreadable" in {finding.kind for finding in proven(data).findings}


def test_a_folder_without_a_journal_is_no_empty_journal(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        proven(tmp_path)


def test_what_the_book_removes_while_it_is_looked_at_is_no_finding(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = files(data)[0], proof._walk_all

    def meanwhile(*given: object) -> object:
        if path.exists():
            log = HeadsLog(data, signing_key(data), 1)
            log.add("removed", [log.last[path.name]], START_US + 2 * 10**9)
            log.close()
            path.unlink()
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(proof, "_walk_all", meanwhile)
    assert proven(data).state == "sound"
