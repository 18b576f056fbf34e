"""What an answer cost, exactly: Decimal from the price table's own digits, one price per disjoint class of tokens.

The table is litellm's JSON (one object per model, USD per token). An entry is read only when its model is first asked for, so loading costs
a few milliseconds. Where anything needed is unknown (model, a price, the usage) the answer is None, never zero: an unpriced exchange must
stay visible as one, and names what had no price. A service tier counts as the answer states it, never as the request asked for it. Where
prices depend on the hour, the one in which the exchange began counts.

Pure: the bytes come from `gateway/prices.py`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec
from msgspec import Raw, Struct

from gateway.answer import TOKENS, Usage
from gateway.price_entry import PLACES, SEARCH, Prices, override, read
from gateway.stated_cost import STATED

_READ = ("input", "cache_read", "cache_write", "cache_write_1h", "audio_input", "audio_cache_read", "image_input")
"""Classes of the prompt, whose length chooses the price."""
_VENDORS = {
    "gcp.gemini": "gemini", "gcp.vertex_ai": "vertex_ai", "aws.bedrock": "bedrock", "azure.ai.openai": "azure",
    "azure.ai.inference": "azure_ai", "ibm.watsonx.ai": "watsonx", "mistral_ai": "mistral", "x_ai": "xai",
}  # fmt: skip
"""OpenTelemetry's names of providers where the table has others before its slash."""
_OF_DIALECTS = frozenset({"openai", "anthropic", "gcp.gemini", "aws.bedrock", "gcp.vertex_ai"})
"""Providers that nobody had to name: anything may stand behind their dialects, so that any model is looked up for them."""
_STATING = frozenset({"openrouter", "perplexity", "xai"})
"""Providers that say with an answer what they charged for it, in USD."""
CLOUDS = ("aws.bedrock", "gcp.vertex_ai")
"""Who rents out other makers' models, at prices of their own."""
_TUNED = re.compile(r"(ft:[^:]+):.*")
"""OpenAI's names of models that a customer tuned: `ft:gpt-4o-2024-08-06:acme::B1c2`."""
_DATED = re.compile(r"(.+?)[-@](?:\d{4}-\d{2}-\d{2}|\d{8})")

_index = msgspec.json.Decoder(dict[str, Raw]).decode


class Cost(Struct, frozen=True):
    """An exact amount, how it was come by, and what stands in its way where there is none."""

    amount: Decimal | None
    """USD; None as soon as one part of it has no known price."""
    model: str | None
    """The price table's own key that was used, or `stated` for the provider's own word; None when the table knows no such model."""
    unpriced: tuple[str, ...] = ()
    """What has no known price: `model`, `usage`, a class of tokens (`cache_read`, `cache_read@flex`), `web_search`, a term, a fee."""


