"""The hold: text flows at once, a tool call waits for its verdict.

Rules, which every change must keep:

1. A byte of a call leaves only after that call's verdict, and only if it was released.
2. What is delivered was encoded from the value that was judged, never from the provider's bytes (while judging).
3. The finishing frame says what was delivered, not what was proposed.
4. Once a stream is broken nothing of it leaves any more, held calls least of all.
5. While only observing, the client gets the provider's bytes, all of them and in their order; a stream that cannot be decoded, or that
   would make the observer keep too much back, is passed on undecoded and says so (`Undecodable`).

Pure: the pipeline feeds bytes and acts on the steps, in order, answering each `Judge` by `settle` before it takes the next step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from msgspec import Struct

from gateway.dialects import Stream
from gateway.dialects.events import UNTOLD, Broken, Ended, Event, Forward, Held, Hidden, Proposed, Said
from gateway.verdict import Call

MOST_WAITING = 8 * 1024 * 1024
"""Bytes an observer keeps back behind a call: the largest arguments that a judge accepts, in frames of a few characters each, fit in it."""


class Send(Struct, frozen=True):
    """Bytes for the client."""

    data: bytes
    said: Said | None = None
    """As in `Forward`."""


class Judge(Struct, frozen=True):
    """A call wants its verdict: answer with `settle` before the next step."""

    call: Call


class Finishing(Struct, frozen=True):
    """The last choice ended; what follows is the tail of the answer."""


class Break(Struct, frozen=True):
    """The stream cannot go on."""

    broken: Broken


class Undecodable(Struct, frozen=True):
    """Observing only: from here on the stream is passed on undecoded."""

    broken: Broken


Step: TypeAlias = Send | Judge | Finishing | Break | Undecodable


class Judging:
    """The hold of a gateway that enforces."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._released: dict[int, int] = {}
        self._withheld: dict[int, int] = {}
        self._settled: tuple[bool, str, Call | None] | None = None
        self._broken = False

    def feed(self, chunk: bytes) -> Iterator[Step]:
        return self._steps(self._stream.feed(chunk))

    def close(self) -> Iterator[Step]:
        return self._steps(self._stream.close())

    def settle(self, *, released: bool, text: str, edited: Call | None = None) -> None:
        """The verdict over the call of the last `Judge`; `text` takes its place when it is not released, `edited` (the same call with
        other arguments, judged as such) when it is."""
        self._settled = (released, text, edited)

    def _steps(self, events: Iterator[Event]) -> Iterator[Step]:
        if self._broken:
            return
        for event in events:
            match event:
                case Forward(raw=raw, clean=clean, said=said):
                    yield Send(raw if clean is None else clean, said)
                case Held() | Hidden():
                    continue
                case Proposed(call=call):
                    yield Judge(call)
                    yield Send(self._deliver(call))
                case Ended(choice=choice, last=last):
                    if last:
                        yield Finishing()
                    yield Send(self._stream.ended(event, self._released.get(choice, 0), self._withheld.get(choice, 0)), UNTOLD)
                case _:
                    self._broken = True
                    yield Break(event)
                    return

    def _deliver(self, call: Call) -> bytes:
        if self._settled is None:
            raise RuntimeError("a call was stepped over without a verdict")
        (released, text, edited), self._settled = self._settled, None
        count = self._released if released else self._withheld
        count[call.choice] = count.get(call.choice, 0) + 1
        return self._stream.release(edited or call) if released else self._stream.explain(call, text)


class Observing:
    """The hold of a gateway that only observes: same verdicts, untouched bytes."""

    def __init__(self, stream: Stream, most: int = MOST_WAITING) -> None:
        self._stream, self._most = stream, most
        self._uncovered = bytearray()
        """Fed bytes that no event has covered yet."""
        self._waiting = bytearray()
        """Bytes behind a call whose verdict is not recorded yet."""
        self._undecodable = False

    def feed(self, chunk: bytes) -> Iterator[Step]:
        if self._undecodable:
            yield Send(chunk)
            return
        self._uncovered += chunk
        yield from self._steps(self._stream.feed(chunk))

    def close(self) -> Iterator[Step]:
        if self._undecodable:
            return
        yield from self._steps(self._stream.close())
        yield from self._rest()

    def settle(self, *, released: bool, text: str, edited: Call | None = None) -> None:
        """Observing, a verdict changes nothing."""

    def _steps(self, events: Iterator[Event]) -> Iterator[Step]:
        for event in events:
            if isinstance(event, Broken):
                yield from self._give_up(event)
                return
            if isinstance(event, Proposed):
                yield Judge(event.call)
                if not event.more and self._waiting:
                    yield Send(self._flush())
                continue
            del self._uncovered[: len(event.raw)]
            if isinstance(event, Hidden):
                continue
            if isinstance(event, Held) or self._waiting:
                self._waiting += event.raw
                if len(self._waiting) > self._most:
                    yield from self._give_up(Broken("hold_limit", f"more than {self._most} bytes wait behind a call"))
                    return
                continue
            if isinstance(event, Ended) and event.last:
                yield Finishing()
            yield Send(event.raw, event.said if isinstance(event, Forward) else UNTOLD)

    def _give_up(self, broken: Broken) -> Iterator[Step]:
        self._undecodable = True
        yield Undecodable(broken)
        yield from self._rest()

    def _rest(self) -> Iterator[Step]:
        if rest := self._flush() + bytes(self._uncovered):
            self._uncovered.clear()
            yield Send(rest)

    def _flush(self) -> bytes:
        data = bytes(self._waiting)
        self._waiting.clear()
        return data


Hold: TypeAlias = Judging | Observing
