"""`tollhouse packages …`: the lists that the validator `packages` knows names from, made and looked into.

Names come from files that the operator has; nothing is fetched here.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.cli.beside import AsJson
from gateway.errors import FileProblems, Problem
from gateway.validators.packages import known, name_list
from gateway.validators.packages.manifests import Manifest, manifest, whole
from gateway.validators.packages.wanted import ECOSYSTEMS, Wanted, wanted

app = typer.Typer(help="Make and look into lists of packages that agents may install.", no_args_is_help=True)

Files = Annotated[list[Path], typer.Argument(help="Files: lists, lock files, manifests, dated lists.", show_default=False)]
_OTHER_WORDS: Final = {"pypi": "pip", "crates": "cargo", "crates.io": "cargo", "rubygems": "gem", "golang": "go", "packagist": "composer"}
FOUND: Final = 1


@app.command()
def build(
    names: Annotated[Path, typer.Argument(help="A name in each line, blank lines and # comments left out; - reads the standard input.")],
    ecosystem: Annotated[str, typer.Option("--ecosystem", "-e", help=f"Whose names: {', '.join(ECOSYSTEMS)}.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The list to write, like pip.bloom.")],
    rate: Annotated[float, typer.Option(help="How many of the names that are not in the list pass as known.")] = 1e-6,
    made: Annotated[str | None, typer.Option("--date", help="The day of the names, like 2026-11-20; today when left out.")] = None,
) -> None:
    """Make a dated list of all names of an index: less than four bytes a name.

    Example: tollhouse packages build names.txt --ecosystem pypi --out policies/pypi.bloom
    """
    kind = _ecosystem(ecosystem)
    day = _day(made)
    texts = list(_lines(_text(names), kind, str(names)))
    try:
        data = name_list.build(kind, texts, made=day, salt=secrets.token_bytes(name_list.SALT_BYTES), rate=rate)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    _replace(out, data)
    typer.echo(f"{out}: {_described(name_list.read(data).header, data)}")


@app.command()
def show(files: Files, as_json: AsJson = False) -> None:
    """Say what lists hold, each read as a rule would read it.

    Example: tollhouse packages show policies/pypi.bloom
    """
    for path in files:
        data = _bytes(path)
        entries, lists = _known({str(path): data})
        digest = hashlib.sha256(data).hexdigest()
        if as_json:
            typer.echo(json.dumps({"file": str(path), "sha256": digest, **_facts(entries, lists)}))
        else:
            counts = ", ".join(f"{count} {kind}" for kind, count in _counts(entries).items())
            told = _described(lists[0].header, data) if lists else f"names: {counts or 'none'}"
            typer.echo(f"{path}: {told}, SHA-256 {digest}")


@app.command()
def check(
    names: Annotated[list[str], typer.Argument(help="Names like pip:requests; with --ecosystem also requests.")],
    files: Annotated[list[Path], typer.Option("--known", "-k", help="A list, lock file, manifest or dated list. Repeatable.")],
    ecosystem: Annotated[str | None, typer.Option("--ecosystem", "-e", help="Of names that say none.")] = None,
    max_age: Annotated[int | None, typer.Option("--max-age", min=1, help="Days that a dated list may be old.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say which names are known from the lists, and what the others are close to. Exits with 1 when one is not known.

    Example: tollhouse packages check pip:requests --known policies/pypi.bloom
    """
    entries, lists = _known({str(path): _bytes(path) for path in files})
    asked = [_asked(name, ecosystem) for name in names]
    judged = dict(known.Known(entries, lists).judged([one for one in asked if one.kind == "name"], _day(None), max_age))
    for one in asked:
        found = judged.get(one) if one.kind == "name" else known.Judgement("direct_reference" if one.kind == "direct" else "unreadable")
        typer.echo(json.dumps(_verdict(one, found)) if as_json else f"{one} {_words(found)}")
    if judged or any(one.kind != "name" for one in asked):
        raise typer.Exit(FOUND)


@app.command()
def names(files: Files) -> None:
    """Print the names of lock files, manifests and lists as a list (pip:requests), sorted: the way to make one.

    Example: tollhouse packages names uv.lock package-lock.json > policies/packages.txt
    """
    entries, lists = _known({str(path): _bytes(path) for path in files})
    if lists:
        raise typer.BadParameter("a dated list keeps no names; give lock files, manifests or lists")
    for entry in sorted(set(entries)):
        typer.echo(entry)


