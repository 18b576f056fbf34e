"""The order of the run: files that take long are begun first, and each of them is there. The way tests wait. Whose something is."""

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


def callers(code: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(code) if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Caller"]


def leaves_out_the_organisation(caller: ast.Call) -> bool:
    named = {each.arg for each in caller.keywords}
    return (len(caller.args) > 2 or "team" in named) and "org" not in named


def test_wherever_the_gateway_says_whose_team_something_is_it_says_of_which_organisation():
    """Two organisations may have teams of the same name: content would be sealed, and shown, as the other's."""
    files = sorted(HERE.parent.glob("gateway/**/*.py"))
    made = [(each, caller) for each in files for caller in callers(ast.parse(each.read_text()))]
    assert len(made) > 9
    assert [f"{each}:{caller.lineno}" for each, caller in made if leaves_out_the_organisation(caller)] == []
    assert leaves_out_the_organisation(callers(ast.parse("Caller(of.agent, team=of.team)"))[0])
