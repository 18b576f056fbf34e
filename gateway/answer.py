"""What a provider's answer says of itself, and what it took."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct, field, structs

from gateway.strict_json import Json


class Usage(Struct, frozen=True):
    """Token counts in *disjoint* classes: their sum is what was processed. None = the provider did not say.

    Sources: OpenAI `usage` (prompt_tokens includes cached_tokens; completion_tokens includes reasoning_tokens), Anthropic
    `usage` (input_tokens excludes cache reads and writes).
    """

    input: int | None = None
    """Tokens read at the full price."""
    cache_read: int | None = None
    cache_write: int | None = None
    """Written to a cache that lives as long as it does by default: five minutes (Anthropic), thirty (OpenAI)."""
    cache_write_1h: int | None = None
    """Written to the one that lives longer: an hour (Anthropic), twelve (OpenAI)."""
    output: int | None = None
    """Tokens written, reasoning left out."""
    reasoning: int | None = None
    audio_input: int | None = None
    """Sound read at the full price."""
    audio_cache_read: int | None = None
    image_input: int | None = None
    audio_output: int | None = None
    image_output: int | None = None
    searches: int | None = None
    """Web searches that the provider ran and charges one by one. Not tokens."""
    tier: str = ""
    """Service tier as the answer states it (`batch`, `flex`, `priority`, …); empty = the provider's standard one, or it does not say."""
    terms: tuple[str, ...] = ()
    """What else changes its price: where it was computed (`us`) and how fast (`fast`), as the answer says; at which of the provider's
    addresses it was asked for (`regional_endpoint`)."""
    fees: tuple[str, ...] = ()
    """Services the provider ran that it charges for by other measures than tokens and searches: `file_search`, `code_interpreter`."""
    charged: Decimal | None = None
    """USD that the provider says it charged, for everything together."""

    def at(self, place: str) -> Usage:
        """The same, asked for at this address of the provider; empty = at one where nothing costs more."""
        return structs.replace(self, terms=(*self.terms, place)) if place else self


TOKENS = (
    "input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning",
    "audio_input", "audio_cache_read", "image_input", "audio_output", "image_output",
)  # fmt: skip
"""The classes of `Usage` that count tokens."""
READ_TOKENS = ("input", "cache_read", "cache_write", "cache_write_1h", "audio_input", "audio_cache_read", "image_input")
UNCOUNTED = "total_tokens"
"""A fee: the provider's total has more tokens than its counts."""
MOST_FEES = 16
"""Fees of one answer that are kept: more are no more of a hindrance."""
TOKENS_BESIDE = frozenset({UNCOUNTED, "advisor_message", "citation_tokens"})
"""Fees for tokens that no class counts: of an answer with one of them nobody knows how many there were."""
WRITTEN_TOKENS = ("output", "reasoning", "audio_output", "image_output")


class Guess(Struct, frozen=True):
    """What an answer took, about, that nobody heard to its end."""

    usage: Usage
    how: str
    """What each count is made of."""


MOST_TEXT: Final = 256 * 1024
"""Characters of what an answer says that are kept."""


class Answer(Struct, frozen=True):
    """What the provider's answer said about itself, collected while it was decoded."""

    id: str | None = None
    model: str | None = None
    finish: tuple[str, ...] = ()
    """The provider's own finish or stop reasons, one per choice."""
    usage: Usage | None = None
    usage_raw: bytes | None = None
    """The usage block as it came."""
    text: str = ""
    """What the model wrote, thinking left out; of more than `MOST_TEXT` characters so many, the first."""
    thoughts: tuple[Mapping[str, Json], ...] | None = ()
    """What it thought before it said anything, as the provider wants it back when the model is asked again (Messages: blocks; Chat
    Completions: keys of the message). None where that cannot be told, for thoughts and words took turns."""
    items: dict[str, str] = field(default_factory=dict)
    """What a provider keeps of this answer one by one: ids, each with the gateway's own text where the provider does not know the item."""

    @property
    def cut(self) -> bool:
        """Whether there may have been more text: who looks at `text` has not seen all of it."""
        return len(self.text) >= MOST_TEXT
