"""One reader of all documents: fenced blocks and code in lines, each with its place.

A test that takes an argument called `<language>_block` is asked once for each block of that language; `blocks` are all of them,
`inline` is the code that stands in lines.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("gateway", "policies", "traces", "deploy", "tests")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])
FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)^```$", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")


class Block(NamedTuple):
    """`document` is relative to the repository; an empty language is one that nobody wrote."""

    document: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.document}:{self.line}"


def of(path: Path) -> list[Block]:
    text, name = path.read_text(), str(path.relative_to(ROOT))
    return [Block(name, text.count("\n", 0, found.start()) + 1, found[1].strip(), found[2]) for found in FENCE.finditer(text)]


BLOCKS = [block for path in DOCUMENTS for block in of(path)]


def in_lines(path: Path) -> list[Block]:
    """Code in the lines outside fences; a line's end inside it is a space."""
    text = FENCE.sub(lambda found: "\n" * found[0].count("\n"), path.read_text())
    name = str(path.relative_to(ROOT))
    return [Block(name, text.count("\n", 0, found.start()) + 1, "", " ".join(found[1].split())) for found in CODE.finditer(text)]


INLINE = [code for path in DOCUMENTS for code in in_lines(path)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name in metafunc.fixturenames:
        if name.endswith("_block"):
            given = [block for block in BLOCKS if block.language == name.removesuffix("_block")]
            metafunc.parametrize(name, given, ids=[block.place for block in given])
        if name == "document":
            metafunc.parametrize(name, DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])


@pytest.fixture(scope="session")
def blocks() -> list[Block]:
    return BLOCKS


@pytest.fixture(scope="session")
def inline() -> list[Block]:
    return INLINE
