"""The closed shape of a chat completion: which keys mean what, and what is left out of what a judged client sees.

An unknown key beside `tool_calls` may be a call to a client that folds case or reads a newer form, so that a choice, delta, message or call
keeps known keys only. At the top of a chunk unknown keys pass (providers put their own facts there) unless folded they look like a name
that is judged. Every key left out is a `Finding`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway import strict_json
from gateway.answer import MOST_FEES, UNCOUNTED, Usage
from gateway.dialects.proposals import clipped
from gateway.stated_cost import charged
from gateway.strict_json import Json
from gateway.verdict import Finding

TOP_KEYS = frozenset({
    "id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier", "moderation",
    "citations", "metadata", "obfuscation", "prompt_filter_results", "provider", "x_groq",
})  # fmt: skip
CHOICE_KEYS = frozenset({"index", "finish_reason", "logprobs", "content_filter_results", "native_finish_reason", "stop_reason"})
WORD_KEYS = frozenset({
    "role", "content", "refusal", "reasoning", "reasoning_content", "reasoning_details", "annotations", "audio", "thinking_blocks",
})  # fmt: skip
CALL_KEYS = frozenset({"tool_calls", "function_call"})
SIGNED = "extra_content"
"""Where Google's compatible endpoint puts what it wants back with a call or with words: the signature of the thoughts that led there."""
MESSAGE_KEYS = WORD_KEYS | CALL_KEYS

_JUDGED = frozenset({
    "arguments", "choices", "custom", "delta", "error", "finishreason", "function", "functioncall", "functioncalls", "message",
    "messages", "name", "output", "toolcall", "toolcalls", "tooluse",
})  # fmt: skip
_JUDGED_AT_THE_TOP = _JUDGED | {"candidates", "content", "contentblock", "item", "items", "parts", "response"}
"""With the places where calls stand in other dialects' answers: a client that tells these apart by their shape looks there."""
_CONTENT_PARTS = frozenset({"text", "refusal", "thinking", "reasoning", "reference", "output_text"})
_THOUGHTS = frozenset({"reasoning", "reasoning_content", "reasoning_details"})
_TEXT = ("content", "reasoning", "reasoning_content", "refusal")
_WHOLE_CALLS = frozenset({"tool_calls", "stop", "function_call"})


class _Usage(msgspec.Struct):
    usage: msgspec.Raw


_of_usage = msgspec.json.Decoder(_Usage).decode
_DELTA_CHOICE_KEYS = CHOICE_KEYS | {"delta"}
_PLAIN_KEYS = frozenset({*_TEXT, "role"})
_MOST_FINDINGS = 50


def ends_calls(reason: str | None) -> bool:
    """Whether calls that end with this reason are whole; under any other one the provider may have cut them."""
    return reason in _WHOLE_CALLS


def outgoing_reason(reason: str | None, *, released: int, withheld: int, legacy: bool) -> str | None:
    """The finish reason that fits what was delivered. `tool_calls` without a call makes agents loop."""
    if released:
        return "function_call" if legacy else "tool_calls"
    if withheld or reason in ("tool_calls", "function_call"):
        return "stop"
    return reason


