"""What is said again and again: messages, because agents resend the whole conversation each turn, and prompt versions. They are addressed
by content and written once per journal stream. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gateway.exchange import Exchange
from gateway.prompt.fingerprint import Fingerprint
from gateway.recent import Recent
from gateway.request import Message
from gateway.trace import media
from gateway.trace.exchange_rows import MessageRow
from gateway.trace.hand import Hand, Hands, about_message, about_prompt
from gateway.trace.pens import Pen
from gateway.trace.prompt_rows import PromptRow

SEEN = 65_536
PROMPT = "prompt:"
"""Prompt texts share the memory of message bodies under this prefix."""


class Seen:
    """Which message bodies this journal stream has already written: bounded; what was asked for longest ago is forgotten, in two
    generations as in `recent`."""

    def __init__(self, size: int = SEEN) -> None:
        self._most = max(1, size // 2)
        self._young: set[str] = set()
        self._old: set[str] = set()
        self._begin_anew = False

    def begin_anew(self) -> None:
        """Bodies are to be written again, each when it comes next: retention takes them away by segments, and what is still being said must
        not go with the segment in which it was said first. May be called from any thread."""
        self._begin_anew = True

    def first(self, address: str) -> bool:
        """True exactly when the body has to be written."""
        self._anew()
        if address in self._young:
            return False
        new = address not in self._old
        self._old.discard(address)
        self._young.add(address)
        if len(self._young) >= self._most:
            self._old, self._young = self._young, set()
        return new

    def firsts(self, addresses: Iterable[str]) -> set[str]:
        """Those whose bodies have to be written: of a long conversation hardly any."""
        self._anew()
        return {address for address in addresses if address not in self._young and self.first(address)}

    def _anew(self) -> None:
        if self._begin_anew:
            self._begin_anew = False
            self._young.clear()
            self._old.clear()

    def forget(self, addresses: Iterable[str]) -> None:
        """These could not be written after all."""
        for address in addresses:
            self._young.discard(address)
            self._old.discard(address)


class Texts:
    """Messages and prompt versions, written by the hand of their exchange."""

    def __init__(self, hands: Hands, seen: Seen) -> None:
        self.seen = seen
        self._hands = hands
        self._addresses: Recent[tuple[bytes, str]] = Recent(16 * 1024 * 1024)
        """(key, address) of messages by their bytes."""

    def request_messages(self, x: Exchange, now_us: int) -> tuple[tuple[str, ...], tuple[MessageRow, ...]]:
        """(addresses in order, rows of those not written before)."""
        hand, messages = self._hands.of(x.storing, x.caller), x.request.messages if x.request else ()
        raws = [message.raw for message in messages]
        key, known = hand.key, self._addresses.several(raws)
        addresses = [found[1] if found and found[0] == key else self._again(hand, raw) for found, raw in zip(known, raws, strict=True)]
        new = self.seen.firsts(addresses)
        rows = []
        for address, message in zip(addresses, messages, strict=True) if new else ():
            if address in new:
                new.discard(address)
                rows.append(_message(hand, address, message, now_us))
        return tuple(addresses), tuple(rows)

    def response_message(self, x: Exchange, now_us: int) -> tuple[str | None, tuple[MessageRow, ...]]:
        """What the model answered, with every proposed call: the withheld ones are in the record although nobody received them."""
        if not x.answer.text and not x.calls:
            return None, ()
        calls = [{"id": c.id, "name": c.name, "arguments": c.arguments, "released": v.released} for c, v in x.calls]
        body = msgspec.json.encode({"role": "assistant", "content": x.answer.text, "calls": calls})
        hand = self._hands.of(x.storing, x.caller)
        address = hand.address(body)
        if not self.seen.first(address):
            return address, ()
        return address, (MessageRow(address, "assistant", hand.body(body.decode(), about_message(address)), now_us),)

    def prompt(self, x: Exchange, found: Fingerprint, now_us: int) -> PromptRow:
        """The text of a version is written once per journal stream; later rows only say that it was seen."""
        row = PromptRow(hash=found.hash, seen_us=now_us, agent=x.caller.agent)
        if not self.seen.first(self._of_prompt(x, found.hash)):
            return row
        hand, about = self._hands.of(x.storing, x.caller), about_prompt(found.hash)
        tools = _names_of(hand.pen, found.tools) if x.storing == "metadata" else hand.body(found.tools, about)
        scope = hand.address(b"prompt")
        return msgspec.structs.replace(row, system=hand.body(found.system, about), tools=tools, scope=scope)

    def forget(self, x: Exchange, addresses: Iterable[str]) -> None:
        """These bodies, and the text of its prompt version, could not be written after all."""
        self.seen.forget([*addresses, self._of_prompt(x, x.prompt_hash or "")])

    def _of_prompt(self, x: Exchange, prompt: str) -> str:
        return PROMPT + self._again(self._hands.of(x.storing, x.caller), prompt.encode())

    def _again(self, hand: Hand, raw: bytes) -> str:
        """The address of a message that was probably sent before."""
        found = self._addresses.get(raw)
        if found is None or found[0] != hand.key:
            found = hand.key, hand.address(raw)
            self._addresses.keep(raw, found)
        return found[1]


def _message(hand: Hand, address: str, message: Message, now_us: int) -> MessageRow:
    found, about = tuple(map(media.row, message.media)), about_message(address)
    body = hand.body(media.body(message, found).decode("utf-8", "replace"), about)
    kept = tuple(msgspec.structs.replace(row, url=hand.body(row.url, about)) if row.url else row for row in found)
    return MessageRow(hash=address, role=hand.pen.name(message.role), body=body, first_us=now_us, media=kept)


def _names_of(pen: Pen, tools: str) -> str:
    """Of declared tools, the names: which were offered is a fact."""
    named = [pen.name(name) for name in map(_tool_name, msgspec.json.decode(tools)) if name] if tools else []
    return msgspec.json.encode([{"name": name} for name in named]).decode() if named else ""


def _tool_name(tool: object) -> str:
    """As the view `tools_seen` finds it."""
    match tool:
        case {"function": {"name": str(name)}} | {"custom": {"name": str(name)}} | {"name": str(name)} | {"type": str(name)}:
            return name
    return ""
