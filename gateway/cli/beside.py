"""The settings of the gateway that a command works beside: those of the file in this folder, or of whatever last ran on a data folder."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Annotated

import typer

from gateway.config import Settings
from gateway.errors import StartError
from gateway.settings_sources import DEFAULT_FILE, read
from gateway.supervisor import load_dotenv, settings_file


def named_folder(text: str) -> Path:
    """What is not there (`--data "$UNSET"`) is not the folder somebody stands in."""
    if not text.strip():
        raise typer.BadParameter("it is empty; name a folder, or leave the option out")
    return Path(text)


AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data", parser=named_folder, metavar="<path>", help="Data folder. Default: TOLLHOUSE_DATA, the settings file's, or .tollhouse."
    ),
]
"""What every command that works on one takes."""


def settings_here(file: Path | None = None, data: Path | None = None) -> Settings:
    """As `tollhouse up` would read them: `file`, else the settings file of this folder where there is one, under the environment and the
    `.env` beside it; `data` is what --data says. Raises FileProblems and StartError."""
    file = file or (Path(DEFAULT_FILE) if Path(DEFAULT_FILE).is_file() else None)
    load_dotenv((file.parent if file else Path()) / ".env")
    return read(file, os.environ, {"data": data})


def folder_beside(data: Path | None) -> Path:
    """The data folder that is meant: what --data says, else TOLLHOUSE_DATA, else the settings file's, else .tollhouse."""
    return _read(data).data_path


def settings_beside(data: Path | None) -> Settings:
    """`data` is what --data says. Where no settings file is read, the state is where the folder's gateway had it, so that nobody makes or
    revokes a key in a store that no gateway asks."""
    found = _read(data)
    ran = settings_file(found.data_path)
    if (data is None and Path(DEFAULT_FILE).is_file()) or os.environ.get("TOLLHOUSE_STATE") or not ran.is_file():
        return found
    try:
        state = Settings.model_validate_json(ran.read_bytes()).state
    except ValueError as error:
        message = f"{ran} is of another version of tollhouse, so nobody can tell where the state is; start the gateway once with this one"
        raise StartError(message) from error
    return found.model_copy(update={"state": state})


def settings_there(data: Path | None) -> Settings:
    """`settings_beside` of a folder that is there: for commands that look, and would find nothing in one that they had made themselves.
    Raises StartError where there is none."""
    there(folder_beside(data))
    return settings_beside(data)


def there(folder: Path) -> Path:
    """Raises StartError where there is no such data folder."""
    if not folder.is_dir():
        raise StartError(f"there is no data folder {folder}: start the gateway with 'tollhouse up', or name one with --data")
    return folder


def _read(data: Path | None) -> Settings:
    """The file here speaks of its own data folder, and not of one that was named beside it."""
    if data is None:
        return settings_here()
    load_dotenv(Path(".env"))
    return read(None, os.environ, {"data": data})


def user_name() -> str:
    """Who runs this, to be written down: the name on this machine, or `uid:<number>` of a user that has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError: from Python 3.13 on
        return f"uid:{os.getuid()}"