class Sieve:
    """Leaves out what no judged client may see and notes it, each path once."""

    def __init__(self, dialect: str, *, enforcing: bool) -> None:
        self.findings: list[Finding] = []
        self._dialect = dialect
        self._action: Any = "stripped" if enforcing else "none"
        self._seen: set[str] = set()

    def top(self, tree: Mapping[str, Json]) -> Mapping[str, Json]:
        if tree.keys() <= TOP_KEYS:
            return tree
        unknown = tree.keys() - TOP_KEYS
        looks_judged = {k for k in unknown if folded(k) in _JUDGED_AT_THE_TOP and not (k == "error" and tree[k] is None)}
        return self._without(tree, looks_judged, "")

    def choice(self, choice: Mapping[str, Json], body: str, path: str) -> Mapping[str, Json]:
        """`body` is the key that holds the words: `delta` in streams, `message` in whole answers."""
        return self.keep(choice, CHOICE_KEYS | {body}, path)

    def message(self, message: Mapping[str, Json], path: str) -> Mapping[str, Json]:
        return message if message.keys() <= MESSAGE_KEYS else self.keep(message, MESSAGE_KEYS | _of_others(message), path)

    def keep(self, found: Mapping[str, Json], known: frozenset[str], path: str) -> Mapping[str, Json]:
        """The object with its known keys only; itself when it has no others."""
        return found if found.keys() <= known else self._without(found, found.keys() - known, path)

    def note(self, found: Mapping[str, Json], known: frozenset[str], path: str) -> None:
        """Notes unknown keys of an object that is never forwarded as it came."""
        self.keep(found, known, path)

    def _without(self, found: Mapping[str, Json], dropped: set[str], path: str) -> Mapping[str, Json]:
        if not dropped:
            return found
        for key in sorted(dropped):
            self._find(f"{path}.{clipped(key)}" if path else clipped(key))
        return {k: v for k, v in found.items() if k not in dropped}

    def _find(self, path: str) -> None:
        if path in self._seen or len(self._seen) >= _MOST_FINDINGS:
            return
        self._seen.add(path)
        detail = "a field this dialect does not define; an agent might read it as a call"
        self.findings.append(Finding(self._dialect, "stripped_field", "warn", path, detail, self._action))


def folded(key: str) -> str:
    return "".join(c for c in key.casefold() if c.isalnum())


def signature(found: Mapping[str, Json]) -> Json:
    """What a call, delta or message holds as `extra_content`, where it is a signature and nothing else; else None."""
    google = signed.get("google") if isinstance(signed := found.get(SIGNED), dict) and len(signed) == 1 else None
    if not isinstance(google, dict) or not google.keys() <= {"thought", "thought_signature"}:
        return None
    fits = isinstance(google.get("thought", False), bool) and isinstance(google.get("thought_signature", ""), str)
    return signed if fits else None


def thoughts_of(message: Mapping[str, Json]) -> dict[str, Json]:
    """What it holds of the model's thoughts, which some providers (DeepSeek, OpenRouter) want back with the calls that they led to."""
    return {} if _THOUGHTS.isdisjoint(message) else {key: message[key] for key in sorted(_THOUGHTS) if message.get(key)}


def _of_others(message: Mapping[str, Json]) -> frozenset[str]:
    """Which keys of a message that OpenAI does not have hold what some provider puts there, and nothing else."""
    signed, drawn = signature(message) is not None, _are_pictures(message.get("images"))
    return frozenset({*((SIGNED,) if signed else ()), *(("images",) if drawn else ())})


def _are_pictures(found: Json) -> bool:
    """Pictures that the model drew, as OpenRouter and LiteLLM deliver them: in the answer itself, not at an address."""
    return isinstance(found, list) and all(isinstance(each, dict) and _is_picture(each) for each in found)


def _is_picture(found: Mapping[str, Json]) -> bool:
    place, named = found.get("image_url"), found.get("type") == "image_url" and type(found.get("index", 0)) is int
    url = place.get("url") if isinstance(place, dict) and place.keys() <= {"url", "detail"} else None
    detail = place.get("detail") if isinstance(place, dict) else None
    keys = found.keys() <= {"type", "image_url", "index"}
    return named and keys and isinstance(url, str) and url.startswith("data:image/") and isinstance(detail, str | None)


def carries_call(delta: Json) -> bool:
    """Whether a delta holds a piece of a call in either form. Empty lists and nulls, which some providers always send, are none."""
    return isinstance(delta, dict) and (bool(delta.get("tool_calls")) or delta.get("function_call") is not None)


def unknown_words(message: Mapping[str, Json]) -> tuple[str, ...]:
    """The keys of a delta or message that hold no words of a known kind. They may be a call in a form nobody here can read."""
    return tuple(key for key in _TEXT if not isinstance(message.get(key), str | None) and not _are_words(key, message[key]))


