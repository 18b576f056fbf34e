"""How a text is written down: as it is, without secrets and personal data, or as its size and hash.

1. Every mode takes out the gateway's own secrets and all virtual keys (`redact`).
2. `redacted` also takes out what detectors find, in JSON value by value, so that no escape and no JSON inside of JSON hides anything.
   Each becomes `[REDACTED:detector:hash]`: equal values stay equal, and without the installation's key nobody can tell which they were.
3. `metadata` keeps no text of a conversation: a mark with size and hash stands in its place. What a decision cannot be understood without
   (names of models and tools, ids, the rule's own words) stays, where it looks like a name and no detector finds anything in it.

Pure. What detectors miss is written: they know forms, not meanings. Whoever must be sure uses `metadata`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import msgspec

from gateway.exchange import Storing
from gateway.trace.keyed import keyed
from gateway.trace.redact import LAYERS, Redactor
from gateway.validators.detectors import plain, under

_ESCAPE = re.compile(r"\\+(?:u00([2-7][0-9a-fA-F])|([nrt/\"]))")
_WRITTEN = {"n": "\n", "r": "\r", "t": "\t", "/": "/", '"': '"'}
_NAME = re.compile(r"[\w.:/@+*,()\[\]{}#=-]{1,300}", re.ASCII)
_SEPARATORS = re.compile(r"[\s.()/-]")
_SHORT = 4
"""A quoted value of fewer characters is taken out only where it stands alone."""
_CUT = "…"
_WORD = 32
"""Characters of a text that is probably a name which comes again: a key of JSON, a role, a model."""
_PASSAGE = 1500
"""Of one that is written twice with the same exchange: as a message, and as the preview of it."""
_LONG_NUMBER = 10**8
_COUNTS = re.compile(r'\{\s*(?:"[a-z_]{1,32}"\s*:\s*(?:"[a-z_]{0,32}"|null|true|false|\{|\d{1,8}(?=\s*[,}]))[},\s]*){1,64}', re.ASCII)
"""An object of nothing but plain short names and small numbers, each number behind its name, as providers tell usage: no detector finds
anything in these. Numbers that stand beside each other, in a text or a list, are looked at: so are cards and telephones written."""


class Span(NamedTuple):
    """Where a detector found something in a text."""

    start: int
    end: int
    detector: str


Detect = Callable[[str], Iterable[Span]]


def everything(text: str) -> Iterable[Span]:
    """What any detector finds."""
    read, hinted = plain(text)
    for detector in hinted:
        for start, end in detector.spans(read):
            yield Span(start, end, detector.name)


class Pen(Protocol):
    """One way of writing. Empty texts stay empty."""

    def body(self, text: str) -> str:
        """What was said: messages, arguments, prompts."""

    def label(self, text: str) -> str:
        """What a client calls itself or its session."""

    def name(self, text: str) -> str:
        """What a decision cannot be understood without: a model, a tool, a code, an id."""

    def told(self, text: str, quoted: Iterable[object] = ()) -> str:
        """A sentence of a rule or of the gateway, which may quote these values."""


class Full:
    """As it was sent, without the gateway's own secrets."""

    def __init__(self, redactor: Redactor) -> None:
        self._clean = redactor.text

    def body(self, text: str) -> str:
        return self._clean(text)

    label = name = body

    def told(self, text: str, quoted: Iterable[object] = ()) -> str:
        return self._clean(text)


class Redacted:
    """Without secrets and personal data."""

    def __init__(self, redactor: Redactor, detect: Detect, key: bytes) -> None:
        self._redactor, self._detect, self._key = redactor, detect, key
        self.name = self.label = lru_cache(maxsize=4096)(self.body)  # the same few come with every exchange
        self._word = lru_cache(maxsize=4096)(self._loose)
        self._passage = lru_cache(maxsize=128)(self._loose)

    def body(self, text: str) -> str:
        if not text or (text[0] == "{" and _COUNTS.fullmatch(text)):
            return self._redactor.text(text)
        return self._layer(text, LAYERS)

    def told(self, text: str, quoted: Iterable[object] = ()) -> str:
        return self.body(text)

    def _layer(self, text: str, layers: int) -> str:
        """JSON is read and written anew where something was found in it; anything else is searched as it stands."""
        if layers and text[:1] in ('"', "{", "["):
            try:
                value = msgspec.json.decode(text)
            except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
                return self._loose(text)
            clean = self._value(value, layers - 1)
            return text if clean is value else msgspec.json.encode(clean).decode()
        if len(text) <= _WORD:
            return self._word(text)
        return self._passage(text) if len(text) <= _PASSAGE else self._loose(text)

    def _loose(self, text: str) -> str:
        clean = self._plain(text)
        if "\\" in clean:
            shown = _unescaped(clean)
            without = self._plain(shown)
            return clean if without == shown else without
        return clean

    def _value(self, value: Any, layers: int, name: str = "") -> Any:
        """The same object where nothing was found. `name`: under which it stands."""
        match value:
            case str():
                clean: Any = self._called(name, self._layer(value, layers))
                return value if clean == value else clean
            case dict():
                return self._mapping(value, layers)
            case list():
                items = [self._value(each, layers, name) for each in value]
                return value if all(a is b for a, b in zip(items, value, strict=True)) else items
            case bool() | None:
                return value
        clean = str(value)
        without = self._plain(clean) if abs(value) >= _LONG_NUMBER else clean
        return value if without == clean else without

    def _mapping(self, value: Mapping[str, Any], layers: int) -> Mapping[str, Any]:
        clean = {self._layer(key, layers): self._value(each, layers, key) for key, each in value.items()}
        same = len(clean) == len(value) and all(clean.get(key, clean) is each for key, each in value.items())
        return value if same else clean

    def _called(self, name: str, value: str) -> str:
        """Without what only its name says of a value."""
        found = under(name, value)
        if found is None:
            return value
        text, at = found
        spans = (span._replace(start=max(0, span.start - at), end=span.end - at) for span in self._detect(text) if span.end > at)
        return self._without(value, spans)

    def _plain(self, text: str) -> str:
        text = self._redactor.text(text)
        return self._without(text, self._detect(text))

    def _without(self, text: str, spans: Iterable[Span]) -> str:
        found = _apart(spans)
        if not found:
            return text
        parts, at = [], 0
        for span in found:
            parts += [text[at : span.start], self._mark(span.detector, text[span.start : span.end])]
            at = span.end
        return "".join([*parts, text[at:]])

    def _mark(self, detector: str, value: str) -> str:
        digest = _digest(self._key, f"{detector}\0{_SEPARATORS.sub('', value)}", 4)
        return f"[REDACTED:{detector}:{digest}]"


