"""The file of signed heads, `<data>/heads.log`: one writer (the book), lines that are only ever added. What they say: `trace/heads.py`.

A line is durable before anybody acts on it; what a crash left half written is cut off at the next start, for nobody was told of it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway import secret
from gateway.errors import StartError
from gateway.trace import heads
from gateway.trace.heads import Head, Kind, Line

NAME = "heads.log"
KEY_NAME = "signing.key"
_BEGIN, _END = b'{"line":', b'"}'


def signing_key(data: Path) -> Ed25519PrivateKey:
    """The installation's key, made now if there is none. Raises StartError."""
    return Ed25519PrivateKey.from_private_bytes(secret.read_or_create(data, KEY_NAME))


class HeadsLog:
    """Opens the file of a data folder. Raises StartError when it cannot be gone on with."""

    def __init__(self, data: Path, key: Ed25519PrivateKey, now_us: int) -> None:
        self.path = data / NAME
        self._key = key
        self.last: dict[str, Head] = {}
        """The newest head of each segment that is not removed."""
        self.said_by: dict[str, int] = {}
        """The number of the line with that head."""
        self.shed: set[str] = set()
        self.removed: dict[str, Head] = {}
        self.count = 0
        self._previous = heads.GENESIS
        self._fd = self._open()
        self._take_up()
        if self.count == 0:
            self.add("key", (), now_us)

    def add(self, kind: Kind, said: Sequence[Head], now_us: int) -> bytes:
        """The new line, durable. Raises OSError; then nothing was said."""
        named = heads.public_text(self._key.public_key()) if kind == "key" else ""
        line = Line(self.count, kind, now_us, self._previous, tuple(said), named)
        text = heads.seal(line, self._key)
        self._write(text)
        self._note(line, text)
        return text

    def close(self) -> None:
        os.close(self._fd)

    def _open(self) -> int:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartError(f"cannot open {self.path}: {error.strerror}; it holds the signed heads of the journal") from error

    def _take_up(self) -> None:
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.ftruncate(self._fd, len(whole))
        found = heads.read(whole.splitlines(), self._key.public_key())
        if found.problem:
            raise StartError(
                f"{self.path} cannot be believed ({found.problem}): see 'tollhouse verify'. To go on, move it away together with "
                f"{KEY_NAME}, and keep both: what was signed so far is proven by them alone"
            )
        for line, text in zip(found.lines, found.texts, strict=True):
            self._note(line, text)

    def _write(self, text: bytes) -> None:
        size = os.fstat(self._fd).st_size
        try:
            view = memoryview(text)
            while view:
                view = view[os.write(self._fd, view) :]
            os.fsync(self._fd)
        except OSError:
            os.ftruncate(self._fd, size)
            raise

    def _note(self, line: Line, text: bytes) -> None:
        self.count, self._previous = line.n + 1, heads.digest(text)
        for head in line.heads:
            if line.kind == "removed":
                self.removed[head.segment] = head
                self.last.pop(head.segment, None)
                self.shed.discard(head.segment)
            elif line.kind == "shed":
                self.shed.add(head.segment)
            else:
                self.last[head.segment], self.said_by[head.segment] = head, line.n


def read(file: Path, key: Ed25519PublicKey) -> heads.Reading:
    """What a file of lines says: `heads.log`, or a log that has the lines among others (a second place that is somebody's standard output).
    Raises OSError."""
    return heads.read(lines_of(file), key)


def lines_of(file: Path) -> list[bytes]:
    """Lines that look like heads, and whole: what a crash cut was never said, or is said again."""
    data = file.read_bytes()
    found = data[: data.rfind(b"\n") + 1].splitlines()
    return [line[line.index(_BEGIN) :] for line in found if _BEGIN in line and line.endswith(_END)]


def removed(data: Path) -> set[str]:
    """Segments of which a believed line says that they were removed. Raises StartError for a key that cannot be read."""
    file = data / NAME
    if not file.is_file():
        return set()
    found = read(file, signing_key(data).public_key())
    return {head.segment for line in found.lines if line.kind == "removed" for head in line.heads}
