"""Commands, calls and answers with what they would install, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.validators.packages.calls import in_call
from gateway.validators.packages.rule import _found
from gateway.validators.validator import Check, Subject, Unjudged

FOLDER = Path(__file__).parent / "corpus"
KINDS = {"commands": "command", "calls": "call", "answers": "answer"}


def cases() -> Iterator[Any]:
    for file, kind in KINDS.items():
        for case in yaml.load(FOLDER.joinpath(f"{file}.yaml").read_text(), yaml.CSafeLoader):
            yield pytest.param(kind, case, id=f"{kind}: {str(case[kind])[:80]}")


def subject(kind: str, case: dict) -> Subject:
    if kind == "answer":
        return Subject(case["answer"])
    args = {"command": case["command"]} if kind == "command" else case["call"]
    return Subject(json.dumps(args), hook="tool_call")


@pytest.fixture
def check(rule: Callable[..., Check]) -> Check:
    return rule(indexes=["https://pkg.acme.example/simple"], files=["locked/*.txt"])


def test_the_corpus_is_large() -> None:
    assert len(list(cases())) >= 200


@pytest.mark.parametrize(("kind", "case"), list(cases()))
def test_what_is_named_is_found_and_judged(kind: str, case: dict, check: Check) -> None:
    if case.get("unjudged"):
        with pytest.raises(Unjudged):
            list(check(subject(kind, case)))
    else:
        assert [seen.code for seen in check(subject(kind, case))] == case["sees"]


@pytest.mark.parametrize(("kind", "case"), [case for case in cases() if "wants" in case.values[1]])
def test_every_package_is_read_as_its_ecosystem_reads_it(kind: str, case: dict, rule: Callable[..., Check]) -> None:
    from gateway.validators.packages.rule import Packages

    found = _found(Packages(allow=("pip:x",)), subject(kind, case))
    assert list(dict.fromkeys(str(at.wanted) for at in found if at.wanted)) == case["wants"]


@pytest.mark.parametrize("case", [case.values[1] for case in cases() if case.values[0] == "command" and "wants" in case.values[1]])
def test_a_command_is_read_alike_as_text_and_in_a_call(case: dict) -> None:
    from gateway.validators.packages.commands import command

    in_text = list(command(case["command"]))
    assert [at.wanted for at in in_call({"cmd": case["command"]})] == in_text
    assert [at.wanted for at in in_call({"deep": [{"command": case["command"]}]})] == in_text


@pytest.mark.parametrize(("kind", "case"), list(cases()))
def test_nothing_that_is_said_holds_the_name(kind: str, case: dict, check: Check) -> None:
    try:
        said = [seen.detail for seen in check(subject(kind, case))]
    except Unjudged as error:
        said = [str(error)]
    assert not [one for one in said if "evil" in one or "reqeusts" in one or "loadsh" in one]
