"""`validate: packages` in a policy: lists beside it, calls, answers and results."""

from __future__ import annotations

import re
from datetime import date

import pytest

from gateway.errors import FileProblems
from gateway.policy import load, run_cases
from gateway.validators.packages.name_list import build

INDEX = build("npm", ["lodash", "vite"], made=date(2026, 11, 1), salt=b"0123456789abcdef")
FILES = {
    "own.txt": b"pip:requests\n",
    "locked/uv.lock": b'[[package]]\nname = "flask"\nsource = {registry = "https://pypi.org/simple"}\n',
    "npm.bloom": INDEX,
    "locked/pnpm-lock.yaml": b"packages:\n\n  vue@3.0.0:\n    resolution: {}\n",
}
POLICY = """
policy: 1
id: code
agents: [coder]
allow: [bash, write_file, install]
rules:
- id: packages-known
  validate: [{packages: {known: [own.txt, locked/uv.lock, npm.bloom, locked/pnpm-lock.yaml], max_age: 30d}}]
- id: names-known
  tools: [install]
  validate: [{packages: {known: [own.txt], form: pip, argument: names}}]
- id: answers-known
  at: output
  validate: [{packages: {known: [own.txt]}}]
  effect: warn
- id: results-known
  at: tool_result
  validate: [{packages: {known: [own.txt]}}]
tests:
- {name: known, call: {bash: {command: pip install requests flask; npm i lodash vue}}, now: 2026-11-20T12:00:00Z, expect: {effect: allow}}
- {name: unknown, call: {bash: {command: pip install evil}}, now: 2026-11-20T12:00:00Z, expect: {effect: deny, rule: packages-known}}
- {name: stale, call: {bash: {command: npm i lodash}}, now: 2026-12-20T12:00:00Z, expect: {effect: deny, rule: packages-known}}
- {name: at run time, call: {bash: {command: "pip install $X"}}, now: 2026-11-20T12:00:00Z, expect: {effect: deny, rule: packages-known}}
- {name: a file, call: {write_file: {path: requirements.txt, content: evil}}, expect: {effect: deny, rule: packages-known}}
- {name: an argument, call: {install: {names: [requests]}}, expect: {effect: allow}}
- {name: another argument, call: {install: {names: [reqeusts]}}, expect: {effect: deny, rule: names-known}}
- {name: no argument, call: {install: {other: [requests]}}, expect: {effect: deny, rule: names-known}}
- {name: an answer, output: "Run `pip install evil`.", expect: {effect: warn, rule: answers-known}}
- {name: a good answer, output: "Run `pip install requests`.", expect: {effect: allow}}
- {name: a result, result: {bash: "`pip install evil`"}, expect: {effect: deny, rule: results-known}}
"""


def test_rules_take_names_from_lists_beside_the_policy() -> None:
    report = run_cases(load({"code.yaml": POLICY.encode(), **FILES}))
    assert [(result.case, result.said) for result in report.results if not result.passed] == []
    assert len(report.results) == 11


def test_the_lists_are_part_of_the_version_and_dated_ones_are_described_in_the_book() -> None:
    policies = load({"code.yaml": POLICY.encode(), **FILES})
    kept = dict(policies.files)
    assert sorted(kept) == ["code.yaml", "locked/pnpm-lock.yaml", "locked/uv.lock", "npm.bloom", "own.txt"]
    assert kept["own.txt"] == "pip:requests\n"
    assert kept["npm.bloom"].startswith("#!a dated list of names:")
    other = build("npm", ["lodash"], made=date(2026, 11, 1), salt=b"0123456789abcdef")
    changed = [{**FILES, "npm.bloom": other}, {**FILES, "own.txt": b"pip:flask\n"}]
    assert len({policies.hash, *(load({"code.yaml": POLICY.encode(), **files}).hash for files in changed)}) == 3


def test_what_the_book_keeps_of_a_dated_list_is_not_taken_for_the_list() -> None:
    kept = {path: text.encode() for path, text in load({"code.yaml": POLICY.encode(), **FILES}).files}
    with pytest.raises(FileProblems, match="put the file itself into its place"):
        load(kept)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"own.txt": None}, "code.yaml:8:15: error: 'packages': no file 'own.txt' in the policies folder"),
        ({"npm.bloom": None, "pnm.bloom": INDEX}, "'packages': no file 'npm.bloom' in the policies folder; did you mean 'pnm.bloom'?"),
        ({"own.txt": b"requests\n"}, "'packages': 'own.txt': 'requests' names no ecosystem; write it as 'pip:requests'"),
        ({"npm.bloom": INDEX[:-1]}, "'packages': 'npm.bloom': the list of names is damaged or cut off"),
    ],
)
def test_a_list_that_cannot_be_used_is_a_problem_of_the_policy(change: dict, said: str) -> None:
    files = {path: data for path, data in {**FILES, **change}.items() if data is not None}
    with pytest.raises(FileProblems, match=re.escape(said)):
        load({"code.yaml": POLICY.encode(), **files})


def test_options_are_checked_where_they_stand() -> None:
    with pytest.raises(FileProblems, match=r"'packages': unknown key 'knwon'; did you mean 'known'"):
        load({"code.yaml": POLICY.replace("known: [own.txt, locked", "knwon: [own.txt, locked").encode(), **FILES})
