"""Cost: exact, per disjoint class of tokens, and unknown rather than zero."""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import UTC, datetime
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import prices
from gateway.answer import TOKENS, Usage
from gateway.cost import PriceTable
from gateway.errors import StartError

TABLE = b"""{
  "sample_spec": {"input_cost_per_token": "set to the price", "litellm_provider": "one of ..."},
  "plain": {"input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05},
  "full": {"input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "cache_read_input_token_cost": 3e-07,
    "cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06,
    "output_cost_per_reasoning_token": 2e-05, "input_cost_per_token_batches": 1, "search": {"low": 0.01}},
  "tiered": {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "cache_read_input_token_cost": 1e-07,
    "input_cost_per_token_above_200k_tokens": 3e-06, "output_cost_per_token_above_200k_tokens": 4e-06,
    "input_cost_per_token_above_500k_tokens": 5e-06, "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 7e-06},
  "openai/prefixed": {"input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
  "ft:plain-2025-08-06": {"input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
  "ft:full": {"input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
  "free": {"input_cost_per_token": 0, "output_cost_per_token": 0.0},
  "negative": {"input_cost_per_token": -1, "output_cost_per_token": 1},
  "not_an_object": 7
}"""


def amount(model: str, usage: Usage, provider: str = "openai") -> Decimal | None:
    return PriceTable.from_json(TABLE).cost(provider, model, usage).amount


def test_every_class_of_tokens_has_its_own_price() -> None:
    usage = Usage(input=1, cache_read=10, cache_write=100, cache_write_1h=1000, output=7, reasoning=3)
    want = ["0.000003", "0.000003", "0.000375", "0.006", "0.000105", "0.00006"]
    assert amount("full", usage) == sum(map(Decimal, want))


def test_money_is_exact_where_floats_are_not() -> None:
    assert amount("plain", Usage(input=3, output=0)) == Decimal("0.0000075")
    assert str(amount("plain", Usage(input=1, output=1))) == "0.0000125"


def test_reasoning_without_a_price_of_its_own_costs_what_output_costs() -> None:
    assert amount("plain", Usage(input=0, output=1, reasoning=2)) == Decimal("0.00003")


@pytest.mark.parametrize(
    ("prompt", "want"),
    [
        (Usage(input=200_000, output=1), "0.200002"),
        (Usage(input=200_001, output=1), "0.600007"),
        (Usage(input=100_001, cache_read=100_000, output=0), "0.310003"),
        (Usage(input=500_001, output=0), "2.500005"),
        (Usage(input=0, cache_write_1h=200_001, output=0), "1.400007"),
    ],
)
def test_a_long_prompt_changes_the_tier_counting_cached_tokens(prompt: Usage, want: str) -> None:
    assert amount("tiered", prompt) == Decimal(want)


@pytest.mark.parametrize(
    ("model", "usage"),
    [
        ("unheard-of", Usage(input=1, output=1)),
        ("plain", Usage(input=1, cache_read=1, output=1)),
        ("plain", Usage(input=1, output=None)),
        ("plain", Usage(input=None, output=1)),
        ("plain", Usage()),
        ("sample_spec", Usage(input=1, output=0)),
        ("negative", Usage(input=1, output=0)),
        ("not_an_object", Usage(input=1, output=0)),
    ],
)
def test_what_is_not_known_is_none_and_never_zero(model: str, usage: Usage) -> None:
    assert amount(model, usage) is None


def test_a_price_that_is_not_needed_may_be_missing() -> None:
    assert amount("plain", Usage(input=1, cache_read=0, output=0)) == Decimal("0.0000025")


def test_a_free_model_costs_zero() -> None:
    assert amount("free", Usage(input=5, output=5)) == 0


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ("plain", "plain"),
        ("prefixed", "openai/prefixed"),
        ("plain-2025-08-06", "plain"),
        ("plain-20250806", "plain"),
        ("plain@20250806", "plain"),
        ("prefixed-2025-08-06", "openai/prefixed"),
        ("plain-2025", None),
        ("-20250806", None),
        ("gone-2025-08-06", None),
        ("ft:plain-2025-08-06:acme::B1c2", "ft:plain-2025-08-06"),
        ("ft:full-2025-08-06:acme:mine:B1c2", "ft:full"),
        ("ft:tiered:acme::B1c2", None),
    ],
)
def test_a_model_is_looked_up_as_written_then_with_its_provider_then_undated(model: str, key: str | None) -> None:
    found = PriceTable.from_json(TABLE).cost("openai", model, Usage(input=1, output=1))
    assert found.model == key


