"""Proves a journal: chains over segments and boots, heads and their signatures, and both against each other. Writes nothing.

1. `sound`: every record stands where it was written, up to the last signed head. `broken`: a finding says what, and where to the record.
   `unknown`: nothing contradicts, but what would prove it is not there (no heads, no key).
2. Local heads are compared with those of the second place first. Where they part, the second place is believed: it is the one that
   somebody who owns this machine could not rewrite.
3. A segment may be missing only if a signed `removed` says so, bodies only if a signed `shed` does.
4. Records after the last head of a segment that may still grow are `unsigned`: the chain holds them, no signature yet.

Segments are walked in several processes: the chain within each is independent of the others, and the links between them are checked here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct, field

from gateway import heads_log
from gateway.stores.intake import segments
from gateway.trace import frames, heads
from gateway.trace.chain import Walked, walk
from gateway.trace.heads import Head, Line
from gateway.trace.segments import Segment, parse

PARALLEL_FROM = 16 * 1024 * 1024
"""Bytes. Less is walked here: starting processes costs more."""

SIGNED_WITHIN_US = 300 * 1_000_000
"""A book that is at work has signed what is older than this."""

State = Literal["sound", "broken", "unknown"]
Progress = Callable[[int, int], None]


class Finding(Struct, frozen=True, omit_defaults=True):
    """One thing that is not as it was written."""

    kind: str
    """changed | chain | cut | rewritten | missing | added | shed | heads | unreadable"""
    text: str
    segment: str = ""
    offset: int | None = None
    record: int | None = None
    """Within the segment, from 0."""
    before_us: int | None = None
    after_us: int | None = None


class Report(Struct):
    """What was found out."""

    state: State = "unknown"
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is worth knowing and contradicts nothing."""
    segments: int = 0
    records: int = 0
    bytes: int = 0
    signed: int = 0
    """Records up to the last signed head of their segment."""
    unsigned: int = 0
    shed: int = 0
    removed: int = 0
    """Segments that were taken away lawfully."""
    heads: int = 0
    second_place: bool = False


class Said(Struct):
    """Everything that believed lines say, by segment."""

    marks: dict[str, list[tuple[Head, Line]]] = field(default_factory=dict)
    shed: set[str] = field(default_factory=set)
    removed: dict[str, Head] = field(default_factory=dict)

    @classmethod
    def of(cls, lines: Sequence[Line]) -> Said:
        said = cls()
        for line in lines:
            for head in line.heads:
                if line.kind == "shed":
                    said.shed.add(head.segment)
                elif line.kind == "removed":
                    said.removed[head.segment] = head
                else:
                    said.marks.setdefault(head.segment, []).append((head, line))
        return said


def prove(data: Path, key: Ed25519PublicKey | None, second: Mapping[int, bytes] | None, progress: Progress = lambda *_: None) -> Report:
    """`second`: lines of the second place by number; None when none was asked. Raises OSError for a folder that cannot be read."""
    log = data / heads_log.NAME
    size = _size(log)
    report = _proved(data, key, second, progress)
    if {finding.kind for finding in report.findings} & {"missing", "shed", "unreadable"} and _size(log) != size:
        return _proved(data, key, second, progress)  # the book took something away meanwhile, and said so
    return report


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _proved(data: Path, key: Ed25519PublicKey | None, second: Mapping[int, bytes] | None, progress: Progress) -> Report:
    report = Report(second_place=second is not None)
    believed = _believed(data, key, second or {}, report)
    said = Said.of(believed)
    os.listdir(data / "journal")  # noqa: PTH208 - a folder that is not there is no empty journal
    found = _walk_all(data / "journal", segments(data / "journal"), said, progress, report)
    _count(report, found, said, len(believed))
    for one, walked in found.items():
        report.findings += [*_inside(one, walked), *_against_heads(one, walked, said)]
    report.findings += [*_links(found, said), *_missing(found, said), *_never_signed(found, said)]
    report.state = _state(report, said)
    return report


