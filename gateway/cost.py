"""What an answer cost, exactly: Decimal from the price table's own digits, one price per disjoint class of tokens.

The table is litellm's JSON (one object per model, USD per token). An entry is read only when its model is first asked for, so loading costs
a few milliseconds. Where anything needed is unknown (model, a price, the usage) the answer is None, never zero: an unpriced exchange must
stay visible as one. Prices for batch, priority or flex tiers are not used: a request does not say reliably which tier served it.

Pure: the bytes come from `gateway/prices.py`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

import msgspec
from msgspec import Raw, Struct

from gateway.exchange import Usage

PER_MILLION = Decimal(1_000_000)

_FIELDS = {
    "input": "input_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "output": "output_cost_per_token",
    "reasoning": "output_cost_per_reasoning_token",
}
"""Our classes of tokens and the table's names for their prices. Overrides use the left side."""
_VENDORS = {"gcp.gemini": "gemini"}
"""OpenTelemetry's names of providers where the table has others before its slash."""
_TIER = re.compile(r"(.+)_above_(\d+)k_tokens")
_DATED = re.compile(r"(.+?)[-@](?:\d{4}-\d{2}-\d{2}|\d{8})")

_index = msgspec.json.Decoder(dict[str, Raw]).decode


class Cost(Struct, frozen=True):
    """An exact amount, and how it was come by."""

    amount: Decimal
    """USD."""
    model: str
    """The price table's own key that was used."""


class _Prices(Struct, frozen=True):
    """Prices of one model: class of tokens → [(prompt tokens above which it holds, USD per token)], the highest tier first."""

    tiers: Mapping[str, tuple[tuple[int, Decimal], ...]]

    def of(self, kind: str, prompt_tokens: int) -> Decimal | None:
        return next((price for above, price in self.tiers.get(kind, ()) if prompt_tokens > above), None)


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
        own = {model: _override(model, prices) for model, prices in (overrides or {}).items()}
        return cls(entries, own, _version(data, overrides or {}, release))

    def cost(self, provider: str, model: str, usage: Usage) -> Cost | None:
        """None when the model, a price that is needed, or the usage is not known."""
        if usage.input is None or usage.output is None:
            return None
        found = self._find(provider, model)
        if found is None:
            return None
        key, prices = found
        amount = _total(prices, usage)
        return None if amount is None else Cost(amount, key)

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


def _total(prices: _Prices, usage: Usage) -> Decimal | None:
    counts = {kind: getattr(usage, kind) or 0 for kind in _FIELDS}
    prompt = counts["input"] + counts["cache_read"] + counts["cache_write"] + counts["cache_write_1h"]
    amount = Decimal(0)
    for kind, tokens in counts.items():
        price = prices.of(kind, prompt)
        if price is None and kind == "reasoning":
            price = prices.of("output", prompt)
        if tokens and price is None:
            return None
        amount += tokens * (price or 0)
    return amount


def _read(raw: Raw) -> _Prices:
    """A price that is not a plain, non-negative number is left out: what needs it is then unpriced."""
    kinds = {name: kind for kind, name in _FIELDS.items()}
    tiers: dict[str, list[tuple[int, Decimal]]] = {}
    for name, value in _fields(raw).items():
        tier = _TIER.fullmatch(name)
        kind = kinds.get(tier[1] if tier else name)
        price = _number(bytes(value).decode()) if kind else None
        if kind and price is not None:
            tiers.setdefault(kind, []).append((int(tier[2]) * 1000 if tier else -1, price))
    return _Prices({kind: tuple(sorted(found, reverse=True)) for kind, found in tiers.items()})


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
    tiers: dict[str, tuple[tuple[int, Decimal], ...]] = {}
    for kind, text in prices.items():
        price = _number(text)
        if kind not in _FIELDS or price is None:
            raise ValueError(
                f"price override for '{model}': '{kind}: {text}' is not understood; "
                f"write one of {', '.join(_FIELDS)} with USD per million tokens, like input: \"2.50\""
            )
        tiers[kind] = ((-1, price / PER_MILLION),)
    return _Prices(tiers)


def _version(data: bytes, overrides: Mapping[str, Mapping[str, str]], release: str) -> str:
    parts = [release, "sha256:" + hashlib.sha256(data).hexdigest()[:12]]
    if overrides:
        parts.append("overrides:" + hashlib.sha256(msgspec.json.encode(overrides, order="sorted")).hexdigest()[:12])
    return " ".join(part for part in parts if part)