VENDORS = b"""{
  "gpt": {"input_cost_per_token": 1, "output_cost_per_token": 1, "litellm_provider": "openai"},
  "azure/gpt": {"input_cost_per_token": 2, "output_cost_per_token": 1, "litellm_provider": "azure"},
  "grok": {"input_cost_per_token": 3, "output_cost_per_token": 1, "litellm_provider": "openai"},
  "flash": {"input_cost_per_token": 4, "output_cost_per_token": 1, "litellm_provider": "vertex_ai-language-models"},
  "gemini/flash": {"input_cost_per_token": 5, "output_cost_per_token": 1, "litellm_provider": "gemini"},
  "deep": {"input_cost_per_token": 6, "output_cost_per_token": 1, "litellm_provider": "deepseek"},
  "groq/openai/oss": {"input_cost_per_token": 7, "output_cost_per_token": 1, "litellm_provider": "groq"}
}"""


@pytest.mark.parametrize(
    ("provider", "model", "price"),
    [
        ("openai", "gpt", 1), ("azure", "gpt", 2), ("azure.ai.openai", "gpt-2026-01-01", 2), ("x_ai", "grok", None), ("xai", "grok", None),
        ("gcp.vertex_ai", "flash", 4), ("gcp.gemini", "flash", 5), ("deepseek", "deep", 6), ("openai", "deep", 6),
        ("groq", "openai/oss", 7), ("vllm", "gpt", None),
    ],
)  # fmt: skip
def test_the_prices_of_the_provider_itself_come_first_and_those_of_another_are_none(provider: str, model: str, price: int | None) -> None:
    table = PriceTable.from_json(VENDORS)
    assert table.cost(provider, model, Usage(input=1, output=0)).amount == price
    own = table.with_own({model: {"input": "8", "output": "0"}})
    assert own.cost(provider, model, Usage(input=1_000_000, output=0)).amount == 8


def test_an_override_may_name_the_provider_too() -> None:
    table = PriceTable.from_json(VENDORS, {"xai/grok": {"input": "9", "output": "0"}})
    assert table.cost("x_ai", "grok", Usage(input=1_000_000, output=0)).amount == 9
    assert table.cost("openai", "grok", Usage(input=1, output=0)).amount == 3


def test_an_override_wins_and_is_per_million_tokens() -> None:
    table = PriceTable.from_json(TABLE, {"plain": {"input": "2", "output": "8"}, "mine": {"input": "1.5", "output": "0"}})
    assert table.cost("openai", "plain", Usage(input=1_000_000, output=1)).amount == Decimal("2.000008")
    assert table.cost("openai", "mine", Usage(input=2, output=9)).amount == Decimal("0.000003")


@pytest.mark.parametrize("override", [{"imput": "1"}, {"input": "cheap"}, {"input": "NaN"}, {"input": "-1"}])
def test_a_bad_override_says_what_to_write(override: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"override for 'm'.*write one of input"):
        PriceTable.from_json(b"{}", {"m": override})


@pytest.mark.parametrize(
    ("model", "override"), [("m", {}), ("gpt-*", {"input": "1"}), ("gpt-?", {"input": "1"}), ("", {"input": "1"}), (" ", {})]
)
def test_an_override_that_prices_nothing_is_refused(model: str, override: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=f"price override for '{re.escape(model)}'.*(prices nothing|name one model)"):
        PriceTable.from_json(b"{}", {model: override})


def test_a_bad_table_is_refused() -> None:
    with pytest.raises(ValueError, match="not one JSON object per model"):
        PriceTable.from_json(b"[1]")


def test_the_version_changes_with_the_table_and_with_the_overrides() -> None:
    plain = PriceTable.from_json(TABLE, release="litellm 1").version
    assert plain.startswith("litellm 1 sha256:")
    others = {
        PriceTable.from_json(TABLE + b" ", release="litellm 1").version,
        PriceTable.from_json(TABLE, {"m": {"input": "1"}}, release="litellm 1").version,
        PriceTable.from_json(TABLE, {"m": {"input": "2"}}, release="litellm 1").version,
    }
    assert len(others | {plain}) == 4


