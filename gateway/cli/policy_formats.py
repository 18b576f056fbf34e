"""Problems of policy files in the forms that people, scripts, GitHub and code scanners read.

GitHub: workflow commands (`::error file=…`), escaped as its runner un-escapes them. SARIF: 2.1.0, one run, columns in
characters. Paths there are as seen from where the command runs, because that is where the repository is.
"""

from __future__ import annotations

import posixpath
import urllib.parse
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.errors import Problem, Severity
from gateway.policy.lint_codes import CODES


class Format(StrEnum):
    text = "text"
    json = "json"
    github = "github"
    sarif = "sarif"


def error_text(problems: Sequence[Problem]) -> str:
    count = f"{len(problems)} problem{'' if len(problems) == 1 else 's'} found"
    codes = sorted({one.code for one in problems})
    hint = f"{', '.join(codes)}; 'tollhouse policy check --explain {codes[0]}' says more"
    return "\n".join([*map(str, problems), "", f"{count} ({hint})."])


def finding_line(one: Problem) -> str:
    return f"{one.file}:{one.line}:{one.column}: {one.severity}: {one.message} [{one.code}]"


def encoded(data: Mapping[str, Any]) -> str:
    return msgspec.json.encode(data).decode()


def explained(code: str) -> str:
    one = CODES[code]
    return f"{code} ({one.severity}): {one.title}\n\n{one.meaning}"


# -- GitHub -----------------------------------------------------------------------------------------------

_GITHUB: Final[Mapping[Severity, str]] = {"error": "error", "warning": "warning", "note": "notice"}
_ESCAPED: Final = {"%": "%25", "\r": "%0D", "\n": "%0A"}


def github(problems: Sequence[Problem], folder: Path) -> str:
    return "\n".join(_command(one, folder) for one in problems)


def _command(one: Problem, folder: Path) -> str:
    place = f"file={_property(_from_here(one, folder))},line={one.line},col={one.column},title={_property(one.code)}"
    return f"::{_GITHUB[one.severity]} {place}::{_escaped(one.message, _ESCAPED)}"


def _property(text: str) -> str:
    return _escaped(text, _ESCAPED | {":": "%3A", ",": "%2C"})


def _escaped(text: str, signs: Mapping[str, str]) -> str:
    return "".join(signs.get(sign, sign) for sign in text)


def _from_here(one: Problem, folder: Path) -> str:
    """What concerns the folder itself names it already."""
    return one.file if one.code == "TH111" or one.file == str(folder) else posixpath.join(folder.as_posix(), one.file)


# -- SARIF ------------------------------------------------------------------------------------------------

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(problems: Sequence[Problem], folder: Path, version: str) -> str:
    codes = sorted({one.code for one in problems})
    driver = {"name": "tollhouse policy check", "version": version, "rules": [_sarif_rule(code) for code in codes]}
    results = [_result(one, codes.index(one.code), folder) for one in problems]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return encoded({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _sarif_rule(code: str) -> dict[str, Any]:
    one = CODES[code]
    return {
        "id": code,
        "shortDescription": {"text": one.title},
        "fullDescription": {"text": one.meaning},
        "defaultConfiguration": {"level": one.severity},
    }


def _result(one: Problem, rule: int, folder: Path) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": urllib.parse.quote(_from_here(one, folder))},
        "region": {"startLine": one.line, "startColumn": one.column},
    }
    return {
        "ruleId": one.code,
        "ruleIndex": rule,
        "level": one.severity,
        "message": {"text": one.message},
        "locations": [{"physicalLocation": place}],
    }
