"""What an answer cost, exactly: Decimal from the price table's own digits, one price per disjoint class of tokens.

The table is litellm's JSON (one object per model, USD per token). An entry is read only when its model is first asked for, so loading costs
a few milliseconds. Where anything needed is unknown (model, a price, the usage) the answer is None, never zero: an unpriced exchange must
stay visible as one, and names what had no price. A service tier counts as the answer states it, never as the request asked for it.

Pure: the bytes come from `gateway/prices.py`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

import msgspec
from msgspec import Raw, Struct

from gateway.answer import TOKENS, Usage

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
_LIKE = {"reasoning": "output", "image_input": "input"}
"""Classes that cost what another one costs where they have no price of their own: providers say so of these two. Sound never does."""
_TIERS = {"batches": "batch", "priority": "priority", "flex": "flex", "ultrafast": "ultrafast"}
"""The table's endings, and the service tiers as answers state them."""
_READ = ("input", "cache_read", "cache_write", "cache_write_1h", "audio_input", "audio_cache_read", "image_input")
"""Classes of the prompt, whose length chooses the price."""
SEARCH = "web_search"
TERMS = ("us", "fast")
"""What answers say beside their counts that has a price in the table (`provider_specific_entry`): where they were computed, how fast."""
_VENDORS = {"gcp.gemini": "gemini", "gcp.vertex_ai": "vertex_ai", "aws.bedrock": "bedrock"}
"""OpenTelemetry's names of providers where the table has others before its slash."""
CLOUDS = ("aws.bedrock", "gcp.vertex_ai")
"""Who rents out other makers' models, at prices of their own."""
_NAME = re.compile(rf"(.+?)(?:_above_(\d+)k_tokens)?(?:_({'|'.join(_TIERS)}))?")
_OVERRIDE = re.compile(r"([a-z_0-9]+?)(?:_above_(\d+)k)?(?:@([a-z0-9_-]+))?")
_DATED = re.compile(r"(.+?)[-@](?:\d{4}-\d{2}-\d{2}|\d{8})")

_index = msgspec.json.Decoder(dict[str, Raw]).decode


class Cost(Struct, frozen=True):
    """An exact amount, how it was come by, and what stands in its way where there is none."""

    amount: Decimal | None
    """USD; None as soon as one part of it has no known price."""
    model: str | None
    """The price table's own key that was used; None when it knows no such model."""
    unpriced: tuple[str, ...] = ()
    """What has no known price: `model`, `usage`, a class of tokens (`cache_read`, `cache_read@flex`), `web_search`, a term, a fee."""


class _Prices(Struct, frozen=True):
    """Prices of one model."""

    steps: Mapping[tuple[str, str], tuple[tuple[int, Decimal], ...]]
    """(class of tokens, service tier) → [(prompt tokens above which it holds, USD per token)], the highest step first."""
    search: Decimal | None = None
    """USD for one web search."""
    by_request: bool = False
    """Searches of one request are charged once."""
    reads: int | None = None
    writes: int | None = None
    """Most tokens of a prompt, and of an answer."""
    terms: Mapping[str, Decimal] = {}
    """By what all tokens are multiplied: `us`, `fast`."""

    def of(self, kind: str, tier: str, prompt_tokens: int) -> Decimal | None:
        """A tier must name a price for the very step that the standard one has: one for short prompts says nothing of long ones."""
        above = next((above for above, _ in self.steps.get((kind, ""), ()) if prompt_tokens > above), None)
        found = dict(self.steps.get((kind, tier), ())).get(-1 if above is None else above)
        like = _LIKE.get(kind)
        return self.of(like, tier, prompt_tokens) if found is None and like else found


