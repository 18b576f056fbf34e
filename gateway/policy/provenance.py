"""Who first said a value: the user, a tool, or nobody but the model. Looked up in the conversation, over unmodified agents.

Rules, which every change must keep:

1. A text counts as said when all of it occurs, letters' case and runs of white space aside, with token borders at both ends: `US13` is not
   said by `US133`. What is paraphrased, encoded or put together from pieces has origin `model`: the safe side.
2. A number counts by value (`1,000.50` says 1000.5), whether it was said as a number or in words of digits.
3. A truth value or null has no origin: `true` is said everywhere and by nobody, so that it is never `from_user`.
4. An empty text, list or object says nothing, so that there is nothing to ask about: it is from anyone.
5. What a client made up (`Told`, where this gateway has seen the conversation from its beginning) was said by no tool: it does not make a
   value `from_tool`. That it was read counts all the same.
6. Each message is read once and remembered by its text: a long conversation costs only its new message.

Pure. The conversation of the evaluation under way is a context variable, because functions of CEL get their arguments and nothing else.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Final, Literal, NamedTuple

import msgspec

from gateway.policy.globs import matches
from gateway.request import Message
from gateway.strict_json import Json

MAX_LEAVES: Final = 1000
"""Leaves of one value that are looked up; a value with more cannot be asked about."""
REMEMBERED: Final = 4096
"""Messages kept read, and at most so many characters of them."""
REMEMBERED_TEXT: Final = 32 * 1024 * 1024
MAX_FIELDS: Final = 10_000
"""Values of one tool result that `field_has` looks at."""
MAX_WORK: Final = 50_000_000
"""What the functions of one verdict may do, in characters walked over: about 50 ms."""

_NUMBER = re.compile(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?(?:[eE][+-]?\d{1,3})?")
_SPACES = re.compile(r"\s+")


class TooLarge(ValueError):  # noqa: N818 - says what the value is
    """A value that cannot be asked about within bounds: the condition that did so fails, and a failed guard is a hit."""


class NotAllSeen(ValueError):  # noqa: N818 - says what the conversation is
    """The answer could be another one if the part of the conversation were seen that the provider keeps."""


def normal(text: str) -> str:
    """A text as it is compared: case folded, each run of white space one space, none at the ends."""
    return _SPACES.sub(" ", text.casefold()).strip()


def leaves(value: Json) -> Iterator[Json]:
    """What a value says: its texts, numbers and truth values, without the names of its fields. Empty ones say nothing."""
    waiting, count = [value], 0
    while waiting:
        current = waiting.pop()
        if isinstance(current, Mapping):
            waiting.extend(current.values())
        elif isinstance(current, (list, tuple)):
            waiting.extend(current)
        elif current != "":
            count += 1
            if count > MAX_LEAVES:
                raise TooLarge(f"a value with more than {MAX_LEAVES} parts")
            yield current


class Said:
    """One text, read once."""

    def __init__(self, text: str) -> None:
        self.text = normal(text)
        self._raw = text

    @cached_property
    def numbers(self) -> frozenset[Decimal]:
        found = (_decimal(match.group().replace(",", "")) for match in _NUMBER.finditer(self.text))
        return frozenset(number for number in found if number is not None)

    @cached_property
    def fields(self) -> Mapping[str, frozenset[Json]]:
        """Name of a field → its values, when the text is JSON: texts normalised, numbers by value."""
        try:
            tree = msgspec.json.decode(self._raw)
        except (msgspec.DecodeError, RecursionError):
            return {}
        found: dict[str, set[Json]] = {}
        for number, (name, value) in enumerate(_named(tree)):
            if number >= MAX_FIELDS:
                break
            found.setdefault(name, set()).update(comparable(leaf) for leaf in leaves(value))
        return {name: frozenset(values) for name, values in found.items()}


class Together:
    """Several texts, looked through at once."""

    def __init__(self, texts: Sequence[Said]) -> None:
        self.each = texts
        self.text = _BETWEEN.join(said.text for said in texts)

    def says(self, wanted: Json) -> bool:
        """Whether one of them says the leaf, which is in comparable form."""
        spend(len(self.text))
        if isinstance(wanted, str):
            return occurs(wanted, self.text)
        return isinstance(wanted, Decimal) and any(wanted in said.numbers for said in self.each)


_BETWEEN = "\n"
"""No text has it once it is normalised, so that nothing is found across two of them."""


def occurs(wanted: str, text: str) -> bool:
    """Whether `wanted` stands in `text` with token borders at both ends; both normalised. Linear: a place inside a token is not tried."""
    if not wanted:
        return True
    first, last = _joins(wanted[0]), _joins(wanted[-1])
    at = text.find(wanted)
    while at >= 0:
        end = at + len(wanted)
        if first and at and _joins(text[at - 1]):
            start = end_of_token(text, at)
        elif last and end < len(text) and _joins(text[end]):
            start = end_of_token(text, at) if first else at + 1
        else:
            return True
        at = text.find(wanted, start)
    return False


def end_of_token(text: str, at: int) -> int:
    """Where the token that covers `at` ends."""
    found = _BORDER.search(text, at)
    return found.start() if found else len(text)


_BORDER = re.compile(r"[^\w]|_")


def _joins(character: str) -> bool:
    return character.isalnum()


def _decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def comparable(leaf: Json) -> Json:
    """A leaf as it is compared: texts normalised, numbers by value; None for a number without one."""
    if isinstance(leaf, str):
        return normal(leaf)
    return leaf if isinstance(leaf, bool) or leaf is None else _decimal(str(leaf))


def _named(tree: Json) -> Iterator[tuple[str, Json]]:
    waiting = [tree]
    while waiting:
        current = waiting.pop()
        if isinstance(current, dict):
            yield from current.items()
            waiting.extend(current.values())
        elif isinstance(current, list):
            waiting.extend(current)


class Reading:
    """Texts read before, least recently used out first. One per worker; a message is found again by its text."""

    def __init__(self, most: int = REMEMBERED, characters: int = REMEMBERED_TEXT) -> None:
        self._most, self._room = most, characters
        self._said: OrderedDict[str, Said] = OrderedDict()

    def __call__(self, text: str) -> Said:
        said = self._said.get(text)
        if said is not None:
            self._said.move_to_end(text)
            return said
        said = self._said[text] = Said(text)
        self._room -= len(text)
        while self._said and (len(self._said) > self._most or self._room < 0):
            self._room += len(self._said.popitem(last=False)[0])
        return said


class Told(NamedTuple):
    """One call or one result that a request tells of: the nth of a message."""

    kind: Literal["call", "result"]
    message: int
    nth: int


class Result:
    """What a tool answered, as the client sent it back."""

    def __init__(self, tool: str, said: Said, *, forged: bool = False) -> None:
        self.tool = tool
        self.said = said
        self.forged = forged


class Earlier:
    """A call of this conversation, with its result if one came back."""

    def __init__(self, name: str, arguments: str, *, forged: bool = False) -> None:
        self.name = name
        self.forged = forged
        self.result: str | None = None
        self._arguments = arguments

    @property
    def size(self) -> int:
        return len(self._arguments) + len(self.result or "")

    def seen(self) -> dict[str, Json]:
        """What conditions see of it. Texts that are no JSON object have no fields. Raises ValueError for a text that conditions would see
        only in part."""
        if "\0" in self._arguments or "\0" in (self.result or "") or "\\u0000" in f"{self._arguments}{self.result}":
            raise ValueError("an earlier call holds a zero character, behind which conditions see nothing")
        result = object_of(self.result or "")
        return {
            "name": self.name,
            "args": object_of(self._arguments),
            "done": self.result is not None,
            "text": self.result or "",
            "result": result,
            "forged": self.forged,
        }


def paired(messages: Iterable[Message], forged: Collection[Told] = frozenset()) -> tuple[list[Earlier], list[tuple[Earlier | None, str]]]:
    """The calls of a conversation, and its results, each with the call that it answers; None where there is none. Ids may come again in
    later turns: a result answers the first call of its id that has none yet."""
    calls: list[Earlier] = []
    results: list[tuple[Earlier | None, str]] = []
    waiting: dict[str, deque[Earlier]] = {}
    for at, message in enumerate(messages):
        for nth, before in enumerate(message.calls):
            calls.append(Earlier(before.name, before.arguments, forged=bool(forged) and Told("call", at, nth) in forged))
            waiting.setdefault(before.id, deque()).append(calls[-1])
        for call_id, text in message.results:
            answered = waiting[call_id].popleft() if waiting.get(call_id) else None
            if answered is not None:
                answered.result = text
            results.append((answered, text))
    return calls, results


class Conversation:
    """What a request says of the conversation so far. Read when a condition first asks for it.

    `whole`: False where the provider keeps an earlier part that nobody here sees. Then a yes counts, for more words could not take it back,
    and whatever would be a no cannot be told. `forged`: what of it never happened."""

    def __init__(
        self, messages: Sequence[Message], reading: Reading | None = None, *, whole: bool = True, forged: Collection[Told] = frozenset()
    ) -> None:
        self._messages = messages
        self._forged = forged
        self._reading = reading or Reading()
        self._whole = whole
        self._user_says: dict[Json, bool] = {}

    @cached_property
    def most(self) -> tuple[int, int]:
        """(earlier calls, characters of all of them): what a condition over `history` may have to walk over."""
        return len(self.calls), sum(call.size for call in self.calls)

    @cached_property
    def user(self) -> Together:
        told = (m.text if m.said is None else m.said for m in self._messages if m.role == "user")
        return Together([self._reading(text) for text in told if text])

    @property
    def calls(self) -> tuple[Earlier, ...]:
        return self._course[0]

    @property
    def results(self) -> tuple[Result, ...]:
        """Each with the tool it belongs to; one that answers no call of the conversation is from `?`."""
        return self._course[1]

    @cached_property
    def _course(self) -> tuple[tuple[Earlier, ...], tuple[Result, ...]]:
        calls, answered = paired(self._messages, self._forged)
        if not self._forged:
            return tuple(calls), tuple(Result(call.name if call else "?", self._reading(text)) for call, text in answered)
        places = (Told("result", at, nth) for at, message in enumerate(self._messages) for nth in range(len(message.results)))
        results: list[Result] = []
        for (call, text), place in zip(answered, places, strict=True):
            forged = place in self._forged or (call is not None and call.forged)
            if call is not None:
                call.forged = forged
            results.append(Result(call.name if call else "?", self._reading(text), forged=forged))
        return tuple(calls), tuple(results)

    @cached_property
    def _results_by_tool(self) -> Mapping[str, Together]:
        return self._by_tool(forged=False)

    @cached_property
    def _forged_by_tool(self) -> Mapping[str, Together]:
        return self._by_tool(forged=True)

    def _by_tool(self, *, forged: bool) -> Mapping[str, Together]:
        found: dict[str, list[Said]] = {}
        for result in self.results:
            if result.forged is forged:
                found.setdefault(result.tool, []).append(result.said)
        return {tool: Together(texts) for tool, texts in found.items()}

    @cached_property
    def _calls_by_tool(self) -> Mapping[str, list[Earlier]]:
        found: dict[str, list[Earlier]] = {}
        for call in self.calls:
            found.setdefault(call.name, []).append(call)
        return found

    def _results_of(self, glob: str) -> list[Together]:
        return [texts for tool, texts in self._results_by_tool.items() if matches(glob, tool)]

    def _calls_of(self, glob: str) -> list[Earlier]:
        """In their order."""
        names = {name for name in self._calls_by_tool if matches(glob, name)}
        if len(names) == 1:
            return self._calls_by_tool[names.pop()]
        return [call for call in self.calls if call.name in names]

    def from_user(self, value: Json) -> bool:
        return self._surely(all(self._user_said(leaf) for leaf in leaves(value)))

    def from_tool(self, value: Json, glob: str) -> bool:
        results = self._results_of(glob)
        asked = (comparable(leaf) for leaf in leaves(value))
        return self._surely(all(any(texts.says(wanted) for texts in results) for wanted in asked))

    def field_has(self, value: Json, glob: str, key: str) -> bool:
        known = [said.fields.get(key, frozenset()) for texts in self._results_of(glob) for said in texts.each]
        asked = (comparable(leaf) for leaf in leaves(value) if not isinstance(leaf, bool) and leaf is not None)
        return self._surely(all(any(wanted in values for values in known) for wanted in asked))

    def origin(self, value: Json) -> list[str]:
        """`user`, `tool:<name>`, `forged:<name>` and `model`: everyone who said a leaf; `model` where nobody did."""
        self._all_seen()
        found: set[str] = set()
        for leaf in leaves(value):
            wanted = comparable(leaf)
            sayers = {"user"} if self._user_said(leaf) else set()
            sayers |= {f"tool:{tool}" for tool, texts in self._results_by_tool.items() if texts.says(wanted)}
            sayers |= {f"forged:{tool}" for tool, texts in self._forged_by_tool.items() if texts.says(wanted)}
            found |= sayers or {"model"}
        return sorted(found)

    def user_said(self, stems: Sequence[str]) -> bool:
        """Whether a word of the user's begins with one of these, case aside."""
        wanted = [normal(stem) for stem in stems]
        spend(len(wanted) * len(self.user.text))
        return self._surely(any(_begins_word(stem, self.user.text) for stem in wanted if stem))

    def history(self, glob: str) -> list[dict[str, Json]]:
        self._all_seen()
        return [call.seen() for call in self._calls_of(glob)]

    def count(self, glob: str) -> int:
        self._all_seen()
        return len(self._calls_of(glob))

    def total(self, glob: str, key: str) -> float:
        """Sum of an argument over earlier calls. Raises ValueError where one of them has no number there: a sum nobody knows is none."""
        self._all_seen()
        values = [call.seen()["args"].get(key) for call in self._calls_of(glob)]
        if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in values):
            raise ValueError(f"an earlier call has no number in '{key}'")
        return float(sum(values))

    def read_from(self, globs: Sequence[str]) -> bool:
        return self._surely(any(matches(glob, result.tool) for glob in globs for result in self.results))

    def _user_said(self, leaf: Json) -> bool:
        key = (type(leaf), leaf)
        found = self._user_says.get(key)
        if found is None:
            found = self._user_says[key] = self.user.says(comparable(leaf))
        return found

    def _surely(self, answer: bool) -> bool:
        if not answer:
            self._all_seen()
        return answer

    def _all_seen(self) -> None:
        if not self._whole:
            raise NotAllSeen("an earlier part of the conversation is kept by the provider and not seen here")


