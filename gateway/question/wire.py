"""What office and reader say to each other: JSON in frames over a socket pair; file descriptors of pipes travel beside them.

    reader → office   Ready          which process it is, and how well it is fenced in
    office → reader   Start          the schema and the question (to a copyist: Copy)
    reader → office   Needs          what the plan reads; answered by Lent. Said again: other rows of the same tables and snapshot
    reader → office   Fetch          one of these tables, now; answered by Lent with the reading end of a pipe (an Arrow IPC stream)
    reader → office   Done | Failed  the last word; Done is followed by the answer's bytes

The reader has read hostile SQL: the office believes nothing it says beyond what these types and `Shape` allow.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from gateway.stores.lending import Need, Shape
from gateway.stores.media_types import Form

Scalar = str | int | float | bool | None
MAX_MESSAGE = 1024 * 1024
MAX_BODY = 80 * 1024 * 1024
"""Bytes of one answer; what `forms` makes stays below."""


class Question(Struct, frozen=True):
    """What somebody wants to know."""

    sql: str
    limit: int = 1000
    params: Mapping[str, Scalar] = {}
    form: Form = "json"


BROKEN = "sql_broken"
"""Code of a Failed that is the reader's own fault; the message says where."""


class Ready(Struct, frozen=True, tag="ready"):
    """Said before any SQL was seen, so it is true."""

    pid: int
    network: bool
    """Whether it has left the network."""
    files: bool
    """Whether it can no longer open files."""


class Start(Struct, frozen=True, tag="start"):
    shape: Shape
    question: Question


class Copy(Struct, frozen=True, tag="copy"):
    """To a copyist instead of Start: where to write, what began when at the earliest (UTC), and whether as a folder of Parquet files."""

    shape: Shape
    public: Sequence[str]
    out: str
    since: str | None
    parquet: bool


class Needs(Struct, frozen=True, tag="needs"):
    of: Sequence[Need]


class Fetch(Struct, frozen=True, tag="fetch"):
    table: str


class Lent(Struct, frozen=True, tag="lent"):
    """A pipe comes with it after Fetch."""


class Done(Struct, frozen=True, tag="done"):
    """`body` is the length of what follows."""

    rows: int
    truncated: bool
    body: int


class Failed(Struct, frozen=True, tag="failed"):
    code: str
    message: str
    position: int | None = None
    """Where in the SQL, in characters from its start."""


class Reply(NamedTuple):
    """An answer in the form that was wanted."""

    body: bytes
    rows: int
    truncated: bool


ToReader = Start | Copy | Lent
ToOffice = Ready | Needs | Fetch | Done | Failed
_encode = msgspec.json.Encoder().encode
read_by_reader: Callable[[bytes], ToReader] = msgspec.json.Decoder(ToReader).decode
read_by_office: Callable[[bytes], ToOffice] = msgspec.json.Decoder(ToOffice).decode


def send(connection: socket.socket, message: ToReader | ToOffice, descriptor: int | None = None) -> None:
    data = _encode(message)
    head = len(data).to_bytes(4, "big")
    if descriptor is None:
        connection.sendall(head + data)
        return
    socket.send_fds(connection, [head], [descriptor])
    connection.sendall(data)


def receive(connection: socket.socket) -> bytes:
    """One message. Raises EOFError when the other side is gone, ValueError for a message nobody may send."""
    data, descriptors = receive_with(connection, 0)
    del descriptors
    return data


def receive_with(connection: socket.socket, at_most: int) -> tuple[bytes, list[int]]:
    """One message and the descriptors that came with it."""
    head, descriptors, _, _ = socket.recv_fds(connection, 4, at_most) if at_most else (connection.recv(4), [], 0, None)
    if head and len(head) < 4:
        head += exactly(connection, 4 - len(head))
    if not head:
        raise EOFError
    length = int.from_bytes(head, "big")
    if length > MAX_MESSAGE:
        raise ValueError(f"a message of {length} bytes")
    return exactly(connection, length), list(descriptors)


def exactly(connection: socket.socket, length: int) -> bytes:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        got = connection.recv_into(view)
        if not got:
            raise EOFError
        view = view[got:]
    return bytes(data)
