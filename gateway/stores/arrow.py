"""Rows in Arrow's form, in batches of a size of ours: out of DuckDB, into DuckDB, and as bytes between processes and to people.

By way of nanoarrow, which is Apache's own and a fiftieth of pyarrow. Three things that are not done elsewhere are done here:

1. DuckDB gives out a result batch by batch only to `pyarrow.lib.RecordBatchReader._import_from_c`: its `__arrow_c_stream__` computes all of
   it first, outside its memory limit. What it gives there is a plain Arrow C stream, so a module of that name stands in for the moment of
   the call. Where pyarrow is installed, it is neither needed nor loaded.
2. Computing the next batch may take seconds. The stream is asked through ctypes, which lets other threads run meanwhile: nobody could
   interrupt it otherwise, and a question over rows that Python brings would wait for itself.
3. Where a number or a time is NULL, DuckDB gives out whatever lay in its memory: beginnings of other rows' texts, of whomever, and
   addresses. What leaves here has zeros there.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from types import ModuleType, SimpleNamespace
from typing import Any, Protocol

import duckdb
from nanoarrow import c_array_stream, ipc
from nanoarrow.c_array import CArray
from nanoarrow.c_array_stream import CArrayStream
from nanoarrow.c_schema import CSchema

__all__ = ["ArrowError", "Batches", "CArray", "CArrayStream", "CSchema", "Scanned", "Writer", "batches", "read_stream", "stream_of"]


class ArrowError(RuntimeError):
    """What a stream said when it broke off: DuckDB's own words where it comes from there."""


class Writable(Protocol):
    def write(self, data: bytes, /) -> Any: ...


class _CStream(ctypes.Structure):
    """ArrowArrayStream, as https://arrow.apache.org/docs/format/CStreamInterface.html lays it down."""

    _fields_ = (
        ("get_schema", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)),
        ("get_next", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)),
        ("get_last_error", ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)),
        ("release", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        ("private_data", ctypes.c_void_p),
    )


class Batches(Iterator[CArray]):
    """What is left of a stream. Not to be read by two threads at once. Close it: who computes the rows may have to be waited for."""

    def __init__(self, stream: CArrayStream) -> None:
        self._stream = stream
        self._c = _CStream.from_address(_address(stream))
        self.schema: CSchema = stream.get_schema()

    def __next__(self) -> CArray:
        """Raises ArrowError."""
        if not self._stream.is_valid():
            raise StopIteration
        batch = CArray.allocate(self.schema)
        if self._c.get_next(_address(self._stream), _address(batch)):
            said = self._c.get_last_error(_address(self._stream))
            raise ArrowError((said or b"the stream of rows broke off").decode(errors="replace"))
        if not batch.is_valid():
            raise StopIteration
        _blank_nulls(batch.view())
        return batch

    def close(self) -> None:
        if self._stream.is_valid():
            self._c.release(_address(self._stream))


def batches(found: duckdb.DuckDBPyConnection, rows: int) -> Batches:
    """The result of what was executed last, at most so many rows at a time. Raises duckdb.Error."""
    with _LENDING:
        real = sys.modules.get(_PYARROW.__name__)
        sys.modules[_PYARROW.__name__] = _PYARROW
        try:
            return Batches(found.to_arrow_reader(rows))
        finally:
            del sys.modules[_PYARROW.__name__]
            if real is not None:
                sys.modules[_PYARROW.__name__] = real


def _blank_nulls(column: Any) -> None:
    """In the place of what is NULL, in a column of fixed width and in those inside of it (nanoarrow's CArrayView, over memory that nobody
    else reads)."""
    for inside in column.children:
        _blank_nulls(inside)
    count = column.offset + column.length
    if column.n_buffers != 2 or column.buffer_type(1) != "data" or not count or not column.null_count:
        return
    valid, data = column.buffer(0), column.buffer(1)
    size, width = data.size_bytes, data.size_bytes // count
    if not valid.size_bytes or not width:  # nothing is NULL; single bits
        return
    mask = b"".join(map(_masks(width).__getitem__, bytes(valid)))[:size].ljust(size, b"\0")
    blank = int.from_bytes(bytes(data), "little") & int.from_bytes(mask, "little")
    ctypes.memmove(data._addr(), blank.to_bytes(size, "little"), size)  # noqa: SLF001 - as `_address`


@lru_cache
def _masks(width: int) -> tuple[bytes, ...]:
    """For each byte of a validity bitmap: what to keep of the eight values that it is about."""
    keep, blank = b"\xff" * width, bytes(width)
    return tuple(b"".join(keep if byte >> bit & 1 else blank for bit in range(8)) for byte in range(256))


def _address(of: CArray | CArrayStream) -> int:
    address: int = of._addr()  # noqa: SLF001 - nanoarrow's own documentation has it so
    return address


def _taken(address: int) -> CArrayStream:
    """The stream there, moved here: whoever gave it looks at it no more."""
    stream = CArrayStream.allocate()
    ctypes.memmove(_address(stream), address, ctypes.sizeof(_CStream))
    return stream


_PYARROW: Any = ModuleType("pyarrow")
_PYARROW.lib = SimpleNamespace(RecordBatchReader=SimpleNamespace(_import_from_c=_taken))
_LENDING = threading.Lock()


class Scanned:
    """Rows for DuckDB, begun anew each time they are scanned (the Arrow PyCapsule interface)."""

    def __init__(self, begin: Callable[[], CArrayStream], schema: CSchema) -> None:
        self._begin, self._schema = begin, schema

    def __arrow_c_schema__(self) -> object:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._begin().__arrow_c_stream__()


def stream_of(arrays: Iterable[CArray], schema: CSchema) -> CArrayStream:
    """Rows that are held here; they may be streamed again."""
    return CArrayStream.from_c_arrays(list(arrays), schema, move=False, validate=False)


class Writer:
    """Rows into a file, in Arrow's stream format. The file is not closed."""

    def __init__(self, file: Writable, schema: CSchema) -> None:
        """What the file raises, here and later, is raised."""
        self._file = _Told(file)
        self._stream = ipc.StreamWriter.from_writable(self._file)
        self._write(lambda: self._stream.write_stream(stream_of([], schema)))

    def write(self, batch: CArray) -> None:
        self._write(lambda: self._stream.write_array(batch))

    def close(self) -> None:
        """Says that this is all."""
        self._write(self._stream.close)

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except RuntimeError as error:
            raise self._file.taken() or ArrowError(str(error)) from error


class _Told:
    """A file that remembers what it raised, of which nanoarrow keeps the words alone."""

    def __init__(self, file: Writable) -> None:
        self._file = file
        self._error: Exception | None = None

    def write(self, data: bytes) -> Any:
        try:
            return self._file.write(data)
        except Exception as error:
            self._error = error
            raise

    def taken(self) -> Exception | None:
        """Once: who kept it would keep, by its traceback, the rows that were on their way."""
        error, self._error = self._error, None
        return error


def read_stream(file: Any) -> CArrayStream:
    """Of a file with `readinto` that holds Arrow's stream format. The file is not closed."""
    return c_array_stream(ipc.InputStream.from_readable(file))