COUNT = st.integers(0, 10**7)


@given(st.builds(Usage, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT), st.integers(1, 9))
def test_cost_is_linear_in_tokens_within_a_tier(usage: Usage, times: int) -> None:
    more = Usage(**{name: (getattr(usage, name) or 0) * times for name in TOKENS})
    one, many = amount("full", usage), amount("full", more)
    assert one is not None
    assert many == one * times


def test_the_installed_table_is_found_without_importing_litellm() -> None:
    before = "litellm" in sys.modules
    table = prices.load({"mine": {"input": "1", "output": "1"}})
    assert ("litellm" in sys.modules) == before
    assert table.version.startswith("litellm 1.")
    found = table.cost("openai", "gpt-4o", Usage(input=1000, output=100))
    assert found.amount is not None
    assert found.amount > 0


def test_without_litellm_only_the_overrides_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices.importlib.util, "find_spec", lambda _name: None)
    table = prices.load({"mine": {"input": "1", "output": "1"}})
    assert table.cost("openai", "mine", Usage(input=1, output=1)).amount == Decimal("0.000002")
    assert table.cost("openai", "gpt-4o", Usage(input=1, output=1)).unpriced == ("model",)
    assert "no price table" in table.version


def test_where_litellm_is_left_out_its_table_is_read_that_was_kept_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed = prices.price_file()
    assert installed is not None
    before = prices.load()
    (tmp_path / f"litellm-{metadata.version('litellm')}.json").write_bytes(installed.read_bytes())
    monkeypatch.setattr(prices.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(prices.shipped, "folder", lambda name: tmp_path if name == "prices" else None)
    table = prices.load()
    assert prices.price_file() != installed
    assert table.version == before.version
    used = Usage(input=1000, output=100)
    assert table.cost("openai", "gpt-4o", used).amount == before.cost("openai", "gpt-4o", used).amount


def test_an_unreadable_table_stops_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bad = tmp_path / "prices.json"
    bad.write_text("{")
    monkeypatch.setattr(prices, "price_file", lambda: bad)
    with pytest.raises(StartError, match=r"prices\.json cannot be used: it is not one JSON object per model.*; reinstall litellm"):
        prices.load()


def test_a_table_that_the_settings_name_takes_the_place_of_the_installed_one(tmp_path: Path) -> None:
    newer = tmp_path / "newer.json"
    newer.write_text('{"gpt-9": {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "litellm_provider": "openai"}}')
    table = prices.load({"mine": {"input": "1", "output": "1"}}, str(newer))
    assert table.cost("openai", "gpt-9", Usage(input=1, output=1)).amount == Decimal("0.000003")
    assert table.cost("openai", "mine", Usage(input=1, output=1)).amount == Decimal("0.000002")
    assert table.cost("openai", "gpt-4o", Usage(input=1, output=1)).unpriced == ("model",)
    assert table.version.startswith("newer.json sha256:")
    assert table.models == 2
    newer.write_text(newer.read_text().replace("2e-06", "3e-06"))
    os.utime(newer, (1, 1))
    assert prices.load(None, str(newer)).cost("openai", "gpt-9", Usage(input=1, output=1)).amount == Decimal("0.000004")


@pytest.mark.parametrize("held", [None, b"", b"<html>", b"[]", b'{"error": {"message": "Not Found"}}', b"{}"])
def test_a_table_of_the_settings_that_is_none_stops_the_start_and_says_what_to_name(tmp_path: Path, held: bytes | None) -> None:
    named = tmp_path / "newer.json"
    if held is not None:
        named.write_bytes(held)
    with pytest.raises(StartError, match=r"newer\.json cannot be used: .*; name a file in the form of litellm's .* 'price_table'"):
        prices.load(None, str(named))


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="Is a directory"):
        prices.load(None, str(tmp_path))


