"""`tollhouse prompts`: kept prompts, their versions and labels; prompts that agents bring are in `prompts_found`,
what comes of them in `prompts_drift`.

What is in the folder is read from the folder, with what the data folder remembers; moving a label and filling an exchange's prompt again
need the running gateway, because both are put on record.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway import prompt_folder, strict_json
from gateway.cli import prompts_drift, prompts_found
from gateway.cli.asking import acting, call, data_folder
from gateway.cli.beside import AsJson, Data, settings_beside, settings_here
from gateway.cli.show import exchange_id
from gateway.cli.visible import visible
from gateway.errors import FileProblems, GatewayError, StartError
from gateway.installation import open_prompts
from gateway.prompt import kept as files
from gateway.prompt.fingerprint import exact_hash
from gateway.prompt.kept import Kept
from gateway.prompt.library import Library
from gateway.prompt.reference import of_header
from gateway.settings_sources import DEFAULT_FILE
from gateway.state.embedded import STATE_FILE

app = typer.Typer(help="List, show, compare, fill in and check kept prompts; move their labels.", no_args_is_help=True)

Folder = Annotated[Path | None, typer.Option("--prompts", help="Folder of prompts. Default: what tollhouse.yaml names.")]
Which = Annotated[str, typer.Argument(metavar="NAME[@LABEL|@VERSION]", help="A prompt; without @ the file as it stands.")]
By = Annotated[str | None, typer.Option(help="Who does it. Default: your user name on this machine.")]
Why = Annotated[str, typer.Option(help="Why; written down.")]
To = Annotated[str, typer.Option("--to", help="The label to move.")]


@app.command("list")
def list_prompts(prompts: Folder = None, data: Data = None, as_json: AsJson = False) -> None:
    """List prompts with their versions and labels, the file as it stands first.

    Example: tollhouse prompts list
    """
    rows = _listed(read_library(prompts, data))
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table("prompt", "version", "", "labels", "model", "variables")
    for row in rows:
        told = (row["name"], row["version"][:12], "current" if row["current"] else "", ", ".join(row["labels"]), row["model"] or "")
        table.add_row(*(Text(visible(cell)) for cell in (*told, ", ".join(row["variables"]))))
    Console().print(table)


@app.command()
def show(which: Which, prompts: Folder = None, data: Data = None, as_json: AsJson = False) -> None:
    """Print one version as it was written.

    Example: tollhouse prompts show support@production
    """
    kept = _found(read_library(prompts, data), which)
    told = {"name": kept.name, "version": kept.version, "source": kept.source}
    typer.echo(json.dumps(told) if as_json else _visible(kept.source.rstrip("\n")))


@app.command()
def diff(
    before: Which,
    after: Annotated[str, typer.Argument(metavar="[NAME@…]", help="Default: the file of the same prompt as it stands.")] = "",
    prompts: Folder = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Compare two versions, line by line. Exit code 1 when they differ.

    Example: tollhouse prompts diff support@production
    """
    library = read_library(prompts, data)
    old = _found(library, before)
    new = _found(library, after or old.name)
    one, other = (f"{kept.name}@{kept.version[:12]}" for kept in (old, new))
    lines = list(difflib.unified_diff(old.source.splitlines(), new.source.splitlines(), one, other, lineterm=""))
    if as_json:
        typer.echo(json.dumps({"before": _named(old), "after": _named(new), "same": not lines, "diff": lines}))
    else:
        typer.echo(_visible("\n".join(lines)) if lines else "no difference")
    raise typer.Exit(int(bool(lines)))


