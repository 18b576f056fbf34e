"""litellm's own arithmetic over its own price table: reads models and cases as JSON, prints a cost for each of them.

A process of its own, because litellm takes seconds and 200 MiB to load.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

from litellm.litellm_core_utils.llm_cost_calc.utils import generic_cost_per_token
from litellm.types.utils import CompletionTokensDetailsWrapper, PromptTokensDetailsWrapper, Usage

PLACES: dict[str, dict[str, Any]] = {
    "": {"vertex_location": "global"},
    "processed_in_eu": {"data_residency": "eu"},
    "processed_in_us": {"data_residency": "us"},
    "regional_endpoint": {"vertex_location": "us-east5"},
}
"""Where an answer was asked for, in our words and in litellm's."""


def usage_of(counts: dict[str, int]) -> Usage:
    read = sum(counts.get(name, 0) for name in ("input", "cache_read", "cache_write", "cache_write_1h"))
    written = counts.get("output", 0) + counts.get("reasoning", 0)
    short, hour = counts.get("cache_write", 0), counts.get("cache_write_1h", 0)
    return Usage(
        prompt_tokens=read,
        completion_tokens=written,
        total_tokens=read + written,
        prompt_tokens_details=PromptTokensDetailsWrapper(
            cached_tokens=counts.get("cache_read", 0), text_tokens=counts.get("input", 0), cache_creation_tokens=short + hour,
            cache_creation_token_details={"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": hour},
        ),
        completion_tokens_details=CompletionTokensDetailsWrapper(
            text_tokens=counts.get("output", 0), reasoning_tokens=counts.get("reasoning", 0)
        ),
    )  # fmt: skip


def cost_of(model: str, provider: str, case: dict[str, Any]) -> float:
    parts = generic_cost_per_token(
        model=model, usage=usage_of(case["counts"]), custom_llm_provider=provider, service_tier=case["tier"] or None,
        current_time=datetime.fromisoformat(case["at"]), **PLACES[case["place"]],
    )  # fmt: skip
    return sum(parts)


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump([[cost_of(model, provider, case) for case in asked["cases"]] for model, provider in asked["models"]], sys.stdout)
