"""A stream on its way to a client: words that must not leave are replaced, or the answer ends before them.

Events leave as they came, to the byte, unless words in them were changed.

1. An event leaves when all its words are settled (see `textwindow`), and in the order of its lane. Lanes (choices, blocks, items) do not
   wait for each other; what closes the answer waits for all.
2. A text that other events of its lane have followed for a look-back has ended, until it goes on.
3. Words that a signature covers wait for their end, and cannot be replaced: where that is asked for, the answer ends before them.
4. Once the answer is denied nothing more of it leaves but that it ended well and what it cost.
5. An answer that is known to end before it begins (`condemned`) ends before its first word, or where it would have ended without one.
6. Where nothing can be replaced or stopped (`Watching`), the words are heard and nothing is delayed.

Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct, field

from gateway.answer import MOST_TEXT
from gateway.dialects import sse
from gateway.dialects.texts import Channel, Retelling, Slot, Told, runs, written
from gateway.screening.screens import AnswerScreen, Harmless, Pieced, Unchangeable
from gateway.strict_json import Json
from gateway.textwindow import Hit, Window

H = TypeVar("H", bound=Hit)
_EVENT_BYTES = 64 * 1024 * 1024
"""The decoder has bounded events long before; written anew they are a little longer."""
_EVENTS = 2**31

UNREADABLE = (KeyError, TypeError, AttributeError, ValueError)
"""What a stream that nobody has checked can be: of other types than its dialect has, or no JSON (`msgspec.DecodeError` is a ValueError)."""

_decode = msgspec.json.Decoder().decode


NOTHING_BEFORE: Mapping[Channel, str] = {}


class _Segment(Struct, Generic[H], frozen=True):
    """A piece of a text, in its event."""

    slot: Slot
    window: Window[H]
    start: int

    @property
    def text(self) -> str:
        text: str = self.slot.holder[self.slot.key]
        return text

    @property
    def settled(self) -> bool:
        return self.start + len(self.text) <= self.window.settled

    @property
    def stopped(self) -> bool:
        return self.window.stop is not None and self.window.stop < self.start + len(self.text)


class _Frame(Struct, Generic[H]):
    raw: bytes
    name: str | None
    tree: dict[str, Json]
    told: Told
    segments: list[_Segment[H]] = field(default_factory=list)
    copies: list[tuple[Slot, str]] = field(default_factory=list)
    """Texts of their own that were changed, and their new words."""
    stopping: tuple[H, ...] = ()
    """Hits in a text of its own that end the answer."""

    @property
    def stopped(self) -> _Segment[H] | None:
        return next((segment for segment in self.segments if segment.stopped), None)

    @property
    def doomed(self) -> bool:
        """Whether the answer ends before it."""
        return bool(self.stopping) or self.stopped is not None


class _Lane(Generic[H]):
    def __init__(self) -> None:
        self.frames: deque[_Frame[H]] = deque()
        self.windows: dict[Channel, Window[H]] = {}
        self.heard = 0
        self.ended = self.waits = False
        """Until its end, for it counts as a whole."""
        self.last_heard: dict[Channel, int] = {}


class Screening(Generic[H]):
    """One streamed answer."""

    def __init__(
        self,
        screen: AnswerScreen[H],
        retelling: Retelling,
        *,
        explain: Callable[[Sequence[H]], str],
        note: Callable[[H, str], None],
        before: Mapping[Channel, str] = NOTHING_BEFORE,
        condemned: Sequence[H] = (),
    ) -> None:
        """`explain` says why the rest is withheld; `note` is told of each hit and of the words it is about; `before` is how texts ended
        that have left already."""
        self._before, self._condemned = before, tuple(condemned)
        self._screen, self._beside = screen, screen.beside
        self._retelling, self._explain, self._note = retelling, explain, note
        self._parser = sse.SseParser(_EVENT_BYTES, _EVENTS)
        self._lanes: dict[int, _Lane[H]] = {}
        self._texts: list[str] = []
        self._room = MOST_TEXT
        self.denied: tuple[H, ...] = ()
        self.changed = False

    @property
    def text(self) -> str:
        """What was said, as it left."""
        return "".join(self._texts)

    @property
    def differs(self) -> bool:
        """Whether what has left is something else than what came."""
        return self.changed or bool(self.denied) or self.waiting

    @property
    def waiting(self) -> bool:
        """Whether something is held back."""
        return any(lane.frames for lane in self._lanes.values())

    @property
    def own(self) -> Mapping[str, str]:
        """Ids of the gateway's own words in this answer, where they have one."""
        return self._retelling.own

    def through(self, data: bytes) -> bytes:
        """What may leave, now that this would be sent."""
        return b"".join([self._event(event) for event in self._parser.feed(data)])

    def settle(self, lane: int | None = None) -> bytes:
        """What still waits, because what follows must not overtake it: all of it, or that of one lane."""
        lanes = list(self._lanes.values()) if lane is None else [self._lanes[lane]] if lane in self._lanes else []
        out = []
        for one in lanes:
            self._finish(one)
            out.append(self._release(one))
        return b"".join(out)

    def _event(self, event: sse.SseEvent) -> bytes:
        if event.data is None:
            return event.raw
        if event.data == b"[DONE]":
            return self.settle() + event.raw
        tree = _decode(event.data)
        if self.denied:
            return self._rest(tree, event.event)
        frame: _Frame[H] = _Frame(event.raw, event.event, tree, self._retelling.read(tree))
        if self._condemned and _says_or_ends(frame):
            frame.stopping = self._condemned
            return self._deny(frame)
        if frame.told.lane is None:
            before = self.settle() if frame.told.closes else b""
            self._hear(frame, None)
            return before + (self._rest(tree, event.event) if self.denied else self._emit(frame))
        lane = self._lanes.setdefault(frame.told.lane, _Lane())
        self._hear(frame, lane)
        lane.frames.append(frame)
        lane.waits = lane.waits or (frame.told.waits and not self._screen.rewrites_signed)
        if frame.told.ends:
            self._finish(lane)
        return self._release(lane)

    # Listening

    def _hear(self, frame: _Frame[H], lane: _Lane[H] | None) -> None:
        for slot in frame.told.slots:
            text = slot.holder[slot.key]
            if text and slot.channel is not None and lane is not None:
                frame.segments.append(self._heard(lane, slot, slot.channel, text))
        for pieces in runs(slot for slot in frame.told.slots if slot.channel is None or lane is None):
            self._look(frame, pieces)
        if lane is not None and frame.segments:
            lane.last_heard |= {slot.channel: lane.heard for slot in frame.told.slots if slot.channel is not None and slot.holder[slot.key]}
            if not self._screen.buffers:
                self._end_overtaken(lane)

    def _heard(self, lane: _Lane[H], slot: Slot, channel: Channel, text: str) -> _Segment[H]:
        window = lane.windows.get(channel)
        if window is None:
            screen = self._screen_of(slot)
            whole = self._screen.buffers or (slot.signed and not self._screen.rewrites_signed)
            window = lane.windows[channel] = Window(screen, whole=whole, before=self._before.get(channel, ""))
        start = window.end
        lane.heard += len(text)
        self._noted(window, window.feed(text))
        return _Segment(slot, window, start)

    def _screen_of(self, slot: Slot) -> AnswerScreen[H]:
        screen = self._beside if slot.beside else self._screen
        return Unchangeable(screen) if slot.signed and not screen.rewrites_signed else screen

    def _look(self, frame: _Frame[H], pieces: Sequence[Slot]) -> None:
        """A text of its own."""
        texts = [slot.holder[slot.key] or "" for slot in pieces]
        window = Window(Pieced(self._screen_of(pieces[0]), texts), whole=True)
        for text in texts:
            window.feed(text)
        self._noted(window, window.finish())
        if window.stop is not None:
            frame.stopping = frame.stopping or window.stopping
            return
        at = 0
        for slot, text in zip(pieces, texts, strict=True):
            if (said := window.said(at, text)) != text:
                frame.copies.append((slot, said))
            at += len(text)

    def _end_overtaken(self, lane: _Lane[H]) -> None:
        for channel, window in lane.windows.items():
            if window.settled < window.end and lane.heard - lane.last_heard[channel] > self._screen.look_back:
                self._noted(window, window.finish())

    def _finish(self, lane: _Lane[H]) -> None:
        lane.ended = True
        for window in lane.windows.values():
            self._noted(window, window.finish())

    def _noted(self, window: Window[H], hits: Sequence[H]) -> None:
        for hit in hits:
            self._note(hit, window.words(hit.start, hit.end))

    # Letting go

    def _release(self, lane: _Lane[H]) -> bytes:
        if lane.waits and not lane.ended:
            return b""
        doomed = next((frame for frame in lane.frames if frame.doomed), None) if lane.waits else None
        if doomed is not None:
            return self._deny(doomed)
        out: list[bytes] = []
        while lane.frames and not self.denied and all(segment.settled for segment in lane.frames[0].segments):
            out.append(self._emit(lane.frames.popleft()))
        return b"".join(out)

    def _emit(self, frame: _Frame[H]) -> bytes:
        if frame.doomed:
            return self._deny(frame)
        told, lane = frame.told, self._lanes.get(frame.told.lane) if frame.told.lane is not None else None
        about = lane.windows.get(told.about) if lane is not None and told.about is not None else None
        if about is not None and about.changed:
            return b""
        changed = self._fill(frame)
        adjusted = self._retelling.adjust(frame.tree)
        self._retelling.left(frame.tree)
        return written((frame.name, frame.tree)) if changed or adjusted else frame.raw

    def _fill(self, frame: _Frame[H]) -> bool:
        """Puts the words that leave in their places; whether they are others than came."""
        news = [(segment.slot, segment.window.said(segment.start, segment.text)) for segment in frame.segments]
        for slot, text in news:
            if slot.said:
                self._keep(text)
        changes = [(slot, text) for slot, text in news + frame.copies if slot.holder[slot.key] != text]
        for slot, text in changes:
            slot.holder[slot.key] = text
        if changes:
            self.changed = True
            self._retelling.changed(frame.tree)
        return bool(changes)

    def _keep(self, text: str) -> None:
        if self._room > 0:
            self._texts.append(text[: self._room])
            self._room -= len(self._texts[-1])

    # Denying

    def _deny(self, frame: _Frame[H]) -> bytes:
        """Ends the answer before this event; of what is said in it the beginning may still leave."""
        stopped = frame.stopped
        before = stopped.window.said(stopped.start, stopped.text) if stopped is not None and stopped.slot.said else ""
        self.denied = stopped.window.stopping if stopped is not None else frame.stopping
        text = self._explain(self.denied)
        self._keep(f"{before}\n\n{text}" if before or self._texts else text)
        out = [self._sent(*told) for told in self._retelling.withheld(frame.told.lane, before, text)]
        waiting = [frame, *(other for lane in self._lanes.values() for other in lane.frames)]
        self._lanes.clear()
        return b"".join([*out, *(self._rest(other.tree, other.name) for other in waiting)])

    def _rest(self, tree: dict[str, Json], name: str | None) -> bytes:
        left = self._retelling.after(tree)
        return b"" if left is None else self._sent(left.get("type", name) if name else name, left)

    def _sent(self, name: str | None, tree: dict[str, Json]) -> bytes:
        self._retelling.adjust(tree)
        self._retelling.left(tree)
        return written((name, tree))


def _says_or_ends(frame: _Frame[H]) -> bool:
    told = frame.told
    return told.ends or told.closes or any(slot.holder[slot.key] for slot in told.slots)


class Watching(Generic[H]):
    """One streamed answer that nothing is done to: its words are heard as they pass."""

    def __init__(self, screen: AnswerScreen[H], retelling: Retelling, *, note: Callable[[H, str], None]) -> None:
        self._screening: Screening[H] = Screening(Harmless(screen), retelling, explain=lambda hits: "", note=note)
        self.denied: tuple[H, ...] = ()
        self.changed = self.differs = False
        self.text = ""
        self.own: Mapping[str, str] = {}
        self.lost = False
        """The stream could not be followed to its end."""

    def through(self, data: bytes) -> bytes:
        if not self.lost:
            try:
                self._screening.through(data)
            except UNREADABLE:
                self.lost = True
        return data

    def settle(self, lane: int | None = None) -> bytes:
        if not self.lost:
            self._screening.settle(lane)
        return b""