@app.command()
def render(
    which: Annotated[str, typer.Argument(metavar="[NAME[@LABEL|@VERSION]]", help="A prompt; left out with --exchange.")] = "",
    variables: Annotated[str, typer.Option(help="JSON object: names and their values.")] = "{}",
    exchange: Annotated[str | None, typer.Option(help="Fill in again what this exchange was filled with, from the book.")] = None,
    why: Why = "",
    by: By = None,
    prompts: Folder = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Fill a prompt in and print it: with --variables, or as an exchange on record had it. Reading an exchange is put on record.

    Example: tollhouse prompts render support --variables '{"shop": "Aare"}'
    """
    if bool(which) == bool(exchange):
        raise typer.BadParameter("name a prompt, or an exchange with --exchange, and not both")
    if exchange:
        told = _again(data_folder(data), exchange, {"by": acting(by), "why": why})
    else:
        kept = _found(read_library(prompts, data), which)
        values = kept.values(_object(variables))
        told = {"name": kept.name, "version": kept.version, "variables": values, "text": kept.text(values)}
    typer.echo(json.dumps(told) if as_json else _visible(told["text"]))
    if exchange and not as_json:
        typer.echo(_SAYING[told["identical"]], err=True)


@app.command()
def check(
    folder: Annotated[Path | None, typer.Argument(help="Folder of prompts. Default: what tollhouse.yaml names.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Check every prompt and experiment. Exit code 1 when one cannot be used; what is wrong is told with file, line and column.

    Example: tollhouse prompts check
    """
    where = _folder(folder)
    found = prompt_folder.look(where)
    problems = found.problems or _known(where, found, data).unfit
    if as_json:
        typer.echo(json.dumps([msgspec.to_builtins(problem) for problem in problems]))
    elif problems:
        typer.echo(_visible("\n".join(map(str, problems))))
    elif found.heads:
        typer.echo(f"{len(found.heads)} prompt{'' if len(found.heads) == 1 else 's'}, no problem")
    else:
        typer.echo("no prompt here; a prompt is a file <name>.md", err=True)
    if problems or not found.heads:
        raise typer.Exit(1)


@app.command()
def promote(
    name: Annotated[str, typer.Argument(help="The prompt.")],
    version: Annotated[str, typer.Argument(help="Its hash or the first 8 digits. Default: the file as it stands.")] = "",
    to: To = "production",
    why: Why = "",
    by: By = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Move a label to a version. It is on record when this returns, and served within a second.

    Example: tollhouse prompts promote support --to production
    """
    _move(name, {"label": to, "version": version, "why": why}, by, data, as_json=as_json)


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(help="The prompt.")],
    to: To = "production",
    why: Why = "",
    by: By = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Move a label back to the version it pointed at before it was moved last.

    Example: tollhouse prompts rollback support
    """
    _move(name, {"label": to, "back": True, "why": why}, by, data, as_json=as_json)


@app.command()
def changes(
    agent: Annotated[str, typer.Option(help="Only of this agent.")] = "%",
    undeployed: Annotated[
        bool,
        typer.Option("--undeployed", help="Only what is no kept prompt, or one nobody committed or promoted. Exit code 1 if there is any."),
    ] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show when agents came with another prompt or other tools than before, line by line.

    Example: tollhouse prompts changes --undeployed
    """
    found = [each for each in prompts_found.changes(data_folder(data), agent) if not undeployed or each["standing"] == "undeployed"]
    if as_json:
        typer.echo(json.dumps(found, default=str))
    for each in () if as_json else found:
        typer.echo(_visible("\n".join(prompts_found.told(each))))
    raise typer.Exit(int(undeployed and bool(found)))


@app.command()
def drift(
    name: Annotated[str, typer.Argument(help="A kept prompt, or an agent that brings its own. Default: all.")] = "%",
    days: Annotated[int, typer.Option(min=1, max=365, help="How many of the last days are looked at.")] = 7,
    baseline: Annotated[int, typer.Option(min=1, max=3650, help="Days before these, with which they are compared.")] = 28,
    least: Annotated[int, typer.Option(min=10, max=1000, help="Answers that each of both must have.")] = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Compare what comes of each prompt version in the last days with the weeks before. Exit code 1 when something drifted.

    Example: tollhouse prompts drift --days 7 --baseline 28
    """
    found = prompts_drift.drifts(data_folder(data), name, days, baseline, least)
    if as_json:
        typer.echo(prompts_drift.as_json(found))
    for each in () if as_json else found:
        typer.echo(_visible("\n".join(prompts_drift.told(each))))
    if not found:
        typer.echo(f"no answer of such a prompt in the last {days} days", err=True)
    raise typer.Exit(int(any(each.verdict == "drift" for each in found)))


@app.command()
def pin(
    agent: Annotated[str, typer.Argument(help="The agent, as its key names it.")],
    deny: Annotated[bool, typer.Option("--deny", help="Refuse what differs; without it a difference is a finding.")] = False,
    prompts: Folder = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Write into pins.yaml what an agent came with last, as approved. Read it before you commit it.

    Example: tollhouse prompts pin coder
    """
    part = prompts_found.pinned(data_folder(data), agent, "deny" if deny else "finding")
    path = prompts_found.write(_folder(prompts), agent, part)
    told = f"{path}: {visible(agent)} is pinned to {len(part['tools'])} tools and one template"
    typer.echo(json.dumps({"file": str(path), "agent": agent, **part}) if as_json else told)


def _move(name: str, wanted: dict[str, Any], by: str | None, data: Path | None, *, as_json: bool) -> None:
    if not files.PROMPT_NAME.fullmatch(name):
        raise typer.BadParameter(f"'{visible(name)}' is no name for a prompt; 'tollhouse prompts list' shows them", param_hint="NAME")
    done = call(data_folder(data), "POST", f"/prompts/{name}/labels", json={**wanted, "by": acting(by)})
    before = f", was {done['before'][:12]}" if done["before"] else ""
    typer.echo(json.dumps(done) if as_json else f"{name}@{done['label']} is {done['version'][:12]}{before}")


# -- what is asked about ----------------------------------------------------------------------------------


def _folder(given: Path | None) -> Path:
    """Raises StartError when none is named anywhere."""
    if given is not None:
        return given
    named = settings_here().prompts
    if named is None:
        raise StartError(f"no folder of prompts is named; give one, or write 'prompts: ./prompts' into {DEFAULT_FILE}")
    return Path(named)


def read_library(prompts: Path | None, data: Path | None) -> Library:
    """What can be used, and on stderr what cannot. Raises FileProblems where nothing can."""
    folder = _folder(prompts)
    found = prompt_folder.look(folder)
    if found.problems and not found.heads:
        raise FileProblems(found.problems)
    for problem in found.problems:
        typer.echo(_visible(str(problem)), err=True)
    return _known(folder, found, data)


def _known(folder: Path, found: prompt_folder.Found, data: Path | None) -> Library:
    settings = settings_beside(data)
    has_run = settings.state_place is not None or (settings.data_path / STATE_FILE).exists()
    return prompt_folder.library(folder, settings.data_path, found, open_prompts(settings) if has_run else prompt_folder.UNMOVED)


def _found(library: Library, which: str) -> Kept:
    return library.find(of_header(which, {}).named)


def _named(kept: Kept) -> dict[str, str]:
    return {"name": kept.name, "version": kept.version}


def _listed(library: Library) -> list[dict[str, Any]]:
    rows = []
    for name, head in library.heads.items():
        labels = library.labels(name)
        others = sorted(library.versions[name].keys() - {head.version})
        for version in (head.version, *others):
            mine = sorted(label for label, at in labels.items() if at == version)
            kept = library.versions[name][version]
            rows.append({
                "name": name, "version": version, "current": version == head.version, "labels": mine, "model": kept.head.model,
                "variables": sorted(kept.head.variables), "git": library.git if version == head.version else None,
            })  # fmt: skip
    return rows


_SAYING = {
    True: "identical to what the model was given (its hash is on record)",
    False: "NOT what the model was given: the record keeps the variables without secrets and personal data, or the request said more",
    None: "whether it is what the model was given cannot be told: the tools of the request are not on record",
}


def _again(data: Path, exchange: str, reading: dict[str, str]) -> dict[str, Any]:
    """An exchange's prompt, from the book. Raises GatewayError for one that cannot be filled in again."""
    found = call(data, "GET", f"/exchanges/{exchange_id(exchange)}", params=reading)
    row = found["rendered"]
    if row is None:
        raise GatewayError("not_found", "not_rendered", "this exchange named no kept prompt")
    if row["source"] is None:
        raise GatewayError("not_found", "no_source", f"the book does not have the version {row['version'][:12]} of '{row['name']}'")
    try:
        values = strict_json.parse(row["variables"] or "")
    except strict_json.Ambiguous:
        said = f"the variables of this exchange are not on record as they were ({row['variables']})"
        raise GatewayError("not_found", "no_variables", said) from None
    kept = files.read(row["name"], row["source"].encode())
    text = kept.text(kept.values(values))
    told = {name: row[name] for name in ("exchange_id", "name", "version", "label")}
    return {**told, "variables": values, "text": text, "identical": _identical(found, text)}


def _identical(found: dict[str, Any], text: str) -> bool | None:
    tools = (found["prompt"] or {}).get("tools") or ""
    if not tools.startswith("["):
        return None
    return bool(exact_hash(text, tools.encode()) == found["exchange"]["prompt_hash"])


def _object(text: str) -> dict[str, Any]:
    try:
        found = strict_json.parse(text)
    except strict_json.Ambiguous as ambiguous:
        raise typer.BadParameter(f"not JSON with one meaning: {ambiguous.detail}", param_hint="--variables") from None
    if not isinstance(found, dict):
        raise typer.BadParameter('not a JSON object, such as \'{"shop": "Aare"}\'', param_hint="--variables")
    return found


def _visible(text: str) -> str:
    """Keeps its lines."""
    return "\n".join(visible(line) for line in text.split("\n"))