class PriceTable:
    """Prices by model. `version` names exactly what was used: release, digest of the table, digest of the overrides."""

    def __init__(self, entries: Mapping[str, Raw], overrides: Mapping[str, _Prices], version: str) -> None:
        self.version = version
        self._entries = entries
        self._known: dict[str, _Prices] = dict(overrides)

    @classmethod
    def from_json(
        cls, data: bytes, overrides: Mapping[str, Mapping[str, str]] | None = None, *, release: str = ""
    ) -> PriceTable:
        """`data` is litellm's price file (`{}` for none); overrides are model → {class: USD per million tokens, as text}.
        Raises ValueError that says which file or override is wrong."""
        try:
            entries = _index(data)
        except msgspec.DecodeError as error:
            raise ValueError(f"the price table is not one JSON object per model: {error}; reinstall litellm") from error
        digest = f"sha256:{hashlib.sha256(data).hexdigest()[:12]}"
        return cls(entries, {}, f"{release} {digest}".lstrip()).with_own(overrides or {})

    def with_own(self, overrides: Mapping[str, Mapping[str, str]]) -> PriceTable:
        """The same table with these on top. Raises ValueError that says which one is wrong."""
        own = {model: _override(model, prices) for model, prices in overrides.items()}
        digest = hashlib.sha256(msgspec.json.encode(overrides, order="sorted")).hexdigest()[:12]
        return PriceTable(self._entries, own, f"{self.version} overrides:{digest}" if own else self.version)

    def cost(self, provider: str, model: str, usage: Usage) -> Cost:
        """What one answer cost. Its amount is None when the model, a price that is needed, or the usage is not known."""
        found = self._find(provider, model)
        if found is None:
            return Cost(None, None, ("model",))
        key, prices = found
        if usage.input is None or usage.output is None:
            return Cost(None, key, ("usage",))
        amount, unpriced = _total(prices, usage)
        return Cost(None if unpriced else amount, key, unpriced)

    def cost_of_either(self, provider: str, models: Sequence[str | None], usage: Usage) -> Cost:
        """By the first of these names that the table knows: the model that answered, then the one that was asked for; at a cloud, whose
        answers name a model as its maker does, the other way round."""
        named = reversed(models) if provider in CLOUDS else models
        costs = [self.cost(provider, model, usage) for model in dict.fromkeys(named) if model]
        return next((cost for cost in costs if cost.model is not None), Cost(None, None, ("model",)))

    def worst(self, provider: str, model: str, read: int, written: int) -> Decimal | None:
        """What so many tokens cost at the most, whatever class, tier and terms they turn out to have; searches and other fees are not in
        it. None when no price is known of what is read, or of what is written."""
        found = self._find(provider, model)
        if found is None:
            return None
        prices = found[1]
        dearest: dict[bool, Decimal] = {}
        for (kind, _), steps in prices.steps.items():
            reads, price = kind in _READ, max(price for _, price in steps)
            dearest[reads] = max(dearest.get(reads, Decimal(0)), price)
        if True not in dearest or (False not in dearest and written):
            return None
        amount = read * dearest[True] + written * dearest.get(False, Decimal(0))
        for factor in prices.terms.values():
            amount *= max(factor, Decimal(1))
        return amount

    def bounds(self, provider: str, model: str) -> tuple[int | None, int | None]:
        """(tokens that the model can read, and write) at the most, as far as the table says."""
        found = self._find(provider, model)
        return (found[1].reads, found[1].writes) if found else (None, None)

    def _find(self, provider: str, model: str) -> tuple[str, _Prices] | None:
        dated = _DATED.fullmatch(model)
        names = (model, dated[1]) if dated else (model,)
        for name in names:
            for key in (name, f"{_VENDORS.get(provider, provider)}/{name}"):
                prices = self._prices(key)
                if prices is not None:
                    return key, prices
        return None

    def _prices(self, key: str) -> _Prices | None:
        if key not in self._known:
            raw = self._entries.get(key)
            if raw is None:
                return None
            self._known[key] = _read(raw)
        return self._known[key]


def _total(prices: _Prices, usage: Usage) -> tuple[Decimal, tuple[str, ...]]:
    """(USD of what has a price, names of what has none)."""
    prompt = sum(getattr(usage, kind) or 0 for kind in _READ)
    amount, unpriced = Decimal(0), list(usage.fees)
    for kind in TOKENS:
        tokens, price = getattr(usage, kind) or 0, prices.of(kind, usage.tier, prompt)
        if tokens and price is None:
            unpriced.append(f"{kind}@{usage.tier}" if usage.tier else kind)
        amount += tokens * (price or 0)
    for term in usage.terms:
        if term not in prices.terms:
            unpriced.append(term)
        amount *= prices.terms.get(term, 1)
    return amount + _searched(prices, usage.searches or 0, unpriced), tuple(unpriced)


def _searched(prices: _Prices, searches: int, unpriced: list[str]) -> Decimal:
    if searches and prices.search is None:
        unpriced.append(SEARCH)
    return (prices.search or Decimal(0)) * (min(searches, 1) if prices.by_request else searches)


def _read(raw: Raw) -> _Prices:
    """A price that is not a plain, non-negative number is left out: what needs it is then unpriced."""
    kinds = {name: kind for kind, name in _FIELDS.items()}
    steps: dict[tuple[str, str], list[tuple[int, Decimal]]] = {}
    fields = _fields(raw)
    for name, value in fields.items():
        found = _NAME.fullmatch(name)
        kind = kinds.get(found[1]) if found else None
        price = _number(bytes(value).decode()) if kind else None
        if found and kind and price is not None:
            steps.setdefault((kind, _TIERS.get(found[3], "")), []).append((int(found[2]) * 1000 if found[2] else -1, price))
    by_request = _text(fields.get("litellm_provider")).startswith(_GOOGLE) and _text(fields.get("web_search_billing_unit")) != "per_query"
    terms = _numbers(fields.get("provider_specific_entry"))
    reads, writes = (_count(fields.get(name)) for name in ("max_input_tokens", "max_output_tokens"))
    own = {name: terms[name] for name in TERMS if name in terms}
    return _Prices(_highest_first(steps), _search_price(fields), by_request, reads, writes, own)


_GOOGLE = ("gemini", "vertex_ai")


def _search_price(fields: Mapping[str, Raw]) -> Decimal | None:
    """One for all sizes of the search's context: which of them was asked for, no answer says."""
    sizes = set(_numbers(fields.get("search_context_cost_per_query")).values())
    return sizes.pop() if len(sizes) == 1 else None


def _numbers(raw: Raw | None) -> dict[str, Decimal]:
    found = {name: _number(bytes(value).decode()) for name, value in _fields(raw or Raw(b"{}")).items()}
    return {name: number for name, number in found.items() if number is not None}


def _count(raw: Raw | None) -> int | None:
    text = bytes(raw or b"").decode()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _text(raw: Raw | None) -> str:
    return bytes(raw or b"").decode().strip('"')


def _highest_first(steps: Mapping[tuple[str, str], list[tuple[int, Decimal]]]) -> dict[tuple[str, str], tuple[tuple[int, Decimal], ...]]:
    return {key: tuple(sorted(found, reverse=True)) for key, found in steps.items()}


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


def _override(model: str, prices: Mapping[str, str]) -> _Prices:
    steps: dict[tuple[str, str], list[tuple[int, Decimal]]] = {}
    search = None
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
    return _Prices(_highest_first(steps), search)
