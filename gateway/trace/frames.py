"""The journal's frame: how one record lies in a segment file, and how to read it back without trusting the file.

    u32 LE form and length | u32 LE CRC32C | 32 bytes previous hash | u32 LE length of the facts | facts | bodies

1. A record has two parts: *facts*, which prove a decision, and *bodies*, the texts of people and models, which may have to go earlier.
   Every frame names the SHA-256 of the one before it: hash = SHA-256(previous hash + 0x02 + facts + SHA-256(bodies)). A segment starts from
   32 zero bytes or from the last hash of the same worker's previous segment, so nothing can be taken out, put in or swapped unseen.
2. `shed` puts the bodies' SHA-256 (32 bytes) in their place: the frame's hash, and so the chain, stays what it was.
3. The two highest bits of the first word say the form: 10 = facts and bodies, 11 = bodies shed, 00 = the first form there was, whose frame
   is one payload with hash = SHA-256(previous hash + payload). It is read as facts without bodies, and no longer written.
4. Bytes that end inside a frame, or in zeros from within a frame on, are a *torn* tail: a write that never finished, so never acknowledged.
   It may be cut.
5. Anything else that does not fit is *corrupt*: reading stops there, and the place is reported. It is never skipped.
6. A damaged length can make a whole frame look torn. `hides_frame` tells the two apart; ask it before a tail is cut for good.

Pure: no file is touched here. The CRC covers what is in the file and finds accidents fast; the hash chain is what shows tampering.
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
"""Bytes after the header. A longer frame is refused by the writer and taken for damage by the reader."""
ZEROS = 128
"""Bytes. So many zeros at the end of a frame are no accident of a few bits."""

Damage = Literal["torn", "corrupt"]

_WHOLE, _SHED, FIRST_FORM = 0b10, 0b11, 0b00
_SEED = {form: bytes([form]) for form in (_WHOLE, _SHED)} | {FIRST_FORM: b""}
"""What the checksum begins with, so that a damaged form is found like any other damage."""
_LENGTH_BITS = 30
_LENGTH = (1 << _LENGTH_BITS) - 1
_U32 = struct.Struct("<I")
_DIGEST_BYTES = 32


class Parts(NamedTuple):
    """One record as it is written."""

    facts: bytes
    bodies: bytes | None = b""
    """None when they were shed."""

    @property
    def size(self) -> int:
        """Bytes after the frame's header."""
        return _U32.size + len(self.facts) + (_DIGEST_BYTES if self.bodies is None else len(self.bodies))


class Scan(NamedTuple):
    """What a stretch of a segment holds."""

    payloads: list[tuple[int, Parts]]
    """(offset of the frame, record), in order."""
    next: int
    """Where the next frame starts: everything before it is whole and proven."""
    head: bytes | None
    """Hash of the last whole frame; what came in when there was none."""
    damage: Damage | None


class Frame(NamedTuple):
    """One whole frame."""

    form: int
    parts: Parts
    head: bytes
    """Its hash."""
    end: int


def frame(previous: bytes, parts: Parts) -> tuple[bytes, bytes]:
    """The frame's bytes and its hash, which is the next frame's `previous`. Raises ValueError for a record over 64 MiB."""
    facts, bodies = parts
    if bodies is None:
        raise ValueError("a record whose bodies were shed cannot be written again; write the whole record")
    rest = _U32.pack(len(facts)) + facts + bodies
    if len(rest) > MAX_PAYLOAD:
        raise ValueError(f"a record of {len(rest)} bytes is over the journal's limit of {MAX_PAYLOAD}")
    return _packed(_WHOLE, previous, rest), _hash(previous, facts, hashlib.sha256(bodies).digest())


def scan(data: bytes, offset: int, previous: bytes | None) -> Scan:
    """Reads whole frames of `data` from `offset`. `previous` is the hash the first one must name; None accepts what it names
    (for the first frame of a segment, whose link to an earlier segment the caller checks)."""
    payloads: list[tuple[int, Parts]] = []
    while offset < len(data):
        found = frame_at(data, offset, previous)
        if isinstance(found, str):
            return Scan(payloads, offset, previous, found)
        payloads.append((offset, found.parts))
        previous, offset = found.head, found.end
    return Scan(payloads, offset, previous, None)


