"""What a validator is: a pure function that looks at one text and says what it saw. What is done about it is for rules (`validate:`).

1. It says where and what, never the value: what it sees is stored, shown and sent on more widely than the text.
2. It says nothing (an empty list) only when it has looked and everything is in order. What it cannot judge it raises as `Unjudged`; that,
   and anything else it raises, is recorded as `unevaluated` and counts as a hit where the rule is in force.
3. Its time is bounded by its input: a text, or options, that would cost more are `Unjudged`. Nothing can end a check that does not return,
   so it is the validator's to keep; the gateway keeps texts longer than `most` from it, and reads no more than `MOST_SEEN` of what it says.
4. What it sees hits, but for severity `info`: that is only told, as the score of a text that is in order.

To add one, write a file with a `Validator` and put it into `VALIDATORS`; from another package, name it as an entry point
(group `tollhouse.validators`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from msgspec import Struct

from gateway.documents import Section
from gateway.strict_json import Json
from gateway.verdict import Hook

Severity = Literal["info", "warn", "error"]


class Unjudged(Exception):  # noqa: N818 - names a state, not a mistake
    """The validator cannot tell; the message says why, without the value."""


class Seen(NamedTuple):
    """One thing that a validator saw."""

    code: str
    """What kind of thing, a word: `too_long`, `writes`."""
    detail: str
    """A sentence for people and for the model that shall repair it; never the value."""
    path: str = ""
    """Where in a structured text: `items[0].price`."""
    start: int = 0
    """Characters of the text, the one behind the last; 0, 0: all of it."""
    end: int = 0
    severity: Severity = "error"
    score: float | None = None
    """0 to 1, where the validator measures."""


class Subject(Struct, frozen=True):
    """A text, and what was known when it was said."""

    text: str = ""
    hook: Hook = "output"
    path: str = ""
    """Where it stands: `choices[0].message.content`, `arguments.query`."""
    finish: str = ""
    """At `output`: why it ended, in the words of the dialect's decoder; empty while nobody knows."""
    cut: bool = False
    """Whether there may be more of the text than what is here: then nobody can say that it passes."""
    calls: int = 0
    """At `output`: calls that the answer proposes beside it."""
    answer_schema: Json = None
    """At `output`: the JSON Schema that the request asked the answer to have."""
    tools: Mapping[str, bytes] = {}
    """Tools that the request declares, with their declarations as JSON."""
    results: Sequence[str] = ()
    """What tools returned in the conversation."""
    said: Sequence[str] = ()
    """What users said in it."""


    now_us: int = 0
    """Microseconds since 1970 UTC; 0 while nobody says."""


Check: TypeAlias = Callable[[Subject], Iterable[Seen]]


class Files(NamedTuple):
    """For a validator whose options name files beside the policy: which, and how it is made with what is in them."""

    named: Callable[[Any], Sequence[str]]
    """From the options."""
    make: Callable[[Any, Mapping[str, bytes]], Check]
    """From the options and the content of each file by the name that they give it. Raises ValueError, in words for the author."""


class Question(NamedTuple):
    """What a model is asked about an answer, when this has left and its end is on record (`gateway/judging.py` asks)."""

    version: str
    """Recorded in the place of the validator's own."""
    model: str
    agent: str
    """In whose name it is asked."""
    per_hour: int
    """How often at most, by all workers together."""
    seconds: float
    """That it has for its answer."""
    always: bool
    """Also where nothing of the exchange's content is kept."""
    body: Callable[[str, str, str], bytes]
    """The request, as OpenAI's Chat Completions have it: from what the user said last, the answer, and a mark that neither's writer can
    know."""
    read: Callable[[str], Iterable[Seen]]
    """What the model's answer says. Raises `Unjudged` for what it cannot read in exactly one way."""


class Validator(NamedTuple):
    """One kind of check, and how a rule makes it."""

    name: str
    version: str
    """Recorded with whatever it says; raised when it would say something else of the same text."""
    options: type[Section]
    """What may stand behind its name in a rule; every option has a description, and most a default."""
    make: Callable[[Any], Check]
    """From the options. Raises ValueError, in words for the author of the rule."""
    hooks: frozenset[Hook] = frozenset({"output", "tool_result", "tool_call"})
    """At `tool_call` the text is one argument, or all of them as JSON."""
    pieces: bool = False
    """What it sees in a piece of a text it would see in the whole, and the reverse: it can look at a stream as it passes."""
    look_back: int = 0
    """With `pieces`: so many characters to either side tell whether something begins at a place."""
    spans: bool = False
    """What it sees has `start` and `end`, so that a rule can take it out (`effect: redact`)."""
    most: int = 256 * 1024
    """Characters of the longest text that it is asked about; a longer one is `unevaluated`."""
    files: Files | None = None
    """Where options may name files. `make` makes it without any, and refuses options that name some."""
    asks: Callable[[Any], Question] | None = None
    """For one that asks a model when the answer has left: from the options. Nothing on the way of an answer calls its check, which says
    `Unjudged`; it only warns, at `output`."""

    @property
    def looks_for(self) -> bool:
        """What it sees has a place in the text, as against being true of all of it."""
        return self.pieces or self.spans


NOTHING_SEEN: Final[tuple[Seen, ...]] = ()
MOST_SEEN: Final = 1000
"""Of one text. Who sees more has not judged it."""
