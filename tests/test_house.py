"""The order of the run: files that take long are begun first, and each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent


def test_each_file_that_is_begun_first_is_there_once():
    listed = re.search(r"^LONG_FILES = \((.*?)^\)", (HERE / "conftest.py").read_text(), re.DOTALL | re.MULTILINE)
    assert listed is not None
    names = re.findall(r'"([^"]+)"', listed[1])
    assert len(names) == len(set(names)) > 0
    assert [name for name in names if not (HERE / name).is_file()] == []