@app.command()
def find(
    file: Annotated[Path, typer.Argument(help="A manifest by its name, or a text with shell commands; - reads commands from the input.")],
) -> None:
    """Print what a manifest or the commands of a text would install, as rules see it: names, and !index, !direct, !file, !dynamic.

    Example: tollhouse packages find requirements.txt
    """
    from gateway.validators.packages.commands import command

    text = _text(file)
    kind: Manifest | None = manifest(str(file))
    try:
        for one in dict.fromkeys(whole(str(file), text) if kind else command(text)):
            typer.echo(str(one))
    except ValueError as error:
        raise FileProblems([Problem(str(file), 1, 1, f"{error}; a rule that asks about it would not let it pass")]) from None


# -- what is given -----------------------------------------------------------------------------------------


def _ecosystem(said: str) -> str:
    kind = _OTHER_WORDS.get(said.lower(), said.lower())
    if kind not in ECOSYSTEMS:
        raise typer.BadParameter(f"there is no ecosystem '{said}'; take one of {', '.join(ECOSYSTEMS)}")
    return kind


def _day(said: str | None) -> date:
    if said is None:
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(said)
    except ValueError:
        raise typer.BadParameter(f"'{said}' is no day; write it like 2026-11-20") from None


def _asked(said: str, ecosystem: str | None) -> Wanted:
    kind, colon, name = said.partition(":")
    if colon and (kind in ECOSYSTEMS or kind in _OTHER_WORDS):
        return wanted(_ecosystem(kind), name)
    if ecosystem is None:
        raise typer.BadParameter(f"'{said}' names no ecosystem; write pip:{said} or give --ecosystem")
    return wanted(_ecosystem(ecosystem), said)


def _lines(text: str, ecosystem: str, file: str) -> Iterator[str]:
    """The names; raises FileProblems with all lines that are none."""
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), 1):
        said = line.partition("#")[0].strip()
        found = wanted(ecosystem, said) if said else None
        if found is not None and found.kind == "name":
            yield found.text
        elif found is not None and len(problems) < 20:
            problems.append(Problem(file, number, 1, f"no name of a package of {ecosystem}; write one name in each line", said[:80]))
    if problems:
        raise FileProblems(problems)


def _bytes(path: Path) -> bytes:
    """Raises FileProblems when it cannot be read."""
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise FileProblems([Problem(str(path), 1, 1, f"cannot be read ({error.strerror}); check its path and permissions")]) from None


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        raise FileProblems([Problem(str(path), 1, 1, "is not UTF-8 text; save it as UTF-8")]) from None


def _known(files: Mapping[str, bytes]) -> tuple[list[str], list[name_list.NameList]]:
    try:
        return known.read(files)
    except ValueError as error:
        raise FileProblems([Problem(next(iter(files)) if len(files) == 1 else "--known", 1, 1, str(error))]) from None


def _replace(path: Path, data: bytes) -> None:
    """Whole or not at all: a gateway may be reading it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(data)
    beside.replace(path)


# -- what is said ------------------------------------------------------------------------------------------


def _described(header: name_list.Header, data: bytes) -> str:
    return (
        f"{header.count} names of {header.ecosystem} of {header.made}, {len(data) / 1e6:.2f} MB, "
        f"one wrong name in {1 / header.rate:.0f} passes"
    )


def _facts(entries: list[str], lists: list[name_list.NameList]) -> dict[str, object]:
    if lists:
        header = lists[0].header
        return {"ecosystem": header.ecosystem, "made": str(header.made), "count": header.count, "rate": header.rate}
    return {"names": _counts(entries)}


def _counts(entries: list[str]) -> dict[str, int]:
    kinds = [entry.partition(":")[0] for entry in dict.fromkeys(entries)]
    return {kind: kinds.count(kind) for kind in ECOSYSTEMS if kind in kinds}


def _verdict(one: Wanted, found: known.Judgement | None) -> dict[str, object]:
    return {"package": str(one), "known": found is None, "code": found.code if found else "", "near": found.near if found else ""}


def _words(found: known.Judgement | None) -> str:
    if found is None:
        return "known"
    return f"{found.code} {found.near or found.made or ''}".strip()
