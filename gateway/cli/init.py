"""`tollhouse init`: the files a new installation begins with.

The configuration is the shipped `deploy/tollhouse.yaml` and the policy is the shipped starter pack: one source, tested where it lives. What
is in shadow mode there gets a last day, and nothing else differs. The schema that the policy's first line names for editors comes with it.
Nothing that exists is ever overwritten; `.gitignore` alone is extended, by lines it lacks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from gateway.errors import StartError
from gateway.shipped import folder

IGNORED = (".tollhouse/", ".env")
"""Data (records, keys, the installation's secret) and provider keys must not reach a repository."""

ENVIRONMENT = """\
# Copy to .env (never commit it) or set these in the environment of `tollhouse up`.
OPENAI_API_KEY=
ANTHROPIC_API_KEY=
"""

TO_LOOK_AT_RECORDS = timedelta(days=30)
"""So long a rule of the starter policy stays in shadow mode before `policy check` asks about it."""

NEXT = """
next:
  tollhouse policy test {policies}      run the policy's own tests
  export OPENAI_API_KEY=…               or ANTHROPIC_API_KEY, or upstreams in tollhouse.yaml
  tollhouse keys create --agent my-agent
  tollhouse up
"""


def init(
    directory: Annotated[Path, typer.Option("--dir", help="Where to write.", file_okay=False)] = Path(),
) -> None:
    """Write a commented tollhouse.yaml, a starter policy with its tests, .env.example and .gitignore lines.

    Example: tollhouse init && tollhouse keys create --agent my-agent && tollhouse up
    """
    for verb, path in write(directory):
        typer.echo(f"{verb:<9} {path}")
    typer.echo(NEXT.format(policies=directory / "policies").rstrip())


def write(directory: Path) -> Iterator[tuple[str, Path]]:
    """Writes what is missing and tells, per file, what was done: `wrote`, `kept` or `extended`."""
    files = starting_files()
    try:
        for name, content in files.items():
            yield _write_new(directory / name, content), directory / name
        yield _extend_ignored(directory / ".gitignore"), directory / ".gitignore"
    except OSError as error:
        raise StartError(f"cannot write {error.filename}: {error.strerror}; choose another --dir") from error


def starting_files() -> Mapping[str, bytes]:
    """Relative path to content."""
    policies = folder("policies")
    starter = sorted(p for p in (policies / "starter").rglob("*") if p.is_file())
    files = {"tollhouse.yaml": (folder("deploy") / "tollhouse.yaml").read_bytes()}
    last_day = (datetime.now(UTC) + TO_LOOK_AT_RECORDS).date()
    files |= {f"policies/{p.relative_to(policies).as_posix()}": _with_last_day(p.read_bytes(), last_day) for p in starter}
    for beside in ("README.md", "policy.schema.json"):
        files[f"policies/{beside}"] = (policies / beside).read_bytes()
    files[".env.example"] = ENVIRONMENT.encode()
    return files


def _with_last_day(policy: bytes, day: date) -> bytes:
    return re.sub(rb"^( *)mode: shadow\n", rb"\g<0>\g<1>until: %s\n" % str(day).encode(), policy, flags=re.MULTILINE)


def _write_new(path: Path, content: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        return "kept"
    return "wrote"


def _extend_ignored(path: Path) -> str:
    before = path.read_text() if path.exists() else ""
    present = {line.strip().strip("/") for line in before.splitlines()}
    missing = [line for line in IGNORED if line.strip("/") not in present]
    if not missing:
        return "kept"
    separator = "" if not before or before.endswith("\n") else "\n"
    path.write_text(before + separator + "\n".join(missing) + "\n")
    return "extended" if before else "wrote"
