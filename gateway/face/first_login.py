"""The first invitation: while nobody has an account, a file in the data folder (mode 0600) holds the token that makes the first
administrator. The supervisor prints it; using it removes the file. Nothing here knows the accounts."""

from __future__ import annotations

import os
from pathlib import Path

FILE = "first-login.token"


def write(data: Path, token: str) -> None:
    path = data / FILE
    fresh = path.with_suffix(".new")
    fd = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(token + "\n")
    fresh.replace(path)


def read(data: Path) -> str | None:
    """None when somebody has an account."""
    try:
        return (data / FILE).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def used(data: Path) -> None:
    (data / FILE).unlink(missing_ok=True)
