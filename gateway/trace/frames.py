"""The journal's frame: how one record lies in a segment file, and how to read it back without trusting the file.

    u32 LE payload length | u32 LE CRC32C(previous hash + payload) | 32 bytes previous hash | payload

1. Every frame names the SHA-256 of the one before it: hash = SHA-256(previous hash + payload). A segment starts from 32 zero bytes
   or from the last hash of the same worker's previous segment, so nothing can be taken out, put in or swapped unseen.
2. Bytes that end inside a frame are a *torn* tail: a write that never finished, so never acknowledged. It may be cut.
3. Anything else that does not fit is *corrupt*: reading stops there, and the place is reported. It is never skipped.
4. A damaged length can make a whole frame look torn. `hides_frame` tells the two apart; ask it before a tail is cut for good.

Pure: no file is touched here. The CRC finds accidents fast; the hash chain is what shows tampering.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Literal, NamedTuple

import google_crc32c

HEADER = struct.Struct("<II32s")
HEADER_BYTES = HEADER.size
GENESIS = bytes(32)
MAX_PAYLOAD = 64 * 1024 * 1024
"""Bytes. A longer payload is refused by the writer and taken for damage by the reader."""

Damage = Literal["torn", "corrupt"]


class Scan(NamedTuple):
    """What a stretch of a segment holds."""

    payloads: list[tuple[int, bytes]]
    """(offset of the frame, payload), in order."""
    next: int
    """Where the next frame starts: everything before it is whole and proven."""
    head: bytes | None
    """Hash of the last whole frame; what came in when there was none."""
    damage: Damage | None


def frame(previous: bytes, payload: bytes) -> tuple[bytes, bytes]:
    """The frame's bytes and its hash, which is the next frame's `previous`. Raises ValueError for a payload over 64 MiB."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"a record of {len(payload)} bytes is over the journal's limit of {MAX_PAYLOAD}")
    return HEADER.pack(len(payload), _crc(previous, payload), previous) + payload, _hash(previous, payload)


def scan(data: bytes, offset: int, previous: bytes | None) -> Scan:
    """Reads whole frames of `data` from `offset`. `previous` is the hash the first one must name; None accepts what it names
    (for the first frame of a segment, whose link to an earlier segment the caller checks)."""
    payloads: list[tuple[int, bytes]] = []
    while offset < len(data):
        damage, payload = _frame_at(data, offset, previous)
        if damage is not None:
            return Scan(payloads, offset, previous, damage)
        previous = _hash(data[offset + 8 : offset + HEADER_BYTES], payload)
        payloads.append((offset, payload))
        offset += HEADER_BYTES + len(payload)
    return Scan(payloads, offset, previous, None)


def hides_frame(data: bytes, offset: int) -> bool:
    """Whether the torn tail at `offset` is in truth a whole frame whose length field was damaged: some shorter payload has the
    checksum. Costs about 0.2 µs per byte, so it is asked only about tails that do not go away."""
    if len(data) < offset + HEADER_BYTES:
        return False
    _, want, named = HEADER.unpack_from(data, offset)
    found: int = google_crc32c.value(named)
    for at in range(offset + HEADER_BYTES, len(data)):
        if found == want:
            return True
        found = google_crc32c.extend(found, data[at : at + 1])
    return bool(found == want)


def _frame_at(data: bytes, offset: int, previous: bytes | None) -> tuple[Damage | None, bytes]:
    header_end = offset + HEADER_BYTES
    if header_end > len(data):
        return "torn", b""
    length, want, named = HEADER.unpack_from(data, offset)
    if length > len(data) - header_end and length <= MAX_PAYLOAD and named == (previous or named):
        return "torn", b""
    payload = data[header_end : header_end + length]
    if named != (previous or named) or len(payload) != length or _crc(named, payload) != want:
        return ("corrupt" if data[offset:].strip(b"\0") else "torn"), b""
    return None, payload


def _crc(previous: bytes, payload: bytes) -> int:
    checksum: int = google_crc32c.extend(google_crc32c.value(previous), payload)
    return checksum


def _hash(previous: bytes, payload: bytes) -> bytes:
    return hashlib.sha256(previous + payload).digest()
