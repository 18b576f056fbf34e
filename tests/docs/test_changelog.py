"""The changelog has one form: versions, newest first, each a list of whole sentences; and it knows the version of this project."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CHANGELOG.md").read_text()
VERSION = re.compile(r"^## (\d+)\.(\d+)\.(\d+) \((unreleased|\d{4}-\d{2}-\d{2})\)$", re.MULTILINE)


def entries() -> list[str]:
    """Each with its lines joined."""
    body = TEXT[VERSION.search(TEXT).end() :]
    body = re.sub(r"^## .*$", "", body, flags=re.MULTILINE)
    return [" ".join(entry.split()) for entry in re.split(r"^- ", body, flags=re.MULTILINE)[1:]]


def test_every_heading_is_a_version_and_the_newest_is_first():
    headings = re.findall(r"^## .*$", TEXT, re.MULTILINE)
    assert [heading for heading in headings if not VERSION.fullmatch(heading)] == []
    found = [tuple(map(int, parts[:3])) for parts in VERSION.findall(TEXT)]
    assert all(later > earlier for later, earlier in pairwise(found))
    assert [state for *_, state in VERSION.findall(TEXT)].count("unreleased") <= 1


def test_the_first_version_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert ".".join(VERSION.findall(TEXT)[0][:3]) == project


def test_every_entry_is_sentences():
    assert len(entries()) > 40
    assert [entry for entry in entries() if not re.match(r"[A-Z`]", entry) or not re.search(r"[.`)]$", entry)] == []


def test_nothing_is_said_twice():
    assert len(set(entries())) == len(entries())


def test_what_is_counted_is_right():
    shipped = len(list((ROOT / "traces" / "queries").glob("*.sql")))
    assert f"beside the shipped {shipped}." in TEXT
