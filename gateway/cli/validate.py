"""`tollhouse validate`: what validators say of a text, from the command line, without a gateway.

The same validators with the same options as behind `validate:` in a rule, so that a rule can be tried on a text before it is written, or a
text of the book beside it. What a rule would do about it (deny, repair, redact) is `tollhouse policy eval`'s to say.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import typer

from gateway import documents
from gateway.cli.visible import visible
from gateway.errors import FileProblems
from gateway.validators.installed import known, named
from gateway.validators.validator import Check, Seen, Subject, Unjudged, Validator

FINDINGS = 1
_PAIR = re.compile(r"(?:^|,)\s*([a-z_]+)=")


class Asked(NamedTuple):
    validator: Validator
    check: Check


class Told(NamedTuple):
    """What one validator says of the text."""

    validator: Validator
    seen: Sequence[Seen]
    problem: str = ""
    """Why it cannot tell."""


def validate(
    file: Annotated[str, typer.Argument(help="A file with the text; - reads standard input.")] = "-",
    wanted: Annotated[
        list[str] | None,
        typer.Option("--with", help="A validator with its options: length:max=100, 'language:allow=[en, de]'. Repeatable."),
    ] = None,
    schema: Annotated[Path | None, typer.Option("--schema", help="A file with the JSON Schema that the answer was asked to have.")] = None,
    result: Annotated[list[Path] | None, typer.Option("--result", help="A file with what a tool returned before. Repeatable.")] = None,
    said: Annotated[list[str] | None, typer.Option("--said", help="What the user said before. Repeatable.")] = None,
    finish: Annotated[str, typer.Option("--finish", help="Why the answer ended, as the provider says it: stop, length, …")] = "",
    shown: Annotated[bool, typer.Option("--list", help="Show the validators and their options instead.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Say what validators see in a text. Exits with 1 when one sees something, or cannot tell."""
    if shown:
        typer.echo("\n".join(_listed(known())))
        return
    if not wanted:
        raise typer.BadParameter("name a validator with --with, such as --with length:max=100; --list shows them", param_hint="--with")
    asked = [_asked(one) for one in wanted]
    before = [_read(str(path)) for path in result or ()]
    answer_schema = None if schema is None else _schema(schema)
    text = _read(file)
    told = [_told(one, Subject(text, finish=finish, answer_schema=answer_schema, results=before, said=said or ())) for one in asked]
    passed = not any(_counts(one) for one in told)
    typer.echo(_as_json(file, text, told, passed) if json else "\n".join(_lines(file, text, told)))
    if not passed:
        raise typer.Exit(FINDINGS)


def _asked(written: str) -> Asked:
    """`NAME`, `NAME:key=value,key=value` or `NAME:{key: value}`; values as a policy file has them."""
    name, _, options = written.partition(":")
    try:
        validator = named(name.strip())
        made = documents.load(_as_yaml(options).encode(), f"--with {name}", validator.options)
        return Asked(validator, validator.make(made))
    except FileProblems as error:
        told = "; ".join(f"{problem.message} (in {problem.source})" for problem in error.problems)
        raise typer.BadParameter(f"{name}: {told}", param_hint="--with") from None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--with") from None


def _as_yaml(options: str) -> str:
    if options.lstrip().startswith("{"):
        return options
    pairs = list(_PAIR.finditer(options))
    if options.strip() and (not pairs or pairs[0].start() > 0):
        raise ValueError(f"'{options}' are no options; write key=value,key=value or {{key: value}}")
    ends = [*(pair.start() for pair in pairs[1:]), len(options)]
    return "{" + ", ".join(f"{pair[1]}: {options[pair.end() : end]}" for pair, end in zip(pairs, ends, strict=False)) + "}"


def _read(file: str) -> str:
    """Raises OSError."""
    data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{visible(file)} is not UTF-8 (byte {error.start}); convert it first", param_hint="FILE") from None


def _schema(path: Path) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise typer.BadParameter(f"{path} is not JSON ({error})", param_hint="--schema") from None


def _told(asked: Asked, subject: Subject) -> Told:
    try:
        return Told(asked.validator, tuple(asked.check(subject)))
    except Unjudged as error:
        return Told(asked.validator, (), str(error))
    except Exception as error:  # noqa: BLE001 - one that fails has not judged, as behind the gate
        return Told(asked.validator, (), f"it failed ({type(error).__name__})")


def _counts(told: Told) -> bool:
    return bool(told.problem) or any(one.severity != "info" for one in told.seen)


def _lines(file: str, text: str, told: Sequence[Told]) -> list[str]:
    lines = []
    for one in told:
        if one.problem:
            lines.append(f"{visible(file)}: unjudged: {one.validator.name}: {visible(one.problem)}")
        lines += [f"{visible(file)}:{_place(text, each)}: {one.validator.name}: {visible(_said(each))}" for each in one.seen]
    passed = [one.validator.name for one in told if not _counts(one)]
    return [*lines, *([f"passed: {', '.join(passed)}"] if passed else ())]


def _said(seen: Seen) -> str:
    score = "" if seen.score is None else f", score {seen.score:g}"
    return f"{seen.severity}: {seen.detail} [{seen.code}{score}]"


def _place(text: str, seen: Seen) -> str:
    before = text[: seen.start]
    return f"{before.count(chr(10)) + 1}:{seen.start - before.rfind(chr(10))}"


def _as_json(file: str, text: str, told: Sequence[Told], passed: bool) -> str:
    validators = [
        {
            "name": one.validator.name,
            "version": one.validator.version,
            "outcome": "unjudged" if one.problem else "failed" if _counts(one) else "passed",
            "problem": one.problem,
            "seen": [each._asdict() for each in one.seen],
        }
        for one in told
    ]
    return msgspec.json.encode({"file": file, "characters": len(text), "passed": passed, "validators": validators}).decode()


def _listed(validators: Mapping[str, Validator]) -> list[str]:
    lines = []
    for name, one in sorted(validators.items()):
        lines.append(f"{name}  (at {', '.join(sorted(one.hooks))}{', redacts' if one.spans else ''})")
        fields = one.options.model_json_schema()["properties"]
        lines += [f"  {option:14} {visible(str(field.get('description', '')))}" for option, field in fields.items()]
    return lines