class Metadata:
    """Sizes and hashes."""

    def __init__(self, redacted: Redacted, key: bytes) -> None:
        self._redacted, self._key = redacted, key

    def body(self, text: str) -> str:
        size = len(text.encode("utf-8", "surrogatepass"))
        return f"[text, {size} bytes, hmac:{self._hash(text)}]" if text else text

    def label(self, text: str) -> str:
        return f"hmac:{self._hash(text)}" if text else text

    def name(self, text: str) -> str:
        clean = self._redacted.name(text)
        return clean if not text or _NAME.fullmatch(clean) else self.body(text)

    def told(self, text: str, quoted: Iterable[object] = ()) -> str:
        for value in sorted(set(_leaves(quoted)), key=len, reverse=True):
            text = _without(text, value, f"[hmac:{_digest(self._key, value, 4)}]")
        return self._redacted.body(text)

    def _hash(self, text: str) -> str:
        return _digest(self._key, text, 8)


_STANDS_FOR = re.compile(r"\[text, [0-9]+ bytes, hmac:[0-9a-f]+\]")


def only_measured(text: str) -> bool:
    """Whether it stands for a body of which only size and hash were kept."""
    return _STANDS_FOR.fullmatch(text) is not None


def pens(redactor: Redactor, detect: Detect, key: bytes) -> dict[Storing, Pen]:
    """One for each mode. `key` keys the hashes."""
    redacted = Redacted(redactor, detect, key)
    return {"full": Full(redactor), "redacted": redacted, "metadata": Metadata(redacted, key)}


def _unescaped(text: str) -> str:
    """Escapes of JSON written out, in however many layers: for what is no JSON as a whole."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else _WRITTEN[found[2]], text)


def _apart(spans: Iterable[Span]) -> Sequence[Span]:
    """In order; of those that overlap, one as long as all of them, under the name of the first."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.start < found[-1].end:
            found[-1] = found[-1]._replace(end=max(found[-1].end, span.end))
        elif span.end > span.start:
            found.append(span)
    return found


def _leaves(values: Iterable[object]) -> Iterable[str]:
    """Texts and numbers as sentences show them (`policy/wording.py`): on one line."""
    waiting = list(values)
    while waiting:
        match waiting.pop():
            case str() as text:
                yield from {" ".join("".join(c for c in text if c.isprintable() or c.isspace()).split()), text} - {""}
            case Mapping() as mapping:
                waiting += mapping.values()
            case list() | tuple() as items:
                waiting += items
            case int() | float() as number if not isinstance(number, bool):
                yield str(number)


def _without(text: str, value: str, mark: str) -> str:
    if len(value) < _SHORT:
        return re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", mark, text)
    return _without_cut(text.replace(value, mark), value, mark)


def _without_cut(text: str, value: str, mark: str) -> str:
    """Also where a sentence shows only the beginning of a value, and `…`."""
    parts = text.split(_CUT)
    return _CUT.join([*(_without_end(part, value, mark) for part in parts[:-1]), parts[-1]])


def _without_end(text: str, value: str, mark: str) -> str:
    for length in range(min(len(value) - 1, len(text)), _SHORT - 1, -1):
        if text.endswith(value[:length]):
            return text[: len(text) - length] + mark
    return text


def _digest(key: bytes, text: str, size: int) -> str:
    return keyed(key).digest(text.encode("utf-8", "surrogatepass"))[:size].hex()
