"""`tollhouse verify`: whether the journal is what was written, and where not.

Works on a data folder or a copy of one, with or without a running gateway; writes nothing.
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from gateway.cli.asking import data_folder
from gateway.cli.beside import AsJson, Data
from gateway.errors import StartError
from gateway.heads_log import KEY_NAME, NAME, lines_of, signing_key
from gateway.heads_places import Bucket, PlaceTrouble, fetched
from gateway.proof import Finding, Report, prove
from gateway.trace.heads import public_key, public_text, unseal

EXIT = {"sound": 0, "broken": 1, "unknown": 2}


def verify(
    data: Data = None,
    heads: Annotated[
        str | None,
        typer.Option("--heads", help="signed heads from the second place: a file (or a log that holds them), file:/path, or s3://bucket/prefix"),
    ] = None,
    key: Annotated[
        str | None, typer.Option("--public-key", help="the key that must have signed [default: the data folder's own, which proves less]")
    ] = None,
    endpoint: Annotated[str | None, typer.Option("--endpoint", help="URL of an S3-compatible service")] = None,
    region: Annotated[str | None, typer.Option("--region", help="region of the bucket")] = None,
    as_json: AsJson = False,
    show_key: Annotated[bool, typer.Option("--show-key", help="print the public key of this installation and do nothing else")] = False,
) -> None:
    """Check that no record of the journal was changed, taken out, put in, moved or cut off, and say where.

    Exit code 0: sound. 1: broken. 2: cannot tell (nothing is signed, no key, a place that does not answer).

    Example: tollhouse verify --public-key ed25519:… --heads s3://bucket/prefix
    """
    folder = data_folder(data)
    if show_key:
        typer.echo(public_text(signing_key(folder).public_key()))
        return
    public = _key(folder, key)
    if not (folder / "journal").is_dir():
        typer.echo(f"cannot tell: there is no journal in {folder}; name the data folder with --data", err=True)
        raise typer.Exit(EXIT["unknown"])
    try:
        second = _second(folder, heads, public, endpoint, region)
        report = _with_progress(folder, public, second, quiet=as_json)
    except (OSError, PlaceTrouble) as error:
        typer.echo(f"cannot tell: {error}", err=True)
        raise typer.Exit(EXIT["unknown"]) from error
    if key is None and public is not None:
        report.notes.append("the key was taken from the data folder; with --public-key (see --show-key) a replaced one is found, too")
    if second is None:
        report.notes.append("no second place was compared (--heads): whoever owns this machine could have rewritten journal, heads and key")
    _print(report, as_json=as_json)
    raise typer.Exit(EXIT[report.state])


def _key(folder: Path, given: str | None) -> Ed25519PublicKey | None:
    if given is not None:
        try:
            return public_key(given)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    if not (folder / KEY_NAME).exists():
        return None
    return signing_key(folder).public_key()


def _second(
    folder: Path, heads: str | None, key: Ed25519PublicKey | None, endpoint: str | None, region: str | None
) -> dict[int, bytes] | None:
    """Lines of the second place by number. Raises PlaceTrouble and OSError."""
    if heads is None:
        return None
    if key is None:
        raise StartError(f"there is no {KEY_NAME} in {folder} to check heads with; give --public-key")
    if heads.startswith("s3://"):
        local = lines_of(folder / NAME) if (folder / NAME).exists() else []
        return fetched(Bucket(heads, public_text(key), endpoint=endpoint, region=region), local)
    found: dict[int, bytes] = {}
    for text in lines_of(Path(heads.removeprefix("file:"))):
        try:
            n = unseal(text, key).n
        except ValueError as error:
            raise PlaceTrouble(f"a line of {heads} cannot be believed: {error}") from error
        if found.setdefault(n, text) != text:
            raise PlaceTrouble(f"{heads} has two different lines with the number {n}: it holds the heads of two histories")
    return found


def _with_progress(folder: Path, key: Ed25519PublicKey | None, second: dict[int, bytes] | None, *, quiet: bool) -> Report:
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        return prove(folder, key, second)
    with Progress("checking", BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("checking", total=None)
        return prove(folder, key, second, lambda done, total: bar.update(task, completed=done, total=total))


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
        return
    for finding in report.findings:
        typer.echo(_line(finding))
    for note in report.notes:
        typer.echo(f"note: {note}")
    words = {"sound": "SOUND", "broken": f"BROKEN in {len(report.findings)} places", "unknown": "CANNOT TELL"}[report.state]
    gone = f", bodies of {report.shed} taken away" if report.shed else ""
    gone += f", {report.removed} segments removed" if report.removed else ""
    counted = f"{report.records} records in {report.segments} segments"
    typer.echo(f"{words}: {counted}, {report.signed} of them signed ({report.heads} lines of heads{gone})")


def _line(finding: Finding) -> str:
    where = [finding.segment] if finding.segment else []
    where += [f"offset {finding.offset}"] if finding.offset is not None else []
    where += [f"record {finding.record}"] if finding.record is not None else []
    times = [f"{word} {_when(at)}" for word, at in (("after", finding.before_us), ("before", finding.after_us)) if at is not None]
    between = f" ({', '.join(times)})" if times else ""
    return f"{finding.kind}: {', '.join(where)}{': ' if where else ''}{finding.text}{between}"


def _when(at_us: int) -> str:
    return dt.datetime.fromtimestamp(at_us / 1_000_000, dt.UTC).strftime("%Y-%m-%d %H:%M:%S.%f UTC")
