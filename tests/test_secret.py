"""The installation's own secret."""

from __future__ import annotations

import stat
import threading

import pytest

from gateway import secret
from gateway.errors import StartError


def test_it_is_made_once_and_kept(tmp_path):
    first = secret.read_or_create(tmp_path / "d")
    assert len(first) == 32
    assert secret.read_or_create(tmp_path / "d") == first
    assert stat.S_IMODE((tmp_path / "d" / "secret").stat().st_mode) == 0o600


def test_many_who_start_at_once_agree(tmp_path):
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(secret.read_or_create(tmp_path))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(found)) == 1
    assert [f.name for f in tmp_path.iterdir()] == ["secret"]


def test_an_open_or_damaged_file_stops_the_start(tmp_path):
    secret.read_or_create(tmp_path)
    file = tmp_path / "secret"
    file.chmod(0o644)
    with pytest.raises(StartError, match="chmod 600"):
        secret.read_or_create(tmp_path)
    file.chmod(0o600)
    file.write_bytes(b"short")
    with pytest.raises(StartError, match="damaged"):
        secret.read_or_create(tmp_path)


def test_each_purpose_has_its_own_key():
    assert secret.derive(b"s" * 32, "a") != secret.derive(b"s" * 32, "b")
    assert secret.derive(b"s" * 32, "a") != secret.derive(b"t" * 32, "a")
