"""The file of heads: only added to, taken up again after any crash, refused when it is not what was signed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import heads_log as module
from gateway.errors import StartError
from gateway.heads_log import HeadsLog, lines_of, read, signing_key
from gateway.trace.heads import Head, public_text


def head(name: str, records: int, *, ended: bool = False) -> Head:
    return Head(name, records, "ab", 10 * records, 1, ended)


def opened(data: Path) -> HeadsLog:
    return HeadsLog(data, signing_key(data), 7)


def test_the_first_line_names_the_key_and_the_rest_follow(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.add("heads", [head("a", 1), head("b", 2, ended=True)], 8)
    log.add("shed", [head("b", 2, ended=True)], 9)
    log.close()
    found = read(tmp_path / "heads.log", signing_key(tmp_path).public_key())
    assert found.problem is None
    assert [(line.n, line.kind, line.at_us) for line in found.lines] == [(0, "key", 7), (1, "heads", 8), (2, "shed", 9)]
    assert found.lines[0].key == public_text(signing_key(tmp_path).public_key())


def test_what_was_said_is_known_again_after_a_restart(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.add("heads", [head("a", 1), head("b", 2, ended=True)], 8)
    log.add("shed", [head("b", 2, ended=True)], 9)
    log.add("heads", [head("a", 5, ended=True)], 10)
    log.add("removed", [head("b", 2, ended=True)], 11)
    log.close()
    again = opened(tmp_path)
    for each in (log, again):
        assert each.last == {"a": head("a", 5, ended=True)}
        assert each.said_by["a"] == 3
        assert (each.shed, set(each.removed), each.count) == (set(), {"b"}, 5)
    again.add("heads", [head("c", 1)], 12)
    again.close()
    assert read(tmp_path / "heads.log", signing_key(tmp_path).public_key()).problem is None


@given(st.integers(1, 400))
def test_what_a_crash_left_half_written_is_cut_off_and_gone_on_from(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    data = tmp_path_factory.mktemp("data")
    log = opened(data)
    log.add("heads", [head("a", 1)], 8)
    size = log.path.stat().st_size
    last = len(log.add("heads", [head("a", 2)], 9))
    log.close()
    os.truncate(log.path, size + last - min(cut, last))
    again = opened(data)
    assert again.count == 2
    again.add("heads", [head("a", 3)], 10)
    again.close()
    assert [line.n for line in read(log.path, signing_key(data).public_key()).lines] == [0, 1, 2]


def test_a_file_that_was_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.add("heads", [head("a", 1)], 8)
    log.close()
    log.path.write_bytes(log.path.read_bytes().replace(b'"at_us":8', b'"at_us":9'))
    with pytest.raises(StartError, match=r"line 1.*was changed.*move it away together with signing\.key"):
        opened(tmp_path)


def test_a_line_that_cannot_be_written_was_never_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = opened(tmp_path)
    real = os.write

    def half(fd: int, data: memoryview) -> int:
        real(fd, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module.os, "write", half)
        with pytest.raises(OSError, match="No space"):
            log.add("heads", [head("a", 1)], 8)
    assert (log.count, log.last) == (1, {})
    log.add("heads", [head("a", 1)], 9)
    log.close()
    assert [line.at_us for line in read(log.path, signing_key(tmp_path).public_key()).lines] == [7, 9]


def test_lines_are_found_among_others_in_a_log(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.add("heads", [head("a", 1)], 8)
    log.close()
    lines = log.path.read_text().splitlines()
    (tmp_path / "journald.log").write_text("".join(f"Nov 21 host tollhouse[1]: {line}\nother words\n" for line in lines) + lines[0][:30])
    assert lines_of(tmp_path / "journald.log") == lines_of(log.path)


def test_the_key_is_made_once_and_is_for_its_owner_only(tmp_path: Path) -> None:
    first = signing_key(tmp_path)
    assert signing_key(tmp_path).private_bytes_raw() == first.private_bytes_raw()
    assert (tmp_path / "signing.key").stat().st_mode & 0o777 == 0o600
    assert first.private_bytes_raw() != (tmp_path / "signing.key").name.encode()
    (tmp_path / "signing.key").chmod(0o644)
    with pytest.raises(StartError, match="chmod 600"):
        signing_key(tmp_path)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "heads.log").mkdir()
    with pytest.raises(StartError, match=r"cannot open .*heads\.log"):
        opened(tmp_path)
