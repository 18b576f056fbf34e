"""The installation's own secrets: files of 32 random bytes, mode 0600. From the one called `secret` keys are derived by purpose.

It peppers the stored hashes of virtual keys and keys the content addresses of messages. It never enters the ledger; without it a copied
ledger reveals neither keys nor which messages are equal to known ones.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from gateway.errors import StartError

NAME = "secret"
SIZE = 32


def read_or_create(data: Path, name: str = NAME) -> bytes:
    """A secret of the installation in `data`. Several processes may start at once: exactly one creates it."""
    path = data / name
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        _create(path)
    if path.stat().st_mode & 0o077:
        raise StartError(f"{path} can be read by others; run: chmod 600 {path}")
    secret = path.read_bytes()
    if len(secret) != SIZE:
        raise StartError(
            f"{path} is damaged ({len(secret)} bytes instead of {SIZE}); restore it from a backup: "
            "what was made with it cannot be checked without it"
        )
    return secret


def derive(secret: bytes, purpose: str) -> bytes:
    """An independent 32-byte key for one purpose."""
    return hmac.digest(secret, f"tollhouse:{purpose}".encode(), hashlib.sha256)


def _create(path: Path) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(SIZE))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, path)
    except FileExistsError:
        return
    finally:
        fresh.unlink()
