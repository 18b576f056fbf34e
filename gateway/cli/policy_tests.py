"""The outcome of the tests that policy files carry, as text, JSON and JUnit XML.

JUnit has no standard; what is written is the part that its readers agree on: one suite per file, a case per test, a
failure with a text. A rule that no test hits is a failing case of its own in strict runs only.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree as ET  # only builds: nothing foreign is parsed

from gateway.cli.visible import visible
from gateway.policy import Report


def report_data(report: Report) -> dict[str, Any]:
    tests = [
        {"policy": r.policy, "file": r.file, "name": r.case.name, "passed": r.passed, "said": r.said}
        for r in report.results
    ]
    not_hit = [{"file": file, "rule": rule, "line": line} for file, rule, line in report.not_hit]
    return {"ok": report.passed, "tests": tests, "rules": report.rules, "not_hit": not_hit}


def report_lines(report: Report) -> list[str]:
    lines: list[str] = []
    for result in report.results:
        lines.append(f"{'PASS' if result.passed else 'FAIL'} {result.file}: {result.case.name}")
        if not result.passed:
            lines.append(f"     {result.said}")
    lines += [f"{file}:{line}: rule {rule} is hit by no test" for file, rule, line in report.not_hit]
    good = sum(result.passed for result in report.results)
    hit = report.rules - len(report.not_hit)
    return [*lines, f"{good} of {len(report.results)} tests passed; {hit} of {report.rules} rules hit."]


def junit(report: Report, *, strict: bool) -> bytes:
    """`strict`: rules that no test hits are failures."""
    outcomes = [(r.file, r.case.name, r.said) for r in report.results]
    if strict:
        outcomes += [(file, f"rule {rule} is hit", f"line {line}: hit by no test") for file, rule, line in report.not_hit]
    outcomes.sort(key=lambda one: one[0])
    top = ET.Element("testsuites", _counts(outcomes))
    for file, cases in itertools.groupby(outcomes, key=lambda one: one[0]):
        _suite(top, file, list(cases))
    text: bytes = ET.tostring(top, encoding="utf-8", xml_declaration=True)
    return text


def _suite(top: ET.Element, file: str, cases: list[tuple[str, str, str]]) -> None:
    suite = ET.SubElement(top, "testsuite", {"name": _written(file), **_counts(cases)})
    for _, name, said in cases:
        case = ET.SubElement(suite, "testcase", {"name": _written(name), "classname": _written(file), "file": _written(file)})
        if said:
            ET.SubElement(case, "failure", {"message": _written(said)}).text = _written(said)


def _counts(cases: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    failed = [bool(said) for _, _, said in cases]
    return {"tests": str(len(failed)), "failures": str(sum(failed)), "errors": "0"}


def _written(text: str) -> str:
    """XML cannot hold controls and the two non-characters, not even escaped."""
    return visible(text).replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
