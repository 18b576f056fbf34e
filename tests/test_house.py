"""The order of the run: files that take long are begun first, and each of them is there. And the way tests wait."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent


def test_each_file_that_is_begun_first_is_there_once():
    listed = re.search(r"^LONG_FILES = \((.*?)^\)", (HERE / "conftest.py").read_text(), re.DOTALL | re.MULTILINE)
    assert listed is not None
    names = re.findall(r'"([^"]+)"', listed[1])
    assert len(names) == len(set(names)) > 0
    assert [name for name in names if not (HERE / name).is_file()] == []


def waits_by_hand(loop: ast.While) -> bool:
    """Does nothing but sleep and look whether it has done so for too long."""
    sleeps = [isinstance(each, ast.Expr) and ast.unparse(each).startswith("time.sleep(") for each in loop.body]
    return any(sleeps) and all(slept or isinstance(each, ast.Assert) for slept, each in zip(sleeps, loop.body, strict=True))


def test_what_has_to_come_is_waited_for_by_patience_alone():
    files = [each for each in HERE.rglob("*.py") if "bench" not in each.relative_to(HERE).parts]
    loops = [(each, node) for each in files for node in ast.walk(ast.parse(each.read_text())) if isinstance(node, ast.While)]
    assert len(loops) > 20
    assert [f"{each.relative_to(HERE)}:{loop.lineno}" for each, loop in loops if waits_by_hand(loop)] == []
    assert waits_by_hand(ast.parse("while not ready():\n    assert early()\n    time.sleep(0.1)").body[0])
