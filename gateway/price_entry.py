"""What one model costs: an entry of litellm's price table, or what the settings put in its place, as prices per class of tokens.

Pure. A price that is not a plain, non-negative number is left out: what needs it is then unpriced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

import msgspec
from msgspec import Raw, Struct

from gateway import off_peak

PER_THOUSAND, PER_MILLION = Decimal(1_000), Decimal(1_000_000)

_FIELDS = {
    "input": "input_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "output": "output_cost_per_token",
    "reasoning": "output_cost_per_reasoning_token",
    "audio_input": "input_cost_per_audio_token",
    "audio_cache_read": "cache_read_input_audio_token_cost",
    "image_input": "input_cost_per_image_token",
    "audio_output": "output_cost_per_audio_token",
    "image_output": "output_cost_per_image_token",
}
"""Our classes of tokens and the table's names for their prices. Overrides use the left side."""
_KINDS = {name: kind for kind, name in _FIELDS.items()} | {"cache_creation_input_token_cost_above_12hr": "cache_write_1h"}
"""The longer of a provider's two caches lives an hour or twelve."""
_LIKE = {"reasoning": "output", "image_input": "input"}
"""Classes that cost what another one costs where they have no price of their own: providers say so of these two. Sound never does."""
_TIERS = {"batches": "batch", "priority": "priority", "flex": "flex", "ultrafast": "ultrafast"}
"""The table's endings, and the service tiers as answers state them."""
SEARCH = "web_search"
TERMS = ("us", "fast")
"""What answers say beside their counts that has a price in the table (`provider_specific_entry`): where they were computed, how fast."""
PLACES = {
    "processed_in_eu": "regional_processing_uplift_multiplier_eu",
    "processed_in_us": "regional_processing_uplift_multiplier_us",
    "regional_endpoint": "regional_endpoint_uplift_multiplier",
}
"""Addresses at which some models cost more (OpenAI's for data residency; Vertex AI's but the global one), and the table's names for by how
much. A model without such a price costs the same there."""
_NAME = re.compile(rf"(.+?)(?:_above_(\d+)k_tokens)?(?:_({'|'.join(_TIERS)}))?")
_OVERRIDE = re.compile(r"([a-z_0-9]+?)(?:_above_(\d+)k)?(?:@([a-z0-9_-]+))?")
_GOOGLE = ("gemini", "vertex_ai")
_REQUEST = "input_cost_per_request"
_FROM_THE_STEP_ON = "xai"
"""Whose higher prices begin with the step itself; those of others with the token after it."""

_index = msgspec.json.Decoder(dict[str, Raw]).decode
_tiers_of = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_range_of = msgspec.json.Decoder(tuple[float, float]).decode

_Steps: TypeAlias = dict[tuple[str, str], list[tuple[int, Decimal]]]


class Prices(Struct, frozen=True):
    """Prices of one model."""

    steps: Mapping[tuple[str, str], tuple[tuple[int, Decimal], ...]]
    """(class of tokens, service tier) → [(prompt tokens above which it holds, USD per token)], the highest step first."""
    search: Decimal | None = None
    """USD for one web search."""
    request: Decimal = Decimal(0)
    """USD for the request itself."""
    cheaper: Mapping[str, Decimal] = {}
    """Class of tokens → USD per token while `hours` hold, of the standard service tier."""
    hours: off_peak.Hours | None = None
    by_request: bool = False
    """Searches of one request are charged once."""
    reads: int | None = None
    writes: int | None = None
    """Most tokens of a prompt, and of an answer."""
    terms: Mapping[str, Decimal] = {}
    """By what all tokens are multiplied: `us`, `fast`."""
    places: Mapping[str, Decimal] = {}
    """The same by where it is asked: of `PLACES`."""
    vendor: str = "?"
    """Who sells it at these prices, in the table's words; ? where it does not say."""

    def at(self, at_us: int | None) -> Prices:
        """Those of a moment (microseconds since 1970 in UTC); None: the standard ones."""
        if self.hours is None or at_us is None or not self.hours.hold(at_us):
            return self
        steps = {key: found for key, found in self.steps.items() if key[1] or key[0] not in self.cheaper}
        return msgspec.structs.replace(self, steps=steps | {(kind, ""): ((-1, price),) for kind, price in self.cheaper.items()})

    def of(self, kind: str, tier: str, prompt_tokens: int) -> Decimal | None:
        """A tier must name a price for the very step that the standard one has: one for short prompts says nothing of long ones."""
        above = next((above for above, _ in self.steps.get((kind, ""), ()) if prompt_tokens > above), None)
        found = dict(self.steps.get((kind, tier), ())).get(-1 if above is None else above)
        like = _LIKE.get(kind)
        return self.of(like, tier, prompt_tokens) if found is None and like else found