CLASSES = b"""{
  "all": {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "input_cost_per_audio_token": 5e-06,
    "cache_read_input_audio_token_cost": 3e-06, "output_cost_per_audio_token": 7e-06, "output_cost_per_image_token": 9e-06,
    "input_cost_per_image_token": 4e-06, "input_cost_per_token_flex": 5e-07, "output_cost_per_token_flex": 1e-06,
    "input_cost_per_token_above_200k_tokens": 3e-06, "input_cost_per_token_priority": 6e-06, "output_cost_per_token_priority": 8e-06,
    "input_cost_per_token_above_200k_tokens_priority": 1.1e-05, "input_cost_per_token_batches": 2.5e-07, "output_cost_per_token_batches": 0,
    "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_high": 0.01},
    "provider_specific_entry": {"us": 1.1, "fast": 2.0, "bedrock_invocation_schema": "x"},
    "regional_processing_uplift_multiplier_eu": 1.2, "regional_processing_uplift_multiplier_us": "x",
    "regional_endpoint_uplift_multiplier": 1.3},
  "asked": {"input_cost_per_token": 1, "output_cost_per_token": 1, "litellm_provider": "gemini",
    "search_context_cost_per_query": {"search_context_size_low": 0.035}},
  "queried": {"input_cost_per_token": 1, "output_cost_per_token": 1, "litellm_provider": "gemini", "web_search_billing_unit": "per_query",
    "search_context_cost_per_query": {"search_context_size_low": 0.014}},
  "sized": {"input_cost_per_token": 1, "output_cost_per_token": 1,
    "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_high": 0.02}}
}"""


def priced(model: str, usage: Usage) -> tuple[Decimal | None, tuple[str, ...]]:
    found = PriceTable.from_json(CLASSES).cost("openai", model, usage)
    return found.amount, found.unpriced


@pytest.mark.parametrize(
    ("usage", "sums"),
    [
        (Usage(input=0, output=0, audio_input=2), "2 * 0.000005"),
        (Usage(input=0, output=0, audio_cache_read=2), "2 * 0.000003"),
        (Usage(input=0, output=0, audio_output=2), "2 * 0.000007"),
        (Usage(input=0, output=0, image_input=2), "2 * 0.000004"),
        (Usage(input=0, output=0, image_output=2), "2 * 0.000009"),
        (Usage(input=3, output=5, tier="flex"), "3 * 0.0000005 + 5 * 0.000001"),
        (Usage(input=3, output=5, tier="priority"), "3 * 0.000006 + 5 * 0.000008"),
        (Usage(input=3, output=5, tier="batch"), "3 * 0.00000025"),
        (Usage(input=3, output=5, reasoning=7, tier="flex"), "3 * 0.0000005 + 12 * 0.000001"),
        (Usage(input=200_001, output=0, tier="priority"), "200001 * 0.000011"),
        (Usage(input=3, output=5, searches=2), "3 * 0.000001 + 5 * 0.000002 + 2 * 0.01"),
        (Usage(input=10, output=0, terms=("us",)), "10 * 0.000001 * 1.1"),
        (Usage(input=10, output=0, terms=("us", "fast"), searches=1), "10 * 0.000001 * 1.1 * 2 + 0.01"),
        (Usage(input=10, output=0, searches=1).at("processed_in_eu"), "10 * 0.000001 * 1.2 + 0.01"),
        (Usage(input=10, output=0, terms=("fast",)).at("regional_endpoint"), "10 * 0.000001 * 2 * 1.3"),
        (Usage(input=10, output=0).at("processed_in_us"), "10 * 0.000001"),
        (Usage(input=10, output=0).at(""), "10 * 0.000001"),
    ],
)
def test_what_providers_charge_for_is_charged(usage: Usage, sums: str) -> None:
    assert priced("all", usage) == (by_hand(sums), ())


def by_hand(sums: str) -> Decimal:
    return sum((_product(term) for term in sums.split(" + ")), Decimal(0))


def _product(term: str) -> Decimal:
    product = Decimal(1)
    for factor in term.split(" * "):
        product *= Decimal(factor)
    return product