def _are_words(key: str, value: Json) -> bool:
    return key == "content" and isinstance(value, list) and all(map(_is_word_part, value))


def unknown_detail(odd: tuple[str, ...]) -> str:
    """What is wrong with these words, for people."""
    return f"{', '.join(f'`{key}`' for key in odd)} with parts of an unknown kind"


def _is_word_part(part: Json) -> bool:
    return isinstance(part, dict) and part.get("type") in _CONTENT_PARTS and not any(folded(key) in _JUDGED for key in part)


def only_words(chunk: Mapping[str, Json]) -> tuple[int, Mapping[str, Json]] | None:
    """(choice, delta) of a chunk that holds plain words of one unfinished choice and nothing that is not known; else None."""
    choices = chunk.get("choices")
    if not chunk.keys() <= TOP_KEYS or chunk.get("usage") is not None or type(choices) is not list or len(choices) != 1:
        return None
    choice = choices[0]
    if type(choice) is not dict or not choice.keys() <= _DELTA_CHOICE_KEYS or choice.get("finish_reason"):
        return None
    number, delta = choice.get("index"), choice.get("delta")
    if type(number) is not int or type(delta) is not dict or not delta.keys() <= _PLAIN_KEYS:
        return None
    return (number, delta) if all(type(v) is str or v is None for v in delta.values()) else None


def words(message: Mapping[str, Json]) -> str:
    """The plain text of a delta or message, refusals included, thinking left out."""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(p["text"] for p in content if isinstance(p.get("text"), str))
    return (content or "") + (message.get("refusal") or "")


def read_usage(raw: Json, tier: Json = None) -> Usage | None:
    """OpenAI's counts contain each other; ours do not. A count that cannot be (negative, not an integer, part over whole) is None."""
    if not isinstance(raw, dict):
        return None
    return disjoint(raw, "prompt", "completion", tier)


def disjoint(raw: Mapping[str, Json], reading: str, writing: str, tier: Json = None) -> Usage:
    """`reading` and `writing`: the words by which the counts and their details are named. Where sound was read and something was cached,
    and it is not said whether that was the sound, nobody knows what was read at which price. Thoughts are within what was written, unless
    the total says that they are beside it (xAI); what a total has beyond that has no price (Google's endpoint for OpenAI's SDKs)."""
    given, written = count_of(raw, f"{reading}_tokens"), count_of(raw, f"{writing}_tokens")
    read, wrote = raw.get(f"{reading}_tokens_details"), raw.get(f"{writing}_tokens_details")
    cached, (stored, long) = _cached(raw, read), _stored(read)
    sound, image = count_of(read, "audio_tokens"), count_of(read, "image_tokens")
    kept = read.get("cached_tokens_details") if isinstance(read, dict) else None
    kept_sound = count_of(kept, "audio_tokens")
    reasoning, spoken, drawn = count_of(wrote, "reasoning_tokens"), count_of(wrote, "audio_tokens"), count_of(wrote, "image_tokens")
    fresh_sound = rest_of(sound, kept_sound)
    known = (not (sound and cached) or isinstance(kept, dict)) and not (long and rest_of(stored, long) is None)
    beyond = beyond_of(raw.get("total_tokens"), given, written)
    if beyond and beyond == reasoning and written is not None:
        written, beyond = written + beyond, 0
    return Usage(
        input=rest_of(given, cached, stored, fresh_sound, image) if known else None,
        cache_read=rest_of(cached, kept_sound),
        cache_write=rest_of(stored, long),
        cache_write_1h=long,
        output=rest_of(written, reasoning, spoken, drawn),
        reasoning=reasoning,
        audio_input=fresh_sound,
        audio_cache_read=kept_sound,
        image_input=image,
        audio_output=spoken,
        image_output=drawn,
        tier=tier_of(tier),
        fees=_fees(raw, beyond),
        charged=charged(raw),
    )


