"""What providers say that they charged: read from their own blocks, believed of those that say it, and of no others."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gateway.answer import Usage
from gateway.cost import Cost, PriceTable
from gateway.dialects.openai_chat_shape import read_usage
from gateway.stated_cost import charged

TABLE = b'{"m": {"input_cost_per_token": 1, "output_cost_per_token": 1}}'
SAID = Usage(input=1, output=1, fees=("search_context",), charged=Decimal("0.95"))


@pytest.mark.parametrize(
    ("block", "usd"),
    [
        ({}, None),
        ({"cost": 0.95, "cost_details": {"upstream_inference_cost": None}, "is_byok": False}, "0.95"),
        ({"cost": 1.425e-05}, "0.00001425"),
        ({"cost": 0}, "0"),
        ({"cost": 0.05, "is_byok": True, "cost_details": {"upstream_inference_cost": 1.9}}, "1.95"),
        ({"cost": 0.05, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, None),
        ({"cost": 0.05, "is_byok": True}, None),
        ({"cost": {"input_tokens_cost": 0.001, "request_cost": 0.005, "total_cost": 0.006}}, "0.006"),
        ({"cost": {"total_cost": None}}, None),
        ({"cost_in_usd_ticks": 37756000}, "0.0037756"),
        ({"cost_in_usd_ticks": 1, "cost": 7}, "1E-10"),
        ({"cost": -1}, None),
        ({"cost": True}, None),
        ({"cost": "0.95"}, None),
        ({"cost": float("inf")}, None),
        ({"cost": float("nan")}, None),
    ],
)
def test_a_charge_is_read_in_the_words_of_each_provider(block: dict[str, Any], usd: str | None) -> None:
    assert charged(block) == (None if usd is None else Decimal(usd))


@pytest.mark.parametrize("provider", ["openrouter", "perplexity", "xai", "x_ai"])
def test_the_word_of_a_provider_that_charges_by_more_than_tokens_counts(provider: str) -> None:
    assert PriceTable.from_json(TABLE).cost(provider, "anyone/anything", SAID) == Cost(Decimal("0.95"), "stated")


@pytest.mark.parametrize("provider", ["openai", "anthropic", "azure", "vllm"])
def test_nobody_else_is_believed(provider: str) -> None:
    assert PriceTable.from_json(TABLE).cost(provider, "anyone/anything", SAID) == Cost(None, None, ("model",))


@pytest.mark.parametrize("named", ["m", "xai/m"])
def test_a_price_of_one_s_own_comes_before_the_provider_s_word(named: str) -> None:
    prices = PriceTable.from_json(TABLE, {named: {"input": "1000000", "output": "2000000"}})
    assert prices.cost("xai", "m", Usage(input=1, output=1, charged=Decimal(9))) == Cost(Decimal(3), named)


def test_the_usage_of_a_chat_completion_holds_it() -> None:
    used = read_usage({"prompt_tokens": 194, "completion_tokens": 2, "total_tokens": 196, "cost": 0.95})
    assert used == Usage(input=194, output=2, charged=Decimal("0.95"))