@pytest.mark.parametrize(
    ("model", "usage", "names"),
    [
        ("all", Usage(input=1, output=1, tier="scale"), ("input@scale", "output@scale")),
        ("all", Usage(input=200_001, output=0, tier="flex"), ("input@flex",)),
        ("all", Usage(input=1, cache_read=1, output=0, tier="flex"), ("cache_read@flex",)),
        ("all", Usage(input=1, output=1, fees=("file_search",)), ("file_search",)),
        ("all", Usage(input=1, output=1, terms=("eu",)), ("eu",)),
        ("sized", Usage(input=1, output=1, searches=1), ("web_search",)),
        ("sized", Usage(input=1, output=1, audio_input=1), ("audio_input",)),
        ("sized", Usage(input=1, output=1, image_output=1), ("image_output",)),
        ("sized", Usage(input=None, output=1), ("usage",)),
        ("unheard-of", Usage(input=1, output=1), ("model",)),
    ],
)
def test_what_has_no_price_is_named_and_nothing_is_guessed(model: str, usage: Usage, names: tuple[str, ...]) -> None:
    assert priced(model, usage) == (None, names)


def test_at_the_most_it_costs_what_it_costs_at_the_dearest_place() -> None:
    assert PriceTable.from_json(CLASSES).worst("openai", "all", 10, 0) == by_hand("10 * 0.000011 * 1.1 * 2 * 1.3")


def test_an_image_costs_what_text_costs_where_it_has_no_price_of_its_own() -> None:
    assert priced("sized", Usage(input=1, output=0, image_input=2)) == (Decimal(3), ())


def test_searches_are_charged_by_the_request_or_by_the_query_as_the_table_says() -> None:
    assert priced("asked", Usage(input=0, output=0, searches=3)) == (Decimal("0.035"), ())
    assert priced("queried", Usage(input=0, output=0, searches=3)) == (Decimal("0.042"), ())


def test_overrides_name_every_class_step_tier_and_searches() -> None:
    own = {"mine": {"input": "1", "input_above_200k": "2", "input@flex": "0.5", "output": "0", "output@flex": "0", "audio_input": "9",
                    "web_search": "10"}}  # fmt: skip
    table = PriceTable.from_json(b"{}", own)

    def of(**counts: object) -> Decimal | None:
        return table.cost("x", "mine", Usage(output=0, **counts)).amount  # type: ignore[arg-type]

    assert of(input=1_000) == Decimal("0.001")
    assert of(input=200_001) == Decimal("0.400002")
    assert of(input=1_000, tier="flex") == Decimal("0.0005")
    assert of(input=0, audio_input=1_000) == Decimal("0.009")
    assert of(input=0, searches=2) == Decimal("0.02")


@pytest.mark.parametrize("name", ["web_search@flex", "input_above_k", "input@", "Input", "input_above_200k_"])
def test_an_override_that_is_almost_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not understood"):
        PriceTable.from_json(b"{}", {"m": {name: "1"}})


BOUNDS = b"""{"known": {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "output_cost_per_token_priority": 3e-06,
  "input_cost_per_token_above_200k_tokens": 4e-06, "cache_creation_input_token_cost": 1e-06, "max_input_tokens": 1000,
  "max_output_tokens": 50, "provider_specific_entry": {"us": 1.5}},
  "read": {"input_cost_per_token": 1e-06, "max_output_tokens": "many"}, "written": {"output_cost_per_token": 1e-06}}"""


def test_the_worst_case_is_the_dearest_price_whatever_class_step_and_tier() -> None:
    table = PriceTable.from_json(BOUNDS)
    assert table.worst("x", "known", 100, 10) == by_hand("100 * 0.000004 * 1.5 + 10 * 0.000003 * 1.5")
    assert table.bounds("x", "known") == (1000, 50)
    assert table.bounds("x", "read") == (None, None)
    assert table.bounds("x", "unheard-of") == (None, None)


def test_a_worst_case_without_a_price_is_not_known() -> None:
    table = PriceTable.from_json(BOUNDS)
    assert table.worst("x", "unheard-of", 1, 0) is None
    assert table.worst("x", "written", 1, 1) is None
    assert table.worst("x", "read", 1, 1) is None
    assert table.worst("x", "read", 1, 0) == Decimal("0.000001")


REAL = prices.load()