def _believed(data: Path, key: Ed25519PublicKey | None, second: Mapping[int, bytes], report: Report) -> list[Line]:
    """The lines that count, their faults said."""
    if key is None:
        report.notes.append("there is no public key to check heads with; give --public-key")
        return []
    try:
        texts = [text.strip() for text in heads_log.lines_of(data / heads_log.NAME)]
    except FileNotFoundError:
        texts = []
    local = heads.read(texts, key)
    if local.problem:
        report.findings.append(Finding("heads", f"{heads_log.NAME}: {local.problem}; lines after it are not believed"))
    merged = _merged(local.texts, second, report)
    believed = heads.read(merged, key) if merged != local.texts else local
    if believed.problem and merged != local.texts:
        report.findings.append(Finding("heads", f"heads of the second place: {believed.problem}"))
    return believed.lines


def _merged(local: list[bytes], second: Mapping[int, bytes], report: Report) -> list[bytes]:
    """Local lines up to where they part from the second place's, then those of the second place."""
    parts_at = next((n for n in sorted(second) if n >= len(local) or second[n].strip() != local[n]), None)
    if parts_at is None:
        return local
    words = "stops" if parts_at >= len(local) else "says something else than the second place"
    report.findings.append(Finding("heads", f"{heads_log.NAME} {words} from line {parts_at} on: it was cut or rewritten"))
    return local[:parts_at] + [second[n].strip() for n in sorted(second) if n >= parts_at]


def _walk_all(
    folder: Path, known: Sequence[Segment], said: Said, progress: Progress, report: Report
) -> dict[Segment, Walked]:
    sizes = {one: _size(folder / one.name) for one in known}
    jobs = [(one, str(folder / one.name), [head.records for head, _ in said.marks.get(one.name, ())]) for one in known]
    total, done, found = sum(sizes.values()), 0, dict[Segment, Walked]()
    for one, walked in _walking(jobs, parallel=total >= PARALLEL_FROM):
        if isinstance(walked, str):
            report.findings.append(Finding("unreadable", f"it cannot be read: {walked}", one.name))
        else:
            found[one] = walked
        done += sizes[one]
        progress(done, total)
    return dict(sorted(found.items()))


_Job = tuple[Segment, str, list[int]]


def _walking(jobs: Sequence[_Job], *, parallel: bool) -> Iterator[tuple[Segment, Walked | str]]:
    if not parallel:
        yield from map(_walk_one, jobs)
        return
    with ProcessPoolExecutor(min(len(jobs), os.cpu_count() or 1)) as pool:
        for future in as_completed([pool.submit(_walk_one, job) for job in jobs]):
            yield future.result()


def _walk_one(job: _Job) -> tuple[Segment, Walked | str]:
    one, path, wanted = job
    try:
        return one, walk(Path(path).read_bytes(), set(wanted))
    except OSError as error:
        return one, str(error.strerror)


def _count(report: Report, found: Mapping[Segment, Walked], said: Said, lines: int) -> None:
    report.heads = lines
    report.removed = len([name for name in said.removed if name not in {one.name for one in found}])
    for one, walked in found.items():
        signed = min(walked.records, max((head.records for head, _ in said.marks.get(one.name, ())), default=0))
        report.segments += 1
        report.records += walked.records
        report.bytes += walked.size
        report.signed += signed
        report.unsigned += walked.records - signed
        report.shed += walked.shed


def _inside(one: Segment, walked: Walked) -> Iterator[Finding]:
    for broken in walked.breaks:
        kind = "changed" if broken.what.startswith("the bytes") else "chain"
        yield Finding(kind, broken.what, one.name, broken.offset, broken.record, broken.before_us, broken.after_us)
    if walked.booted is not None and walked.booted != one[:3]:
        yield Finding("added", "its first record says that it is another worker's or another boot's: the file was renamed", one.name, 0, 0)


