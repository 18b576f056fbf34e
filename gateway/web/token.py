"""The admin token: one random secret in a file only its owner may read. Whoever starts first makes it; all others read it."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from gateway.errors import StartError


def read_or_create(path: Path) -> str:
    """The token in `path`, made now if there is none. Several processes may ask at once: all get the same. Raises StartError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            return _read(path)
        _create(path)
        return _read(path)
    except OSError as error:
        raise StartError(f"cannot read or create the admin token {path}: {error.strerror}") from error


def _create(path: Path) -> None:
    """Written aside and linked into place, so that nobody can read half of it; an existing one is left as it is."""
    aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    fd = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "w") as file:
            file.write("tha_" + secrets.token_urlsafe(32) + "\n")
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink()


def _read(path: Path) -> str:
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    token = path.read_text(encoding="ascii", errors="replace").strip()
    if len(token) < 32:
        raise StartError(f"{path} holds no admin token; delete it and a new one is made at the next start")
    return token
