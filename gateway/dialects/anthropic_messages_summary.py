"""What a Messages answer says about itself (id, model, stop reason, text, token counts), gathered while it
is read.

Counts become the disjoint classes of `exchange.Usage`. Nothing here decides anything: a nonsensical count
is an unknown count.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway import strict_json
from gateway.answer import MOST_FEES, Answer, Usage
from gateway.dialects.openai_chat_shape import tier_of
from gateway.dialects.proposals import clipped
from gateway.stated_cost import charged
from gateway.strict_json import Json

MAX_TEXT = 256 * 1024
"""Characters of the model's text kept for the record."""
MAX_USAGE_KEYS = 64
"""Kinds of counts in one answer; a provider that sends more is not counting."""
THOUGHTS = ("thinking", "redacted_thinking")
"""The types of blocks that a model is given back unaltered, before the calls that they led to."""


class Summary:
    """What an answer says about itself, gathered while it is read."""

    def __init__(self) -> None:
        self.id: str | None = None
        self.model: str | None = None
        self.reason: str | None = None
        self._usage: dict[str, Json] = {}
        self._texts: list[str] = []
        self._room = MAX_TEXT
        self._thoughts: list[dict[str, list[str]]] | None = []
        self._thoughts_room = MAX_TEXT
        self._said = False

    def block(self, block: Mapping[str, Json]) -> None:
        """Notes that a block begins, or is there whole."""
        if block.get("type") not in THOUGHTS:
            self._said = True
            return
        if self._said:
            self._thoughts = None
        if self._thoughts is not None:
            self._thoughts.append({})
            for key, value in block.items():
                self.thought(key, value)

    def thought(self, key: str, piece: Json) -> None:
        """A piece of the thoughts that were begun last, or of their signature."""
        if not self._thoughts:
            return
        if not isinstance(piece, str) or len(piece) > self._thoughts_room:
            self._thoughts = None
            return
        self._thoughts_room -= len(piece)
        self._thoughts[-1].setdefault(key, []).append(piece)

    def text(self, text: Json) -> None:
        if self._room and isinstance(text, str) and text:
            self._texts.append(text[: self._room])
            self._room -= len(self._texts[-1])

    def usage(self, usage: Json) -> None:
        """Counts are cumulative: a later one replaces the earlier, a null leaves it."""
        if isinstance(usage, dict) and len(usage) + len(self._usage) <= MAX_USAGE_KEYS:
            self._usage |= {key: value for key, value in usage.items() if value is not None}

    def message(self, message: Mapping[str, Json]) -> None:
        self.id, self.model = _word(message.get("id")), _word(message.get("model"))
        self.usage(message.get("usage"))

    def answer(self) -> Answer:
        return Answer(
            id=self.id,
            model=self.model,
            finish=(self.reason,) if self.reason is not None else (),
            usage=_disjoint(self._usage) if self._usage else None,
            usage_raw=strict_json.encode(self._usage) if self._usage else None,
            text="".join(self._texts),
            thoughts=self._whole_thoughts(),
        )

    def _whole_thoughts(self) -> tuple[dict[str, Json], ...] | None:
        if self._thoughts is None:
            return None
        return tuple({key: "".join(pieces) for key, pieces in thought.items()} for thought in self._thoughts)


def _word(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _disjoint(usage: Mapping[str, Json]) -> Usage:
    """`input_tokens` leaves cache reads and writes out already; writes are split by lifetime, thinking is
    part of the output. What compacting took is not within the counts."""
    rounds = usage.get("iterations")
    kinds = [each for each in rounds if isinstance(each, dict)] if isinstance(rounds, list) else []
    counted = _counted(usage)
    for each in kinds:
        if each.get("type") == "compaction":
            counted = {name: _sum(counted[name], more) for name, more in _counted(each).items()}
    return Usage(
        **counted,
        searches=_count(served, "web_search_requests") if isinstance(served := usage.get("server_tool_use"), dict) else None,
        tier=tier_of(usage.get("service_tier")),
        terms=tuple(said for name in ("inference_geo", "speed") if (said := usage.get(name)) in TERMS),
        fees=_fees(served, kinds),
        charged=charged(usage),
    )


def _counted(usage: Mapping[str, Json]) -> dict[str, int | None]:
    written, hour = _write_split(usage)
    output, details = _count(usage, "output_tokens"), usage.get("output_tokens_details")
    thinking = _count(details, "thinking_tokens") if isinstance(details, dict) else None
    if output is None or thinking is None or thinking > output:
        thinking = None
    return {
        "input": _count(usage, "input_tokens"),
        "cache_read": _count(usage, "cache_read_input_tokens"),
        "cache_write": written,
        "cache_write_1h": hour,
        "output": output if output is None or thinking is None else output - thinking,
        "reasoning": thinking,
    }


def _sum(one: int | None, more: int | None) -> int | None:
    return one if more is None else (one or 0) + more


_OWN_ITERATIONS = frozenset({"message", "compaction"})
"""Those of the model that was asked: the first are within the counts, the second beside them."""
_FREE = frozenset({"web_search_requests", "web_fetch_requests", "tool_search_requests"})
"""Counts of tools that have a price elsewhere (searches), or none but their tokens."""


def _fees(served: Json, iterations: list[dict[str, Json]]) -> tuple[str, ...]:
    """Work of other models, and tools charged by the piece or the hour."""
    kinds = {kind for each in iterations if isinstance(kind := each.get("type"), str)} - _OWN_ITERATIONS
    used = {name for name in served if name not in _FREE and _count(served, name)} if isinstance(served, dict) else set()
    return tuple(sorted(clipped(name, 40).removesuffix("_requests") for name in kinds | used)[:MOST_FEES])


TERMS = ("us", "fast")
"""Where and how fast the answer was computed, where that has a price of its own."""


def _write_split(usage: Mapping[str, Json]) -> tuple[int | None, int | None]:
    """(five minutes, one hour). The total counts, also where a later event raises it above the split of
    the first one."""
    total, split = _count(usage, "cache_creation_input_tokens"), usage.get("cache_creation")
    if not isinstance(split, dict):
        return total, None
    short, hour = _count(split, "ephemeral_5m_input_tokens"), _count(split, "ephemeral_1h_input_tokens")
    if total is None or (hour or 0) > total:
        return short, hour
    return total - (hour or 0), hour


def _count(holder: Mapping[str, Json], key: str) -> int | None:
    value = holder.get(key)
    return value if type(value) is int and value >= 0 else None
