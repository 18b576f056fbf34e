"""A dated list of names as a Bloom filter: all names of an index in less than four bytes each.

A name that is in the list is always found; one that is not is taken for known once in `1/rate` tries (a million when nothing else is
asked). Attackers choose names, so the hashes are keyed with a salt of the file's own: which wrong names pass is not to be told without it.

Own code, because what counts is around the filter: a file that says what it is (ecosystem, day, count, rate), whose claims are checked
against its size, whose checksum covers all of it, and whose bits are no cheat (a filter of ones knows every name). The filter is ten lines.

    magic 8 | length of the header, u32 | header, JSON | bits | SHA-256 of all before

Not here: reading files, the clock, which lists count.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Final

import msgspec

from gateway.validators.packages.wanted import ECOSYSTEMS, spelled

MAGIC: Final = b"THNAMES1"
DESCRIBED: Final = "#!a dated list of names:"
SALT_BYTES: Final = 16
MAX_RATE: Final = 1e-3
MIN_RATE: Final = 1e-15
MAX_BYTES: Final = 64 * 1024 * 1024
"""Fifteen million names at the usual rate."""
_HASH_BYTES: Final = 32
_LENGTH: Final = struct.Struct(">I")
_HALVES: Final = struct.Struct(">QQ")
_ROOM: Final = 1.03
"""Two hashes stand for all probes, which costs up to a third in the rate; this gives it back."""
_MAX_FILLED: Final = 0.55
"""A filter of the right size is half full."""


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a list says about itself."""

    ecosystem: str
    made: date
    """The day the names were true."""
    count: int
    rate: float
    bits: int
    probes: int
    salt: str
    """Hexadecimal."""


class NameList:
    """Whether a name is in the list. Read with `read`, which checks every byte."""

    def __init__(self, header: Header, bits: bytes) -> None:
        self.header = header
        self._bits = bits
        self._salt = bytes.fromhex(header.salt)

    def __contains__(self, name: str) -> bool:
        bits = self._bits
        return all(bits[at >> 3] & (1 << (at & 7)) for at in _places(name, self._salt, self.header.bits, self.header.probes))


def build(ecosystem: str, names: Iterable[str], *, made: date, salt: bytes, rate: float = 1e-6) -> bytes:
    """The file. Raises ValueError, in words for the operator."""
    if ecosystem not in ECOSYSTEMS:
        raise ValueError(f"there is no ecosystem {ecosystem!r}; take one of {', '.join(ECOSYSTEMS)}")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise ValueError(f"the rate must lie between {MIN_RATE:g} and {MAX_RATE:g}; 1e-6 is one wrong name in a million")
    if len(salt) != SALT_BYTES:
        raise ValueError(f"the salt must have {SALT_BYTES} bytes")
    unique = {spelled(ecosystem, name) for name in names}
    if not unique:
        raise ValueError("there is no name in the list")
    size, probes = _size(len(unique), rate)
    if size // 8 > MAX_BYTES:
        raise ValueError(f"{len(unique)} names at a rate of {rate:g} take more than {MAX_BYTES >> 20} MiB; ask for a larger rate")
    header = Header(ecosystem, made, len(unique), rate, size, probes, salt.hex())
    bits = bytearray(size // 8)
    for name in unique:
        for at in _places(name, salt, size, probes):
            bits[at >> 3] |= 1 << (at & 7)
    told = msgspec.json.encode(header)
    body = MAGIC + _LENGTH.pack(len(told)) + told + bytes(bits)
    return body + hashlib.sha256(body).digest()


def read(data: bytes) -> NameList:
    """Raises ValueError, in words for the operator, unless every byte is as it was built."""
    if not is_one(data):
        raise ValueError("the file is not a list of names; build one with 'tollhouse packages build'")
    if hashlib.sha256(data[:-_HASH_BYTES]).digest() != data[-_HASH_BYTES:]:
        raise ValueError("the list of names is damaged or cut off (its checksum differs); build it again")
    begin = len(MAGIC) + _LENGTH.size
    end = begin + _LENGTH.unpack_from(data, len(MAGIC))[0]
    try:
        header = msgspec.json.decode(data[begin:end], type=Header)
        salt = bytes.fromhex(header.salt)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        raise ValueError("the list of names was made by another version; build it again") from None
    bits = data[end:-_HASH_BYTES]
    _check(header, salt, bits)
    return NameList(header, bits)


def described(data: bytes) -> str:
    """In the place of the list where text is kept: enough to tell it from any other."""
    return f"{DESCRIBED} {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}\n"


def is_one(data: bytes) -> bool:
    return data.startswith(MAGIC) and len(data) > len(MAGIC) + _LENGTH.size + _HASH_BYTES


def _check(header: Header, salt: bytes, bits: bytes) -> None:
    known = header.ecosystem in ECOSYSTEMS and len(salt) == SALT_BYTES
    sized = known and header.count > 0 and MIN_RATE <= header.rate <= MAX_RATE
    if not sized or (header.bits, header.probes) != _size(header.count, header.rate) or len(bits) * 8 != header.bits:
        raise ValueError("the list of names says what cannot be (its size does not fit its names); build it again")
    if int.from_bytes(bits, "big").bit_count() > _MAX_FILLED * header.bits + 64:
        raise ValueError("the list of names knows more names than it says; build it again")


def _size(count: int, rate: float) -> tuple[int, int]:
    """Bits, a multiple of 8, and probes (Bloom 1970: m = -n ln p / ln² 2, k = m/n ln 2)."""
    bits = math.ceil(-count * math.log(rate) / math.log(2) ** 2 * _ROOM)
    probes = max(1, round(bits / count * math.log(2)))
    return max(64, -(-bits // 8) * 8), probes


def _places(name: str, salt: bytes, bits: int, probes: int) -> Iterator[int]:
    """Enhanced double hashing (Dillinger and Manolios 2004): as good as independent hashes."""
    x, y = _HALVES.unpack(hashlib.blake2b(name.encode(), key=salt, digest_size=_HALVES.size).digest())
    x, y = x % bits, y % bits
    for i in range(probes):
        yield x
        x = (x + y) % bits
        y += i