@given(
    st.sampled_from(["gpt-5", "gpt-4o", "claude-sonnet-4-5", "claude-opus-4-6", "gemini/gemini-2.5-pro", "gemini/gemini-2.5-flash"]),
    st.builds(Usage, *[st.integers(0, 400_000)] * 6, audio_input=st.integers(0, 9), tier=st.sampled_from(["", "flex", "priority"])),
)
def test_no_answer_of_the_installed_table_costs_more_than_its_worst_case(model: str, usage: Usage) -> None:
    cost = REAL.cost("openai", model, usage)
    read = (usage.input or 0) + (usage.cache_read or 0) + (usage.cache_write or 0) + (usage.cache_write_1h or 0) + (usage.audio_input or 0)
    worst = REAL.worst("openai", model, read, (usage.output or 0) + (usage.reasoning or 0))
    assert worst is not None
    assert cost.amount is None or cost.amount <= worst


def test_a_model_is_priced_by_the_name_that_the_table_knows() -> None:
    table, usage = PriceTable.from_json(TABLE), Usage(input=1, output=0)
    assert table.cost_of_either("openai", ("plain", "full"), usage, 0).model == "plain"
    assert table.cost_of_either("openai", ("unheard-of", "full"), usage, 0).model == "full"
    assert table.cost_of_either("openai", (None, "full"), usage, 0).model == "full"
    assert table.cost_of_either("openai", ("unheard-of", None), usage, 0).unpriced == ("model",)


LISTS = b"""{
  "tiered": {"tiered_pricing": [
    {"range": [0, 256000.0], "input_cost_per_token": 4e-07, "output_cost_per_token": 1.2e-06, "output_cost_per_reasoning_token": 4e-06,
     "cache_read_input_token_cost": 1e-07},
    {"range": [256000.0, 1e6], "input_cost_per_token": 1.2e-06, "output_cost_per_token": 3.6e-06,
     "output_cost_per_reasoning_token": 1.2e-05}]},
  "unreadable": {"input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06,
    "tiered_pricing": [{"range": "all", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}]},
  "xai/grok": {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "input_cost_per_token_above_200k_tokens": 3e-06,
    "output_cost_per_token_above_200k_tokens": 4e-06, "litellm_provider": "xai"},
  "asking": {"input_cost_per_token": 0, "output_cost_per_token": 1e-06, "input_cost_per_request": 0.005, "max_input_tokens": 10}
}"""


@pytest.mark.parametrize(
    ("model", "usage", "sums"),
    [
        ("tiered", Usage(input=256_000, output=2, reasoning=3), "256000 * 0.0000004 + 2 * 0.0000012 + 3 * 0.000004"),
        ("tiered", Usage(input=256_001, output=2, reasoning=3), "256001 * 0.0000012 + 2 * 0.0000036 + 3 * 0.000012"),
        ("tiered", Usage(input=2_000_000, output=0), "2000000 * 0.0000012"),
        ("xai/grok", Usage(input=199_999, output=1), "199999 * 0.000001 + 1 * 0.000002"),
        ("xai/grok", Usage(input=200_000, output=1), "200000 * 0.000003 + 1 * 0.000004"),
        ("asking", Usage(input=7, output=3), "0.005 + 3 * 0.000001"),
    ],
)
def test_price_lists_begin_where_their_makers_say_and_a_request_may_have_a_price(model: str, usage: Usage, sums: str) -> None:
    table = PriceTable.from_json(LISTS)
    assert table.cost("openai", model, usage).amount == by_hand(sums)
    read, written = usage.input or 0, (usage.output or 0) + (usage.reasoning or 0)
    worst = table.worst("openai", model, read, written)
    assert worst is not None
    assert worst >= by_hand(sums)


def test_what_is_not_in_every_list_or_in_none_that_can_be_read_has_no_price() -> None:
    table = PriceTable.from_json(LISTS)
    assert table.cost("alibaba", "tiered", Usage(input=1, cache_read=1, output=1)).unpriced == ("cache_read",)
    assert table.cost("alibaba", "unreadable", Usage(input=1, output=1)).unpriced == ("input", "output")


def night(**block: Any) -> PriceTable:
    entry = {"input_cost_per_token": 3e-07, "output_cost_per_token": 1.2e-06, "cache_read_input_token_cost": 6e-09,
             "input_cost_per_token_above_200k_tokens": 9e-07, "input_cost_per_token_flex": 2e-07, "output_cost_per_token_flex": 1e-06,
             "off_peak_pricing": {"input_cost_per_token": 1.5e-07, "output_cost_per_token": 6e-07, **block}}  # fmt: skip
    return PriceTable.from_json(json.dumps({"m": entry}).encode())