def read(raw: Raw) -> Prices:
    """The prices of an entry of the table."""
    fields = _fields(raw)
    vendor = _text(fields.get("litellm_provider"))
    steps = _tiered(fields["tiered_pricing"]) if "tiered_pricing" in fields else _stepped(fields, 1 if vendor == _FROM_THE_STEP_ON else 0)
    cheaper, hours = _off_peak(fields.get("off_peak_pricing"), steps)
    terms = _numbers(fields.get("provider_specific_entry"))
    return Prices(
        {key: tuple(sorted(found, reverse=True)) for key, found in steps.items()},
        search=_search_price(fields),
        by_request=vendor.startswith(_GOOGLE) and _text(fields.get("web_search_billing_unit")) != "per_query",
        request=_numbers_of({name: fields[name] for name in fields if name == _REQUEST}).get(_REQUEST, Decimal(0)),
        cheaper=cheaper,
        hours=hours,
        reads=_count(fields.get("max_input_tokens")),
        writes=_count(fields.get("max_output_tokens")),
        terms={name: terms[name] for name in TERMS if name in terms},
        places=_places(fields),
        vendor=vendor or "?",
    )


def _stepped(fields: Mapping[str, Raw], sooner: int) -> _Steps:
    """Prices that stand side by side: `…`, `…_above_200k_tokens`, `…_flex`. `sooner`: by how many tokens a step begins before that."""
    steps: _Steps = {}
    for name, value in fields.items():
        found = _NAME.fullmatch(name)
        kind = _KINDS.get(found[1]) if found else None
        price = _number(bytes(value).decode()) if kind else None
        if found and kind and price is not None:
            above = int(found[2]) * 1000 - sooner if found[2] else -1
            steps.setdefault((kind, _TIERS.get(found[3], "")), []).append((above, price))
    return steps


def _tiered(raw: Raw) -> _Steps:
    """A list of price lists, each for prompts of a `range`: above its first number, up to its second. What is not in all of them is left
    out, and everything is where one cannot be read."""
    steps: _Steps = {}
    try:
        tiers = [(int(_range_of(tier["range"])[0]), _prices(tier)) for tier in _tiers_of(raw)]
    except (KeyError, ValueError, msgspec.DecodeError):
        return {}
    for above, prices in tiers:
        for kind, price in prices.items():
            steps.setdefault((kind, ""), []).append((above or -1, price))
    return {key: found for key, found in steps.items() if len(found) == len(tiers)}


def _off_peak(raw: Raw | None, steps: _Steps) -> tuple[dict[str, Decimal], off_peak.Hours | None]:
    """Where nobody can tell when other prices hold, no price of the kind is known at any time: it is taken out of `steps`."""
    if raw is None:
        return {}, None
    cheaper, hours = _prices(_fields(raw)), off_peak.read(bytes(raw))
    if hours is None:
        for kind in cheaper:
            steps.pop((kind, ""), None)
    return cheaper, hours


def _prices(fields: Mapping[str, Raw]) -> dict[str, Decimal]:
    return {_KINDS[name]: price for name, price in _numbers_of(fields).items() if name in _KINDS}


def _search_price(fields: Mapping[str, Raw]) -> Decimal | None:
    """One for all sizes of the search's context: which of them was asked for, no answer says."""
    sizes = set(_numbers(fields.get("search_context_cost_per_query")).values())
    return sizes.pop() if len(sizes) == 1 else None


def _places(fields: Mapping[str, Raw]) -> dict[str, Decimal]:
    found = {place: _number(bytes(fields[name]).decode()) for place, name in PLACES.items() if name in fields}
    return {place: factor for place, factor in found.items() if factor is not None}


def _numbers(raw: Raw | None) -> dict[str, Decimal]:
    return _numbers_of(_fields(raw or Raw(b"{}")))


def _numbers_of(fields: Mapping[str, Raw]) -> dict[str, Decimal]:
    found = {name: _number(bytes(value).decode()) for name, value in fields.items()}
    return {name: number for name, number in found.items() if number is not None}


def _count(raw: Raw | None) -> int | None:
    text = bytes(raw or b"").decode()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _text(raw: Raw | None) -> str:
    return bytes(raw or b"").decode().strip('"')


def _fields(raw: Raw) -> dict[str, Raw]:
    try:
        return _index(raw)
    except msgspec.DecodeError:
        return {}


def _number(text: str) -> Decimal | None:
    try:
        price = Decimal(text)
    except InvalidOperation:
        return None
    return price if price.is_finite() and price >= 0 else None


def override(model: str, prices: Mapping[str, str]) -> Prices:
    """Prices of the settings: USD per million tokens. Raises ValueError that says what to write."""
    steps: _Steps = {}
    search = None
    if not model.strip() or "*" in model or "?" in model:
        raise ValueError(f"price override for '{model}': prices have no patterns; name one model, as requests write it")
    if not prices:
        raise ValueError(f"price override for '{model}' prices nothing; write input: \"2.50\" and the like, or take the model out")
    for name, text in prices.items():
        found, price = _OVERRIDE.fullmatch(name), _number(text)
        if price is None or not (found and (found[1] in _FIELDS or name == SEARCH)):
            raise ValueError(
                f"price override for '{model}': '{name}: {text}' is not understood; "
                f"write one of {', '.join(_FIELDS)} with USD per million tokens, like input: \"2.50\"; "
                f"input_above_200k for long prompts, input@flex for a service tier, or {SEARCH} with USD per thousand searches"
            )
        if name == SEARCH:
            search = price / PER_THOUSAND
        else:
            steps.setdefault((found[1], found[3] or ""), []).append((int(found[2]) * 1000 if found[2] else -1, price / PER_MILLION))
    return Prices({key: tuple(sorted(found, reverse=True)) for key, found in steps.items()}, search)
