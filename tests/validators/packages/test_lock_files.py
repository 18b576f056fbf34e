"""Names in lock files: those of the index, not those from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gateway.validators.packages.lock_files import names, reader_of

LOCKS = {one["name"]: one for one in yaml.load((Path(__file__).parent / "corpus" / "locks.yaml").read_text(), yaml.CSafeLoader)}


@pytest.mark.parametrize("name", LOCKS)
def test_names_of_the_index_are_read_and_others_left_out(name: str) -> None:
    assert names(name, LOCKS[name]["text"]) == set(LOCKS[name]["names"])
    assert reader_of(name.upper()) is reader_of(name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("uv.lock", "["),
        ("uv.lock", "package = 5"),
        ("uv.lock", "[[package]]\nsource={registry='x'}"),
        ("package-lock.json", "[]"),
        ("package-lock.json", "{"),
        ("composer.lock", '{"packages": [5]}'),
        ("composer.lock", '{"packages": [{"name": 5}]}'),
        ("packages.lock.json", "{}"),
    ],
)
def test_what_is_no_such_file_says_how_to_mend_it(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be read as what its name says .*; write it again with its own tool"):
        names(name, text)


def test_other_files_are_no_lock_files() -> None:
    assert reader_of("notes.lock") is None
    with pytest.raises(ValueError, match=r"no lock file that is known here; known are cargo\.lock"):
        names("notes.lock", "")
