"""Content at rest that only this installation can read: AES-256-GCM under a key of 32 bytes.

Nonces are 96 random bits, so one key may seal 2^32 times before two of them are equal with a chance worth speaking of (NIST SP 800-38D,
8.3); `vault` takes a new key long before. What a text is sealed *about* is authenticated with it: it opens nowhere else.

`beside` makes the box of a state file: what lies there for a while (what people are asked to approve) is sealed under the installation's
own secret. That keeps it out of copies of the file; whoever holds the whole data folder can read it.

The cipher is loaded (6 MiB) when something is first sealed or opened: most workers never do.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gateway import secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE = 12
KEY = 32
MARK = "box:"


class CannotOpen(Exception):  # noqa: N818 - names a state, not a mistake
    """It was sealed under another key or about something else, or it was changed."""


class Box:
    """Seals and opens under one key, of `KEY` bytes."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY:
            raise ValueError(f"a key of {len(key)} bytes; AES-256 takes {KEY}")
        self._key = key

    @cached_property
    def _cipher(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._key)

    def seal(self, data: bytes, about: str) -> bytes:
        nonce = secrets.token_bytes(NONCE)
        return nonce + self._cipher.encrypt(nonce, data, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """Raises CannotOpen."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], about.encode())
        except (InvalidTag, ValueError) as error:
            raise CannotOpen(about) from error

    def seal_text(self, text: str, about: str) -> str:
        return MARK + base64.b64encode(self.seal(text.encode("utf-8", "surrogatepass"), about)).decode()

    def open_text(self, text: str, about: str) -> str:
        """A text that is not sealed is what it is: files of an earlier version. Raises CannotOpen."""
        if not text.startswith(MARK):
            return text
        try:
            sealed = base64.b64decode(text[len(MARK) :], validate=True)
        except binascii.Error as error:
            raise CannotOpen(about) from error
        return self.open(sealed, about).decode("utf-8", "surrogatepass")


def beside(path: Path, purpose: str) -> Box:
    """The box of a state file, under the secret of the installation whose folder it is in."""
    return Box(secret.derive(secret.read_or_create(path.parent), purpose))
