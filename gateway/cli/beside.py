"""The settings of the gateway that a command works beside: those of the file in this folder, or of whatever last ran on a data folder."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.config import Settings
from gateway.errors import StartError
from gateway.settings_sources import DEFAULT_FILE, read
from gateway.supervisor import load_dotenv, settings_file


def settings_beside(data: str | None) -> Settings:
    """`data` is what --data says. Where no settings file is read, the state is where the folder's gateway had it, so that nobody makes or
    revokes a key in a store that no gateway asks."""
    file = Path(DEFAULT_FILE) if data is None and Path(DEFAULT_FILE).is_file() else None
    load_dotenv(Path(".env"))
    found = read(file, os.environ, {"data": data})
    ran = settings_file(found.data_path)
    if file is not None or os.environ.get("TOLLHOUSE_STATE") or not ran.is_file():
        return found
    try:
        state = Settings.model_validate_json(ran.read_bytes()).state
    except ValueError as error:
        message = f"{ran} is of another version of tollhouse, so nobody can tell where the state is; start the gateway once with this one"
        raise StartError(message) from error
    return found.model_copy(update={"state": state})
