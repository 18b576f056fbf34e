"""`tollhouse policy …`: check policy files, run the tests they carry, and measure them (`gateway.cli.policy_bench`).

Exit codes: 0 fine, 1 problems found or tests failed, 2 wrong usage, 3 nothing to load. Results go to
stdout; `--json` is stable. Imports only the policy engine, so it starts fast enough for a commit hook.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from gateway.cli import policy_bench
from gateway.documents import parse
from gateway.errors import FileProblems, Problem
from gateway.policy import PolicySet, Report, load, run_cases
from gateway.policy_folder import git_version, read

app = typer.Typer(help="Check, test and measure policy files.", no_args_is_help=True)
app.add_typer(policy_bench.app, name="bench")

Where = Annotated[Path, typer.Argument(help="A policies folder, or one policy file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]

FOUND, NOTHING = 1, 3


@app.command()
def check(path: Where = Path("policies"), json: AsJson = False) -> None:
    """Read the files as the gateway would and show every problem with its place."""
    files = _read(path, json)
    try:
        policies = load(files, git=git_version(_folder(path)))
    except FileProblems as error:
        _show({"ok": False, "problems": error.problems}, _problem_lines(error.problems), json)
        raise typer.Exit(FOUND) from None
    _refuse_nothing(policies, path, json)
    summary = {"ok": True, "problems": [], "hash": policies.hash, "git": policies.git, "policies": _listed(policies)}
    _show({**summary, "notes": _notes(policies)}, _summary_lines(policies), json)


@app.command("test")
def run_tests(path: Where = Path("policies"), json: AsJson = False) -> None:
    """Run the tests in the files; a rule that no test makes hit is shown, a failing test fails the
    command.
    """
    files = _read(path, json)
    try:
        policies = load(files)
    except FileProblems as error:
        _show({"ok": False, "problems": error.problems}, _problem_lines(error.problems), json)
        raise typer.Exit(NOTHING) from None
    _refuse_nothing(policies, path, json)
    report = run_cases(policies)
    _show(_report(report), _report_lines(report), json)
    if not report.passed:
        raise typer.Exit(FOUND)


# -- reading ----------------------------------------------------------------------------------------------


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _read(path: Path, json: bool) -> dict[str, bytes]:
    """The files of the folder, or the one file with what it includes; exits when there is nothing to read."""
    try:
        files = read(_folder(path))
    except FileProblems as error:
        _show({"ok": False, "problems": error.problems}, _problem_lines(error.problems), json)
        raise typer.Exit(NOTHING) from None
    if path.is_dir():
        return files
    wanted = _closure(path.name, files)
    return {name: text for name, text in files.items() if name in wanted or name.endswith(".txt")}


def _closure(start: str, files: Mapping[str, bytes]) -> set[str]:
    """The file and all it includes, as far as they can be read; what cannot is for `load` to say."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in found and name in files:
            found.add(name)
            waiting += [posixpath.normpath(posixpath.join(posixpath.dirname(name), i)) for i in _includes(files[name])]
    return found


def _includes(text: bytes) -> list[str]:
    try:
        top = parse(text, "").value
    except FileProblems:
        return []
    listed = top.get("include") if isinstance(top, dict) else None
    return [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []


def _refuse_nothing(policies: PolicySet, path: Path, json: bool) -> None:
    """A check that looked at nothing must not look like a check that passed."""
    if policies.policies or policies.libraries:
        return
    said = "no policy here; a policy is a YAML file with the key 'policy: 1'"
    problems = [Problem(str(path), 1, 1, said)]
    _show({"ok": False, "problems": problems}, _problem_lines(problems), json)
    raise typer.Exit(NOTHING)


# -- showing ----------------------------------------------------------------------------------------------


def _show(data: Mapping[str, Any], lines: Sequence[str], json: bool) -> None:
    typer.echo(msgspec.json.encode(data).decode() if json else "\n".join(lines))


def _problem_lines(problems: Sequence[Problem]) -> list[str]:
    count = f"{len(problems)} problem{'' if len(problems) == 1 else 's'} found."
    return [*map(str, problems), "", count]


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


def _notes(policies: PolicySet) -> list[dict[str, Any]]:
    """What is allowed and wants a second look."""
    notes: list[dict[str, Any]] = []
    for policy in (*policies.policies, *policies.libraries):
        layer = policy.layers[0]
        for guard in layer.guards:
            if guard.ignore_errors:
                said = f"rule {guard.id} lets calls pass when its condition cannot be evaluated (on_error: ignore)"
                notes.append({"file": layer.file, "line": guard.line, "message": said})
        for glob, line in layer.grants or ():
            if not glob.strip("*"):
                notes.append({"file": layer.file, "line": line, "message": f"'{glob}' grants every tool there is"})
    return notes


def _summary_lines(policies: PolicySet) -> list[str]:
    lines = [f"{n['file']}:{n['line']}: note: {n['message']}" for n in _notes(policies)]
    for one in _listed(policies):
        whom = f"agents {', '.join(one['agents'])}" if one["agents"] is not None else "a library"
        lines.append(f"{one['file']}: {one['id']}, {whom}, {one['mode']}: {one['rules']} rules, {one['tests']} tests")
    version = f" (commit {policies.git})" if policies.git else ""
    return [*lines, f"Policy version {policies.hash[:12]}{version}: no problems."]


def _report(report: Report) -> dict[str, Any]:
    tests = [
        {"policy": r.policy, "file": r.file, "name": r.case.name, "passed": r.passed, "said": r.said}
        for r in report.results
    ]
    not_hit = [{"file": file, "rule": rule, "line": line} for file, rule, line in report.not_hit]
    return {"ok": report.passed, "tests": tests, "rules": report.rules, "not_hit": not_hit}


def _report_lines(report: Report) -> list[str]:
    lines: list[str] = []
    for result in report.results:
        lines.append(f"{'PASS' if result.passed else 'FAIL'} {result.file}: {result.case.name}")
        if not result.passed:
            lines.append(f"     {result.said}")
    lines += [f"{file}:{line}: rule {rule} is hit by no test" for file, rule, line in report.not_hit]
    good = sum(result.passed for result in report.results)
    hit = report.rules - len(report.not_hit)
    return [*lines, f"{good} of {len(report.results)} tests passed; {hit} of {report.rules} rules hit."]