class PriceTable:
    """Prices by model. `version` names exactly what was used: release, digest of the table, digest of the overrides."""

    def __init__(self, entries: Mapping[str, Raw], overrides: Mapping[str, Prices], version: str) -> None:
        self.version = version
        self._entries = entries
        self._own = overrides
        self._known: dict[str, Prices] = {}

    @classmethod
    def from_json(
        cls, data: bytes, overrides: Mapping[str, Mapping[str, str]] | None = None, *, release: str = ""
    ) -> PriceTable:
        """`data` is litellm's price file (`{}` for none); overrides are model → {class: USD per million tokens, as text}.
        Raises ValueError that says which file or override is wrong."""
        try:
            entries = _index(data)
        except msgspec.DecodeError as error:
            raise ValueError(f"it is not one JSON object per model: {error}") from error
        digest = f"sha256:{hashlib.sha256(data).hexdigest()[:12]}"
        return cls(entries, {}, f"{release} {digest}".lstrip()).with_own(overrides or {})

    @property
    def models(self) -> int:
        """How many have an entry."""
        return len(self._entries.keys() | self._own.keys())

    def with_own(self, overrides: Mapping[str, Mapping[str, str]]) -> PriceTable:
        """The same table with these on top. Raises ValueError that says which one is wrong."""
        own = {model: override(model, prices) for model, prices in overrides.items()}
        digest = hashlib.sha256(msgspec.json.encode(overrides, order="sorted")).hexdigest()[:12]
        return PriceTable(self._entries, own, f"{self.version} overrides:{digest}" if own else self.version)

    def cost(self, provider: str, model: str, usage: Usage, at_us: int | None = None) -> Cost:
        """What one answer cost, by the prices of a moment (microseconds since 1970 in UTC). Its amount is None when the model, a price that
        is needed, or the usage is not known."""
        if usage.charged is not None and self._is_believed(provider, model):
            return Cost(usage.charged, STATED)
        found = self._find(provider, model)
        if found is None:
            return Cost(None, None, ("model",))
        key, prices = found
        if usage.input is None or usage.output is None:
            return Cost(None, key, ("usage",))
        amount, unpriced = _total(prices if usage.tier else prices.at(at_us), usage)
        return Cost(None if unpriced else amount, key, unpriced)

    def _is_believed(self, provider: str, model: str) -> bool:
        """Whether the provider's own word of what it charged counts: where no own price was set for the model."""
        vendor = _VENDORS.get(provider, provider)
        return vendor in _STATING and not any(name in self._own or f"{vendor}/{name}" in self._own for name in _names(model))

    def cost_of_either(self, provider: str, models: Sequence[str | None], usage: Usage, at_us: int) -> Cost:
        """By the first of these names that the table knows: the model that answered, then the one that was asked for; at a cloud, whose
        answers name a model as its maker does, the other way round."""
        named = reversed(models) if provider in CLOUDS else models
        costs = [self.cost(provider, model, usage, at_us) for model in dict.fromkeys(named) if model]
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
            reads, price = kind in _READ, max(*(price for _, price in steps), prices.cheaper.get(kind, Decimal(0)))
            dearest[reads] = max(dearest.get(reads, Decimal(0)), price)
        if True not in dearest or (False not in dearest and written):
            return None
        amount = read * dearest[True] + written * dearest.get(False, Decimal(0))
        for factor in (*prices.terms.values(), max(prices.places.values(), default=Decimal(1))):
            amount *= max(factor, Decimal(1))
        return amount + prices.request

    def bounds(self, provider: str, model: str) -> tuple[int | None, int | None]:
        """(tokens that the model can read, and write) at the most, as far as the table says."""
        found = self._find(provider, model)
        return (found[1].reads, found[1].writes) if found else (None, None)

    def _find(self, provider: str, model: str) -> tuple[str, Prices] | None:
        """Own prices before the table's; what the table says of the provider's model before what it says of a model of that name."""
        vendor = _VENDORS.get(provider, provider)
        for name in _names(model):
            own, of_vendor = self._own.get(name), f"{vendor}/{name}"
            if own is not None:
                return name, own
            for key in (of_vendor, name):
                prices = self._own.get(key) or self._prices(key)
                if prices is not None and (key == of_vendor or provider in _OF_DIALECTS or prices.vendor.startswith((vendor, "?"))):
                    return key, prices
        return None

    def _prices(self, key: str) -> Prices | None:
        if key not in self._known:
            raw = self._entries.get(key)
            if raw is None:
                return None
            self._known[key] = read(raw)
        return self._known[key]


def _names(model: str) -> tuple[str, ...]:
    """As it is written, as what it was tuned from, and without a date."""
    tuned = _TUNED.fullmatch(model)
    written = (model, tuned[1]) if tuned else (model,)
    dated = _DATED.fullmatch(written[-1])
    return (*written, dated[1]) if dated else written


def _total(prices: Prices, usage: Usage) -> tuple[Decimal, tuple[str, ...]]:
    """(USD of what has a price, names of what has none)."""
    prompt = sum(getattr(usage, kind) or 0 for kind in _READ)
    amount, unpriced = Decimal(0), list(usage.fees)
    for kind in TOKENS:
        tokens, price = getattr(usage, kind) or 0, prices.of(kind, usage.tier, prompt)
        if tokens and price is None:
            unpriced.append(f"{kind}@{usage.tier}" if usage.tier else kind)
        amount += tokens * (price or 0)
    for term in usage.terms:
        if term not in prices.terms and term not in PLACES:
            unpriced.append(term)
        amount *= prices.terms.get(term, prices.places.get(term, Decimal(1)))
    return prices.request + amount + _searched(prices, usage.searches or 0, unpriced), tuple(unpriced)


def _searched(prices: Prices, searches: int, unpriced: list[str]) -> Decimal:
    if searches and prices.search is None:
        unpriced.append(SEARCH)
    return (prices.search or Decimal(0)) * (min(searches, 1) if prices.by_request else searches)