def _against_heads(one: Segment, walked: Walked, said: Said) -> Iterator[Finding]:
    """The first head that does not fit says which records are concerned: those after the last one that did."""
    if walked.breaks:  # numbers are not what they were, and the break says where
        return
    good, good_us = 0, None
    for head, line in said.marks.get(one.name, ()):
        if head.records > walked.records:
            text = (
                f"the tail is cut: {head.records - walked.records} records are missing after record {walked.records - 1}; "
                f"line {line.n} of the heads has them signed"
            )
            yield Finding("cut", text, one.name, walked.end, walked.records, walked.last_us, line.at_us)
            return
        mark = walked.marks.get(head.records)
        if mark is not None and mark.hash.hex() != head.hash:
            text = f"records {good} to {head.records - 1} are not those that were signed (line {line.n}): the chain was computed anew"
            yield Finding("rewritten", text, one.name, None, good, good_us, mark.at_us)
            return
        good, good_us = head.records, mark.at_us if mark else None
        if head.ended and walked.records > head.records:
            text = f"{walked.records - head.records} records were added after its end (line {line.n})"
            yield Finding("added", text, one.name, None, head.records, good_us, walked.last_us)
    if walked.shed and one.name not in said.shed:
        yield Finding("shed", f"the bodies of {walked.shed} records were taken away, and no signed head says so", one.name)


def _links(found: Mapping[Segment, Walked], said: Said) -> Iterator[Finding]:
    """Each segment starts from the end of the one before it in its boot. Numbers may be left out: a segment that could not be begun on a
    full disk has used one up."""
    ends = {one: walked.head for one, walked in found.items() if walked.head is not None}
    ends |= {one: bytes.fromhex(head.hash) for name, head in said.removed.items() if (one := parse(name)) is not None and one not in ends}
    unaccounted = {one for name in said.marks if (one := parse(name)) is not None and one not in ends}
    for one, walked in found.items():
        if walked.first_previous is None:
            continue
        before = max((other for other in (*ends, *unaccounted) if other[:3] == one[:3] and other.seq < one.seq), default=None)
        if before in unaccounted:  # told by _missing
            continue
        expected = frames.GENESIS if before is None else ends[before]
        if walked.first_previous == expected:
            continue
        if before is None:
            text = "it goes on from a segment that is not there, and nothing says that one was removed"
            yield Finding("missing", text, one.name, 0, 0, None, walked.last_us)
        else:
            earlier = found[before].last_us if before in found else None
            text = f"it does not follow {before.name}: that one's end, or this one's beginning, was cut, added to or changed"
            yield Finding("chain", text, one.name, 0, 0, earlier, walked.last_us)


def _missing(found: Mapping[Segment, Walked], said: Said) -> Iterator[Finding]:
    here = {one.name for one in found}
    for name, marks in said.marks.items():
        if name in here or name in said.removed:
            continue
        head, line = marks[-1]
        text = f"the segment is gone with at least {head.records} records (signed in line {line.n}), and nothing says that it was removed"
        yield Finding("missing", text, name, None, 0, None, line.at_us)


def _never_signed(found: Mapping[Segment, Walked], said: Said) -> Iterator[Finding]:
    """Whenever the book signs, it signs of every segment that has news: one that is older than the newest line and in none was put in."""
    newest = max((line.at_us for marks in said.marks.values() for _, line in marks), default=0)
    for one, walked in found.items():
        if one.name not in said.marks and walked.last_us is not None and walked.last_us < newest - SIGNED_WITHIN_US:
            text = "no signed head knows this segment, although later ones are signed: it was put in"
            yield Finding("added", text, one.name, 0, 0, None, walked.last_us)


def _state(report: Report, said: Said) -> State:
    if report.findings:
        return "broken"
    if not said.marks:
        report.notes.append(f"no head is signed ({heads_log.NAME}): an end that was cut cannot be told from an end")
        return "unknown"
    return "sound"