def shed(data: bytes, previous: bytes | None) -> tuple[bytes, bytes | None]:
    """Whole frames without their bodies, and the hash of the last one, which is what it was. A frame without bodies, one already shed and
    one of the first form stay as they are. Raises ValueError where the frames are not whole and sound."""
    kept: list[bytes] = []
    offset = 0
    while offset < len(data):
        found = frame_at(data, offset, previous)
        if isinstance(found, str):
            raise ValueError(f"offset {offset}: {found}")  # noqa: TRY004 - the bytes are wrong, not their type
        bodies = found.parts.bodies
        if found.form == _WHOLE and bodies:
            facts = found.parts.facts
            rest = _U32.pack(len(facts)) + facts + hashlib.sha256(bodies).digest()
            kept.append(_packed(_SHED, data[offset + 8 : offset + HEADER_BYTES], rest))
        else:
            kept.append(data[offset : found.end])
        previous, offset = found.head, found.end
    return b"".join(kept), previous


def length_at(data: bytes, offset: int = 0) -> int:
    """How many bytes the frame at `offset` says to have after its header."""
    word: int = _U32.unpack_from(data, offset)[0]
    return word & _LENGTH


def hides_frame(data: bytes, offset: int) -> bool:
    """Whether the torn tail at `offset` is in truth a whole frame whose length field was damaged: some shorter one has the
    checksum. Costs about 0.5 µs per byte, so it is asked only about tails that do not go away."""
    return hidden_end(data, offset) is not None


def hidden_end(data: bytes, offset: int) -> int | None:
    """Where the frame at `offset` ends, whatever its damaged length says; None where no length fits its checksum."""
    if len(data) < offset + HEADER_BYTES:
        return None
    return next((end for seed in _SEED.values() if (end := _hidden_end(data, offset, seed)) is not None), None)


def _hidden_end(data: bytes, offset: int, seed: bytes) -> int | None:
    _, want, named = HEADER.unpack_from(data, offset)
    found: int = google_crc32c.value(seed + named)
    for at in range(offset + HEADER_BYTES, len(data)):
        if found == want:
            return at
        found = google_crc32c.extend(found, data[at : at + 1])
    return len(data) if found == want else None


def frame_at(data: bytes, offset: int, previous: bytes | None) -> Damage | Frame:
    """The frame at `offset`, which must follow `previous` (None: whatever it names), or what is wrong there."""
    begin = offset + HEADER_BYTES
    if begin > len(data):
        return "torn"
    word, want, named = HEADER.unpack_from(data, offset)
    form, length = word >> _LENGTH_BITS, word & _LENGTH
    seed, end = _SEED.get(form), begin + length
    follows = previous is None or named == previous
    if end > len(data) and length <= MAX_PAYLOAD and follows and seed is not None:
        return "torn"
    rest = data[begin:end]
    if seed is None or not follows or len(rest) != length or _crc(seed + named, rest) != want:
        return _wrong(data, offset)
    found = _opened(form, named, rest)
    return _wrong(data, offset) if found is None else Frame(form, *found, end)


def _opened(form: int, previous: bytes, rest: bytes) -> tuple[Parts, bytes] | None:
    """(record, hash); None where the parts are not what the form says."""
    if form == FIRST_FORM:
        return Parts(rest), hashlib.sha256(previous + rest).digest()
    if len(rest) < _U32.size:
        return None
    end = _U32.size + _U32.unpack_from(rest)[0]
    facts, bodies = rest[_U32.size : end], rest[end:]
    if end > len(rest) or (form == _SHED and len(bodies) != _DIGEST_BYTES):
        return None
    if form == _SHED:
        return Parts(facts, None), _hash(previous, facts, bodies)
    return Parts(facts, bodies), _hash(previous, facts, hashlib.sha256(bodies).digest())


def _wrong(data: bytes, offset: int) -> Damage:
    """Zeros to the end are what a power cut leaves of a write that was not synced: of a whole frame, or of its later sectors and all that
    followed. No record ends in zeros."""
    rest = data[offset:]
    written = len(rest.rstrip(b"\0"))
    if written == 0:
        return "torn"
    cut_within = len(rest) - written >= ZEROS and written < HEADER_BYTES + length_at(data, offset)
    return "torn" if cut_within else "corrupt"


def _packed(form: int, previous: bytes, rest: bytes) -> bytes:
    word = form << _LENGTH_BITS | len(rest)
    return HEADER.pack(word, _crc(_SEED[form] + previous, rest), previous) + rest


def _crc(first: bytes, rest: bytes) -> int:
    checksum: int = google_crc32c.extend(google_crc32c.value(first), rest)
    return checksum


def _hash(previous: bytes, facts: bytes, digest: bytes) -> bytes:
    return hashlib.sha256(previous + b"\x02" + facts + digest).digest()
