"""`tollhouse policy …`: check policy files, run the tests they carry, ask for a verdict, measure (`gateway.cli.policy_bench`).

Exit codes: 0 fine, 1 problems found, tests failed or call withheld, 2 wrong usage, 3 nothing to load. Results go to
stdout; `--json` is stable. Imports only the policy engine, so it starts fast enough for a commit hook.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer

from gateway import __version__
from gateway.cli import policy_bench
from gateway.cli.policy_eval import eval_call
from gateway.cli.policy_explain import explain_decision
from gateway.cli.policy_files import files_at, folder_of, loaded, nothing
from gateway.cli.policy_formats import Format, encoded, error_text, explained, finding_line, github, sarif
from gateway.cli.policy_tests import junit, report_data, report_lines
from gateway.errors import FileProblems, Problem
from gateway.policy import PolicySet, run_cases
from gateway.policy.lint import lint
from gateway.policy.lint_codes import CODES
from gateway.policy.schema import policy_schema

EXITS = "Exit codes: 0 fine, 1 problems found or tests failed, 2 wrong usage, 3 nothing to load."

EVAL_EXITS = "Exit codes: 0 the call would be released, 1 it would be withheld, 2 wrong usage, 3 policies or history cannot be used."

app = typer.Typer(help="Check, test, explain and measure policies.", epilog=EXITS, no_args_is_help=True)
app.add_typer(policy_bench.app, name="bench")

Where = Annotated[Path, typer.Argument(help="A policies folder, or one policy file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]

FOUND, NOTHING = 1, 3


@app.command(epilog=EXITS)
def check(
    path: Where = Path("policies"),
    json: AsJson = False,
    format: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.text,  # noqa: A002 - it is the option's name
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail the command too.")] = False,
    explain: Annotated[str | None, typer.Option("--explain", metavar="CODE", help="Say what a code means, e.g. TH003.")] = None,
) -> None:
    """Read the files as the gateway would, show every problem with its place, and what is probably a mistake.

    Example: tollhouse policy check --strict policies
    """
    if explain is not None:
        _explain(explain)
        return
    shown = Format.json if json else format
    policies = _loaded(path, shown)
    findings = lint(policies, run_cases(policies), dt.datetime.now(dt.UTC).date().isoformat())
    _show_findings(policies, findings, path, shown)
    if strict and any(one.severity == "warning" for one in findings):
        raise typer.Exit(FOUND)


@app.command("test", epilog=EXITS)
def run_tests(
    path: Where = Path("policies"),
    json: AsJson = False,
    junit_file: Annotated[Path | None, typer.Option("--junit", help="Write the results there as JUnit XML, too.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="A rule that no test hits fails the command too.")] = False,
) -> None:
    """Run the tests in the files; a rule that no test makes hit is shown, a failing test fails the
    command.

    Example: tollhouse policy test --junit results.xml policies
    """
    shown = Format.json if json else Format.text
    policies = _loaded(path, shown)
    report = run_cases(policies)
    if junit_file is not None:
        junit_file.write_bytes(junit(report, strict=strict))
    typer.echo(encoded(report_data(report)) if json else "\n".join(report_lines(report)))
    if not report.passed or (strict and report.not_hit):
        raise typer.Exit(FOUND)


@app.command()
def schema() -> None:
    """Print the JSON Schema of policy files, for editors.

    A policy points to it in its first line: # yaml-language-server: $schema=policy.schema.json

    Example: tollhouse policy schema > policies/policy.schema.json
    """
    typer.echo(msgspec.json.format(encoded(policy_schema()), indent=2))


app.command("eval", epilog=EVAL_EXITS)(eval_call)
app.command("explain")(explain_decision)


def _loaded(path: Path, shown: Format) -> PolicySet:
    """What `check` and `test` look at; where it cannot be used, the command ends."""
    try:
        return loaded(files_at(path), path)
    except FileProblems as error:
        empty = error.problems == (nothing(path),) or not folder_of(path).is_dir()
        _fail(error.problems, path, shown, NOTHING if empty else FOUND)


# -- showing ----------------------------------------------------------------------------------------------


def _explain(code: str) -> None:
    if code.upper() not in CODES:
        raise typer.BadParameter(f"no code '{code}'; there are {', '.join(CODES)}", param_hint="--explain")
    typer.echo(explained(code.upper()))


def _fail(problems: Sequence[Problem], path: Path, shown: Format, code: int) -> NoReturn:
    match shown:
        case Format.text:
            typer.echo(error_text(problems))
        case Format.json:
            typer.echo(encoded({"ok": False, "problems": problems}))
        case Format.github:
            typer.echo(github(problems, folder_of(path)))
        case Format.sarif:
            typer.echo(sarif(problems, folder_of(path), __version__))
    raise typer.Exit(code)


def _show_findings(policies: PolicySet, findings: Sequence[Problem], path: Path, shown: Format) -> None:
    match shown:
        case Format.text:
            typer.echo("\n".join(_summary_lines(policies, findings)))
        case Format.json:
            summary = {"ok": True, "problems": [], "hash": policies.hash, "git": policies.git}
            typer.echo(encoded({**summary, "policies": _listed(policies), "notes": findings}))
        case Format.github if findings:
            typer.echo(github(findings, folder_of(path)))
        case Format.sarif:
            typer.echo(sarif(findings, folder_of(path), __version__))


def _listed(policies: PolicySet) -> list[dict[str, Any]]:
    return [
        {
            "id": p.id,
            "file": p.file,
            "agents": p.agents,
            "mode": p.mode,
            "rules": len(p.layers[0].guards) + len(p.layers[0].caps),
            "tests": len(p.layers[0].tests),
        }
        for p in (*policies.policies, *policies.libraries)
    ]


def _summary_lines(policies: PolicySet, findings: Sequence[Problem]) -> list[str]:
    lines = [finding_line(one) for one in findings]
    for one in _listed(policies):
        whom = f"agents {', '.join(one['agents'])}" if one["agents"] is not None else "a library"
        lines.append(f"{one['file']}: {one['id']}, {whom}, {one['mode']}: {one['rules']} rules, {one['tests']} tests")
    version = f" (commit {policies.git})" if policies.git else ""
    return [*lines, f"Policy version {policies.hash[:12]}{version}: {_count(findings)}."]


def _count(findings: Sequence[Problem]) -> str:
    warnings = sum(one.severity == "warning" for one in findings)
    notes = len(findings) - warnings
    counted = [f"{n} {word}{'' if n == 1 else 's'}" for n, word in ((warnings, "warning"), (notes, "note")) if n]
    return ", ".join(["no problems", *counted])