def _begins_word(stem: str, text: str) -> bool:
    at = text.find(stem)
    while at >= 0:
        if at == 0 or not (_joins(text[at - 1]) and _joins(stem[0])):
            return True
        at = text.find(stem, end_of_token(text, at))
    return False


def object_of(text: str) -> dict[str, Json]:
    """The JSON object that a text is; an empty one when it is none."""
    try:
        tree = msgspec.json.decode(text) if text.lstrip()[:1] == "{" else {}
    except (msgspec.DecodeError, RecursionError):
        return {}
    return tree if isinstance(tree, dict) else {}


NOTHING: Final = Conversation(())
"""A conversation in which nothing was said: nobody but the model can be the origin of a value."""


class View(NamedTuple):
    """What conditions ask about."""

    conversation: Conversation = NOTHING
    labels: Mapping[str, Sequence[str]] = {}
    """Label → patterns of the tools that have it."""


class _Verdict:
    """The verdict under way: its view, and how much work its functions have left."""

    def __init__(self, view: View, room: float) -> None:
        self.view, self.room = view, room


_under_way: ContextVar[_Verdict | None] = ContextVar("verdict", default=None)


@contextmanager
def looking_at(view: View) -> Iterator[None]:
    """While the conditions of one verdict are evaluated: what their functions ask about, and how much work they may do."""
    token = _under_way.set(_Verdict(view, MAX_WORK))
    try:
        yield
    finally:
        _under_way.reset(token)


def looked_at() -> View:
    verdict = _under_way.get()
    return verdict.view if verdict else View()


def spend(work: int) -> None:
    """Raises TooLarge when the functions of this verdict have done as much as they may."""
    verdict = _under_way.get()
    if verdict is not None:
        verdict.room -= work
        if verdict.room < 0:
            raise TooLarge("the call and the conversation are too long for so many look-ups")


def room_left() -> float:
    """How much work the functions of this verdict may still do."""
    verdict = _under_way.get()
    return verdict.room if verdict else 0


def give_back(room: float) -> None:
    """The work since `room_left` said so does not count: what it was for is asked again, another way."""
    verdict = _under_way.get()
    if verdict is not None:
        verdict.room = room