WORKING_DAYS = {"hours_utc": ["00:00-01:00", "04:00-06:00", "10:00-00:00"], "weekdays": [1, 2, 3, 4, 5]}
WEEKENDS = {"hours_utc": "00:00-00:00", "weekdays": [6, 7]}


def at(moment: str) -> int:
    return int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("block", "moment", "cheaper"),
    [
        ({"windows": [WORKING_DAYS, WEEKENDS]}, "2026-11-20T00:59:59", True),
        ({"windows": [WORKING_DAYS, WEEKENDS]}, "2026-11-20T01:00:00", False),
        ({"windows": [WORKING_DAYS, WEEKENDS]}, "2026-11-20T03:59:59", False),
        ({"windows": [WORKING_DAYS, WEEKENDS]}, "2026-11-20T05:59:59", True),
        ({"windows": [WORKING_DAYS, WEEKENDS]}, "2026-11-20T06:00:00", False),
        ({"windows": [WORKING_DAYS, WEEKENDS]}, "2026-11-20T23:59:59", True),
        ({"windows": [WORKING_DAYS, WEEKENDS]}, "2026-11-21T07:00:00", True),
        ({"windows": [WORKING_DAYS, WEEKENDS]}, "2026-11-22T07:00:00", True),
        ({"windows": [WORKING_DAYS, WEEKENDS]}, "2026-11-23T07:00:00", False),
        ({"windows": [WORKING_DAYS]}, "2026-11-21T05:00:00", False),
        ({"hours_utc": "16:30-00:30"}, "2026-11-20T00:29:59", True),
        ({"hours_utc": "16:30 - 00:30"}, "2026-11-20T16:29:59", False),
        ({"hours_utc": "16:30-00:30"}, "2026-11-20T16:30:00", True),
        ({"windows": [{"hours_utc": "16:00-18:00", "weekdays": [6]}], "weekday_timezone": "Asia/Shanghai"}, "2026-11-20T16:00:00", True),
        ({"windows": [{"hours_utc": "16:00-18:00", "weekdays": [6]}]}, "2026-11-20T16:00:00", False),
        ({"windows": [{"hours_utc": "16:00-18:00"}]}, "2026-11-20T16:00:00", True),
    ],
)
def test_a_model_that_costs_less_at_some_hours_is_charged_by_when_it_began(block: dict[str, Any], moment: str, cheaper: bool) -> None:
    table = night(**block)
    usage = Usage(input=100, cache_read=10, output=7, reasoning=1)
    want = "100 * 0.00000015 + 10 * 0.000000006 + 8 * 0.0000006" if cheaper else "100 * 0.0000003 + 10 * 0.000000006 + 8 * 0.0000012"
    assert table.cost_of_either("deepseek", ("m",), usage, at(moment)).amount == by_hand(want)
    assert table.cost("deepseek", "m", Usage(input=1, output=1, tier="flex"), at(moment)).amount == by_hand("1 * 0.0000002 + 1 * 0.000001")
    long = "300000 * 0.00000015" if cheaper else "300000 * 0.0000009"
    assert table.cost("deepseek", "m", Usage(input=300_000, output=0), at(moment)).amount == by_hand(long)
    assert table.worst("deepseek", "m", 100, 0) == by_hand("100 * 0.0000009")


@pytest.mark.parametrize(
    "block",
    [
        {}, {"hours_utc": []}, {"hours_utc": "at night"}, {"hours_utc": "24:00-01:00"}, {"hours_utc": ["01:00-02:00", "2-3"]},
        {"windows": [{"hours_utc": "01:00-02:00", "weekdays": [0]}]}, {"windows": [{"hours_utc": "01:00-02:00", "weekdays": ["mon"]}]},
        {"windows": [{"hours_utc": "01:00-02:00", "months": [1]}]}, {"hours_utc": "01:00-02:00", "weekday_timezone": "Mars/Phobos"},
    ],
)  # fmt: skip
def test_hours_that_cannot_be_read_leave_what_they_would_change_without_a_price(block: dict[str, Any]) -> None:
    found = night(**block).cost("deepseek", "m", Usage(input=1, cache_read=1, output=1), at("2026-11-20T01:30:00"))
    assert (found.amount, found.unpriced) == (None, ("input", "output"))
