"""`tollhouse validate`: what validators say of a text, from the command line, without a gateway.

The same validators with the same options as behind `validate:` in a rule: a rule can be tried on a text before it is written, and the
validators of a policy on a text of the book. Conditions, `sample` and what a rule would do about it (deny, repair, redact) are not looked
at: that is for `tollhouse policy eval`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import typer

from gateway import documents
from gateway.cli.policy_files import files_at, loaded
from gateway.cli.visible import visible
from gateway.errors import FileProblems
from gateway.validators.installed import known, named
from gateway.validators.use import Said, Use
from gateway.validators.validator import Seen, Subject, Validator
from gateway.verdict import Hook

FINDINGS = 1
_PAIR = re.compile(r"(?:^|,)\s*([a-z_]+)=")


class Told(NamedTuple):
    """What one validator says of the text."""

    rule: str
    """Whose it is; empty for those of the command line."""
    validator: Validator
    version: str
    said: Said

    @property
    def name(self) -> str:
        return f"{self.rule}: {self.validator.name}" if self.rule else self.validator.name

    @property
    def counts(self) -> bool:
        return bool(self.said.problem or self.said.hits)


def validate(
    file: Annotated[str, typer.Argument(help="A file with the text; - reads standard input.")] = "-",
    wanted: Annotated[
        list[str] | None,
        typer.Option("--with", help="A validator with its options: length:max=100, 'language:allow=[en, de]'. Repeatable."),
    ] = None,
    policy: Annotated[Path | None, typer.Option("--policy", help="A policy file or folder: asks the validators of its rules.")] = None,
    at: Annotated[Hook, typer.Option("--at", help="With --policy: which rules; what the text is.")] = "output",
    schema: Annotated[Path | None, typer.Option("--schema", help="A file with the JSON Schema that the answer was asked to have.")] = None,
    result: Annotated[list[Path] | None, typer.Option("--result", help="A file with what a tool returned before. Repeatable.")] = None,
    said: Annotated[list[str] | None, typer.Option("--said", help="What the user said before. Repeatable.")] = None,
    finish: Annotated[str, typer.Option("--finish", help="Why the answer ended, as the provider says it: stop, length, …")] = "",
    shown: Annotated[bool, typer.Option("--list", help="Show the validators and their options instead.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Say what validators see in a text. Exits with 1 when one sees something, or cannot tell.

    Example: tollhouse validate answer.txt --with length:max=100
    """
    if shown:
        typer.echo(_listed_as_json(known()) if json else "\n".join(_listed(known())))
        return
    asked = [*(("", _asked(one)) for one in wanted or ()), *_of_rules(policy, at)]
    if not asked:
        raise typer.BadParameter("name a validator with --with, such as --with length:max=100; --list shows them", param_hint="--with")
    before = [_read(str(path)) for path in result or ()]
    answer_schema = None if schema is None else _schema(schema)
    text = _read(file)
    about = Subject(text, hook=at, finish=finish, answer_schema=answer_schema, results=before, said=said or ())
    told = [Told(rule, use.validator, use.version, use.look(about)) for rule, use in asked]
    passed = not any(one.counts for one in told)
    typer.echo(_as_json(file, text, told, passed) if json else "\n".join(_lines(file, text, told)))
    if not passed:
        raise typer.Exit(FINDINGS)


def _of_rules(policy: Path | None, hook: Hook) -> Iterator[tuple[str, Use]]:
    """The validators of the rules of a hook, whatever else these ask for. Raises FileProblems."""
    if policy is None:
        return
    found = [
        (f"{layer.policy}/{guard.id}", use)
        for one in loaded(files_at(policy), policy).policies
        for layer in one.layers
        for guard in layer.guards
        if guard.at == hook
        for use in (*guard.uses, guard.afterwards)
        if use is not None
    ]
    if not found:
        told = f"{policy} has no rule with 'at: {hook}' and 'validate'; name another --at, or --with"
        raise typer.BadParameter(told, param_hint="--policy")
    yield from found


def _asked(written: str) -> Use:
    """`NAME`, `NAME:key=value,key=value` or `NAME:{key: value}`; values as a policy file has them."""
    name, _, options = written.partition(":")
    try:
        validator = named(name.strip())
        made = documents.load(_as_yaml(options).encode(), f"--with {name}", validator.options)
        return Use(validator, validator.make(made))
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


def _lines(file: str, text: str, told: Sequence[Told]) -> list[str]:
    lines = []
    for one in told:
        if one.said.problem:
            lines.append(f"{visible(file)}: unjudged: {one.name}: {visible(one.said.problem)}")
        lines += [f"{visible(file)}:{_place(text, each)}: {one.name}: {visible(_said(each))}" for each in one.said.seen]
    passed = [one.name for one in told if not one.counts]
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
            "version": one.version,
            "rule": one.rule,
            "outcome": "unjudged" if one.said.problem else "failed" if one.counts else "passed",
            "problem": one.said.problem,
            "seen": [each._asdict() for each in one.said.seen],
        }
        for one in told
    ]
    return msgspec.json.encode({"file": file, "characters": len(text), "passed": passed, "validators": validators}).decode()


def _listed_as_json(validators: Mapping[str, Validator]) -> str:
    """Options as JSON Schemas."""
    told = {}
    for name, one in sorted(validators.items()):
        options = one.options.model_json_schema()["properties"]
        told[name] = {"version": one.version, "at": sorted(one.hooks), "redacts": one.spans, "options": options}
    return msgspec.json.encode(told).decode()


def _listed(validators: Mapping[str, Validator]) -> list[str]:
    lines = []
    for name, one in sorted(validators.items()):
        lines.append(f"{name}  (at {', '.join(sorted(one.hooks))}{', redacts' if one.spans else ''})")
        fields = one.options.model_json_schema()["properties"]
        lines += [f"  {option:14} {visible(str(field.get('description', '')))}" for option, field in fields.items()]
    return lines
