"""Every fenced block of every document is of a known kind, and is what it says: it loads, passes its tests or runs.

Commands (`bash`) are run in `test_every_command.py`, those of the README in `test_readme.py`, recipes in `test_contributing.py`.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

from gateway.config import Settings
from gateway.documents import load as load_document
from gateway.policy import load, run_cases
from gateway.prompt import experiment, kept, pins
from gateway.validators.validator import Validator

ROOT = Path(__file__).parents[2]
TESTED_HERE = {"yaml", "python", "toml", "jinja", "text"}
TESTED_ELSEWHERE = {
    "bash": "test_every_command.py", "sh": "test_runbooks.py", "diff": "test_contributing.py", "sql": "test_contributing.py",
    "console": "tests/deploy, which reads the files they name by the tools that are there: it is for machines with containers or services",
}  # fmt: skip
TEXTS = {
    "$ tollhouse sql": "what the demo prints: test_readme.py compares it",
    "notebooks/": "a listing of traces/: looked at below",
    "<run>-<slot>-<boot>": "the journal's format, drawn",
}
"""How blocks begin that are nothing to run, and why."""
PROGRAMS = {"README.md": "test_readme.py", "CONTRIBUTING.md": "test_contributing.py"}
"""Whose programs need more than Python: a gateway, a copy of the repository. Who runs them."""
FRAGMENT = {"allow", "rules", "limits", "tests", "vars"}


def test_every_block_is_of_a_kind_that_is_tested(blocks):
    unknown = [(block.place, block.language) for block in blocks if block.language not in TESTED_HERE | TESTED_ELSEWHERE.keys()]
    assert unknown == [], "say after ``` what it is"
    assert len(blocks) > 50


def test_links_lead_to_files_and_headings(document):
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        name, _, heading = target.partition("#")
        if target.startswith("http"):
            continue
        found = document.parent / name if name else document
        assert found.exists(), target
        if heading:
            assert heading in anchors(found.read_text()), target


def anchors(text: str) -> set[str]:
    """Of the headings, as they are made on the pages where this is read."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_yaml_is_a_policy_that_passes_its_tests_or_settings_or_what_its_keys_say(yaml_block):
    text = re.sub(r"\b[0-9a-f]{4}…", "0" * 64, yaml_block.text)
    found = yaml.safe_load(text)
    match found:
        case {"policy": 1}:
            passes(text)
        case {"scrape_configs": [job]}:
            assert job["static_configs"][0]["targets"] == [Settings().admin]
        case {"arms": _}:
            assert experiment.read("a", text.encode(), "a.yaml").plan.arms
        case {"agents": dict()}:
            assert pins.read(text.encode()).agents
        case _ if found.keys() <= FRAGMENT and not isinstance(found.get("limits"), dict):
            passes(completed(text, found))
        case _:
            assert load_document(b"tollhouse: 1\n" + text.encode(), yaml_block.document, Settings)


def completed(text: str, found: dict) -> str:
    """A part of a policy as the whole of one."""
    return "policy: 1\nid: whole\nagents: ['*']\n" + ("" if "allow" in found else "allow: ['*']\n") + text


def passes(text: str) -> None:
    policies = load({"policy.yaml": text.encode()})
    report = run_cases(policies)
    assert [result.said for result in report.results if not result.passed] == []
    assert bool(report.results) == bool(yaml.safe_load(text).get("tests"))


def test_policies_of_the_language_reference_carry_tests(blocks):
    whole = [block for block in blocks if block.document == "policies/README.md" and block.text.startswith("policy: 1")]
    assert len(whole) >= 7
    assert [block.place for block in whole if "\ntests:" not in block.text] == []


def test_a_template_is_a_kept_prompt(jinja_block):
    assert kept.read("support", jinja_block.text.encode()).name == "support"


def test_programs_run(python_block):
    if python_block.document in PROGRAMS:
        assert python_block.document in (Path(__file__).parent / PROGRAMS[python_block.document]).read_text()
        return
    names = run(python_block.text)
    assert "assert" in python_block.text or any(isinstance(each, Validator) for each in names.values())


def run(text: str) -> dict[str, object]:
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(text, "example", "exec"), names)
    return names


def test_an_entry_point_names_what_the_program_beside_it_makes(toml_block, blocks):
    [(_, target)] = tomllib.loads(toml_block.text)["project"]["entry-points"]["tollhouse.validators"].items()
    programs = [block.text for block in blocks if block.document == toml_block.document and block.language == "python"]
    assert any(isinstance(run(text).get(target.partition(":")[2]), Validator) for text in programs)


def test_what_is_only_shown_has_a_reason(text_block):
    assert any(" ".join(text_block.text.split()).startswith(start) for start in TEXTS)


def test_the_listing_of_the_book_is_of_what_is_there(blocks):
    (listing,) = [block.text for block in blocks if block.text.startswith("notebooks/ ")]
    named = {line.split()[0].rstrip("/") for line in listing.splitlines()}
    assert named == {path.name for path in (ROOT / "traces").iterdir()} - {"README.md"}
