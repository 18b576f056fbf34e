"""Second places for signed heads: standard output, a file on another disk, an S3 bucket. Whoever owns this machine may rewrite the journal,
`heads.log` and the key with it; what stands in a place they cannot write to shows it.

Lines go there in order, each again and again until it is taken; `heads.sent` in the data folder says how far that has come. A line is
put there twice when a crash falls between the two, which harms nobody: readers take an exact repetition as one.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from gateway.storage_settings import Heads

CURSOR = "heads.sent"
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
TIMEOUT_S = 10


class PlaceTrouble(Exception):  # noqa: N818 - names a state, not a mistake
    """The place did not take a line, or does not answer; it will be asked again."""


class Place(Protocol):
    """Where lines are kept a second time."""

    def put(self, n: int, line: bytes) -> None:
        """Durable when it returns, as far as the place can be. Raises PlaceTrouble."""


class Output:
    """Our standard output: for whoever collects the logs of this machine."""

    def put(self, n: int, line: bytes) -> None:
        try:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
        except (OSError, ValueError) as error:
            raise PlaceTrouble(f"standard output takes no heads: {error}") from error


class File:
    """A file that is only added to, on a disk of somebody else's."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, n: int, line: bytes) -> None:
        try:
            with self._path.open("ab") as file:
                if _ends_open(self._path):  # a crash cut a line here
                    file.write(b"\n")
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise PlaceTrouble(f"heads cannot be added to {self._path}: {error.strerror}") from error


def _ends_open(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


class Bucket:
    """One object per line: `<prefix>/<first 16 digits of the public key>/<number>.json`. Best with object lock and versions."""

    def __init__(self, url: str, public: str, *, endpoint: str | None = None, region: str | None = None) -> None:
        parts = urlsplit(url)
        self._bucket = parts.netloc
        self._folder = "/".join(filter(None, (parts.path.strip("/"), public.rpartition(":")[2][:16])))
        self._endpoint, self._region = endpoint, region
        self._client: Any = None

    def put(self, n: int, line: bytes) -> None:
        self._asked("put_object", n, Body=line, ContentType="application/json")

    def get(self, n: int) -> bytes | None:
        """None where there is no such line. Raises PlaceTrouble."""
        found = self._asked("get_object", n)
        body: bytes | None = None if found is None else found["Body"].read()
        return body

    def _asked(self, what: str, n: int, **more: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client = self._client or self._connected()
            return getattr(self._client, what)(Bucket=self._bucket, Key=f"{self._folder}/{n:012d}.json", **more)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchKey":
                return None
            raise PlaceTrouble(f"s3://{self._bucket}/{self._folder} refuses: {error}") from error
        except (BotoCoreError, ValueError) as error:
            raise PlaceTrouble(f"s3://{self._bucket}/{self._folder} cannot be reached: {error}") from error

    def _connected(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"mode": "standard", "max_attempts": 2})
        return boto3.client("s3", endpoint_url=self._endpoint, region_name=self._region, config=config)


def fetched(bucket: Bucket, local: Sequence[bytes]) -> dict[int, bytes]:
    """The lines of a bucket that matter beside `local` ones: the last, which proves all before it, and from the first that differs on.
    Asks for few: each line names the one before, so lines differ from one number on. Raises PlaceTrouble."""
    count = _first(lambda n: bucket.get(n) is None)
    if count == 0:
        return {}
    parts_at = _first(lambda n: n >= min(count, len(local)) or (bucket.get(n) or b"").strip() != local[n].strip())
    return {n: bucket.get(n) or b"" for n in (*range(parts_at, count), count - 1)}


def _first(holds: Callable[[int], bool]) -> int:
    """The first number for which something holds that, once it holds, holds for all greater ones."""
    above = 1
    while not holds(above - 1):
        above *= 2
    below, above = above // 2, above - 1
    while below < above:
        middle = (below + above) // 2
        below, above = (below, middle) if holds(middle) else (middle + 1, above)
    return below


def place_of(settings: Heads, public: str) -> Place | None:
    """The second place that the settings name."""
    to = settings.to
    if to is None:
        return None
    if to == "stdout":
        return Output()
    if to.startswith("file:"):
        return File(Path(to.removeprefix("file:")))
    return Bucket(to, public, endpoint=settings.endpoint, region=settings.region)


class _Sent(Struct):
    """How far a place has come."""

    to: str
    next: int


class Courier:
    """Takes lines to the second place on a thread of its own; whoever signs never waits for it."""

    def __init__(self, data: Path, to: str, place: Place, lines: list[bytes]) -> None:
        """`lines`: all there are, from number 0."""
        self.problem: str | None = None
        self._cursor, self._to, self._place = data / CURSOR, to, place
        self._waiting: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._ending = False
        self.next = min(self._read(), len(lines))
        self._waiting.extend(line.strip() + b"\n" for line in lines[self.next :])
        self._thread = threading.Thread(target=self._run, name="heads", daemon=True)
        self._thread.start()

    def offer(self, line: bytes) -> None:
        """The next line, in order."""
        with self._changed:
            self._waiting.append(line)
            self._changed.notify()

    def close(self, seconds: float = TIMEOUT_S) -> None:
        """Tries what waits once more, at most so long; the rest goes at the next start."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(seconds)

    def _run(self) -> None:
        pause = FIRST_PAUSE_S
        while (line := self._next_line()) is not None:
            try:
                self._place.put(self.next, line)
            except PlaceTrouble as trouble:
                self.problem = f"{trouble}; {len(self._waiting)} signed heads wait for it"
                if self._rest(pause):
                    return
                pause = min(2 * pause, LONGEST_PAUSE_S)
                continue
            self._sent()
            self.problem, pause = None, FIRST_PAUSE_S

    def _next_line(self) -> bytes | None:
        with self._changed:
            while not self._waiting and not self._ending:
                self._changed.wait()
            return self._waiting[0] if self._waiting else None

    def _rest(self, seconds: float) -> bool:
        """Whether it is time to end."""
        with self._changed:
            return self._changed.wait_for(lambda: self._ending, seconds)

    def _sent(self) -> None:
        with self._changed:
            self._waiting.popleft()
        self.next += 1
        fresh = self._cursor.with_suffix(".new")
        with contextlib.suppress(OSError):  # a full disk: then the line goes twice after a restart
            fresh.write_bytes(msgspec.json.encode(_Sent(self._to, self.next)))
            fresh.replace(self._cursor)

    def _read(self) -> int:
        try:
            sent = msgspec.json.decode(self._cursor.read_bytes(), type=_Sent)
        except (OSError, msgspec.DecodeError):
            return 0
        return sent.next if sent.to == self._to else 0