def _stored(read: Json) -> tuple[int | None, int | None]:
    """(tokens written to a cache, those of them for twelve hours)."""
    if not isinstance(read, dict):
        return None, None
    stored = count_of(read, "cache_write_tokens")
    long = count_of(read.get("cache_write_tokens_details"), "ttl_12h_tokens")
    return count_of(read, "cache_creation_input_tokens") if stored is None else stored, long


def _cached(raw: Mapping[str, Json], read: Json) -> int | None:
    """Under the names of OpenAI, of DeepSeek or of Moonshot."""
    cached = count_of(read, "cached_tokens")
    if cached is None and not _CACHED_ELSEWHERE.isdisjoint(raw):
        found = [count_of(raw, name) for name in _CACHED_ELSEWHERE]
        return max((count for count in found if count is not None), default=None)
    return cached


_CACHED_ELSEWHERE = frozenset({"prompt_cache_hit_tokens", "cached_tokens"})


def beyond_of(total: Json, given: int | None, written: int | None) -> int:
    """By how much a total is more than what is counted; 0 where there is none, or none that can be."""
    if type(total) is not int or given is None or written is None or total <= given + written:
        return 0
    return total - given - written


_CHARGED = {
    "citation_tokens": "citation_tokens", "num_search_queries": "search_queries", "search_context_size": "search_context",
    "num_sources_used": "search_sources", "prompt_audio_seconds": "audio_seconds",
}  # fmt: skip
"""Names in the usage of Perplexity, xAI and Mistral, and what they are called where they have no price."""
_SERVICES, _FREE = "server_side_tool_usage_details", frozenset({"web_search_calls", "mcp_calls"})
"""Where xAI counts the tools that it ran. Its searches are counted as items of the answer, and tools elsewhere it does not charge."""


_TELLING = frozenset({_SERVICES, *_CHARGED})


def _fees(raw: Mapping[str, Json], beyond: int) -> tuple[str, ...]:
    if not beyond and _TELLING.isdisjoint(raw):
        return ()
    found = {name for key, name in _CHARGED.items() if raw.get(key)}
    services = raw.get(_SERVICES)
    if isinstance(services, dict):
        found |= {clipped(name, 40).removesuffix("_calls") for name, times in services.items() if times and name not in _FREE}
    return tuple([*((UNCOUNTED,) if beyond else ()), *sorted(found)][:MOST_FEES])


def tier_of(said: Json) -> str:
    """A service tier as an answer states it, in small letters; the provider's standard one is empty."""
    tier = clipped(said, 40).lower() if isinstance(said, str) else ""
    return "" if tier in STANDARD_TIERS else tier


STANDARD_TIERS = frozenset({
    "auto", "default", "standard", "on_demand", "unspecified", "service_tier_unspecified", "traffic_type_unspecified",
})  # fmt: skip
"""The provider's standard tier, and words that name none."""


def usage_bytes(data: bytes) -> bytes:
    """The usage block of a chunk or answer that has one, as it came."""
    return bytes(_of_usage(data).usage)


def count_of(block: Json, name: str) -> int | None:
    value = block.get(name) if isinstance(block, dict) else None
    return value if type(value) is int and 0 <= value < 2**53 else None


def rest_of(whole: int | None, *parts: int | None) -> int | None:
    if whole is None:
        return None
    rest = whole
    for part in parts:
        if part is not None:
            rest -= part
    return rest if rest >= 0 else None


def error_of(tree: Mapping[str, Json]) -> Json:
    """The error object of a chunk or body, or None. Falsy ones (`null`, `{}`) are no errors to any SDK."""
    return tree.get("error") or None


def error_detail(error: Json) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return clipped(message, 300) if isinstance(message, str) else "the provider sent an error"


def error_json(error: Json) -> bytes:
    """The error alone: whatever else its object held could be read as an answer."""
    return strict_json.encode({"error": error})
