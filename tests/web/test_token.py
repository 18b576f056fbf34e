"""The admin token: made once, the same for all, for its owner only."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.errors import StartError
from gateway.web.token import read_or_create


def test_it_is_made_once_and_then_read(tmp_path: Path) -> None:
    path = tmp_path / "data" / "admin.token"
    token = read_or_create(path)
    assert token.startswith("tha_")
    assert len(token) >= 40
    assert read_or_create(path) == token
    assert read_or_create(tmp_path / "other.token") != token
    assert [each.name for each in path.parent.iterdir()] == ["admin.token"]


def test_all_who_start_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(read_or_create, [tmp_path / "admin.token"] * 64))) == 1


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    token = read_or_create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    assert read_or_create(path) == token
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "short\n", "\xff\n"])
def test_a_file_without_a_token_is_an_error_that_says_what_to_do(tmp_path: Path, content: str) -> None:
    path = tmp_path / "admin.token"
    path.write_text(content)
    with pytest.raises(StartError, match="delete it"):
        read_or_create(path)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StartError, match="cannot read or create the admin token"):
        read_or_create(tmp_path / "file" / "admin.token")
