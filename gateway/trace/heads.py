"""Heads: signed statements of how far each chain of the journal had come. They show what the chain itself cannot: a tail that was cut, a
segment that was taken away or put in, a chain that was computed anew by somebody who may write everywhere but lacks the key, or cannot
reach the second place that has the heads too.

    {"line": {"n", "kind", "at_us", "previous", "heads": [{"segment", "records", "hash", "offset", "written_us", "ended"}]}, "signature"}

1. Lines are numbered from 0 and each names the SHA-256 of the one before, so that the newest line proves all the others.
2. The signature (Ed25519, hex) is over "tollhouse head 1" + newline + the bytes of `line` as they stand.
3. `heads`: these segments have these hashes after that many records; nothing comes after one that has `ended`. `shed`: the bodies of these
   segments are taken away. `removed`: these segments are. `key`: the first line, names the public key.

Pure. Where lines are kept is `heads_log.py`, how they are held against a journal `proof.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Raw, Struct

GENESIS = "0" * 64
_CONTEXT = b"tollhouse head 1\n"
_KEY_PREFIX = "ed25519:"

Kind = Literal["key", "heads", "shed", "removed"]


class Head(Struct, frozen=True, omit_defaults=True):
    """How far one segment had come."""

    segment: str
    records: int
    hash: str
    """Of the frame of the last of them, hex."""
    offset: int
    """Bytes, as the segment was written (bodies not shed)."""
    written_us: int
    """When the file was last written to."""
    ended: bool = False


class Line(Struct, frozen=True, omit_defaults=True):
    """One statement."""

    n: int
    kind: Kind
    at_us: int
    previous: str
    heads: tuple[Head, ...] = ()
    key: str = ""


class _Sealed(Struct):
    line: Raw
    signature: str


class Reading(NamedTuple):
    """What a row of lines says, and what is wrong with it."""

    lines: list[Line]
    """Sound ones, in order, up to the first that is not."""
    texts: list[bytes]
    """The same as they stand."""
    problem: str | None
    """Why the rest is not believed."""


def seal(line: Line, key: Ed25519PrivateKey) -> bytes:
    """One line of text, its end included."""
    raw = msgspec.json.encode(line)
    return msgspec.json.encode(_Sealed(Raw(raw), key.sign(_CONTEXT + raw).hex())) + b"\n"


def unseal(text: bytes, key: Ed25519PublicKey) -> Line:
    """Raises ValueError for what is no line or not signed with this key."""
    try:
        sealed = msgspec.json.decode(text, type=_Sealed)
        line = msgspec.json.decode(sealed.line, type=Line)
        key.verify(bytes.fromhex(sealed.signature), _CONTEXT + bytes(sealed.line))
    except (msgspec.DecodeError, ValueError) as error:
        raise ValueError(f"it is no signed head: {error}") from error
    except InvalidSignature as error:
        raise ValueError("its signature is not by this key, or it was changed") from error
    return line


def read(texts: Iterable[bytes], key: Ed25519PublicKey) -> Reading:
    """Lines from the first on; an exact repetition is passed over."""
    lines: list[Line] = []
    kept: list[bytes] = []
    previous = GENESIS
    for text in map(bytes.strip, texts):
        if kept and text == kept[-1]:
            continue
        try:
            line = unseal(text, key)
        except ValueError as error:
            return Reading(lines, kept, f"line {len(lines)}: {error}")
        if line.n != len(lines) or line.previous != previous:
            return Reading(lines, kept, f"line {len(lines)} does not follow the one before: lines were taken out, put in or moved")
        lines.append(line)
        kept.append(text)
        previous = digest(text)
    return Reading(lines, kept, None)


def digest(text: bytes) -> str:
    """What the next line names."""
    return hashlib.sha256(text.strip()).hexdigest()


def public_text(key: Ed25519PublicKey) -> str:
    """A public key as people pass it on."""
    return _KEY_PREFIX + key.public_bytes_raw().hex()


def public_key(text: str) -> Ed25519PublicKey:
    """Raises ValueError for what `public_text` cannot have written."""
    prefix, _, digits = text.partition(":")
    try:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(digits if prefix + ":" == _KEY_PREFIX else ""))
    except ValueError as error:
        raise ValueError(f"'{text}' is no public key; 'tollhouse verify --show-key' prints one (ed25519: and 64 hex digits)") from error
