"""Every chat model of the installed price table costs what litellm's own arithmetic makes of it, wherever both know a price."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway import prices
from gateway.answer import Usage
from gateway.cost import PriceTable
from gateway.price_entry import PLACES

MODES = ("chat", "responses", "completion", "embedding")
WORKING, NIGHT = "2026-11-20T07:00:00+00:00", "2026-11-20T23:30:00+00:00"
COUNTS: tuple[tuple[dict[str, int], str, str], ...] = (
    ({"input": 1_000, "output": 100, "reasoning": 50}, "", WORKING),
    ({"input": 1_000, "cache_read": 500, "output": 100}, "", NIGHT),
    ({"input": 1_000, "cache_write": 300, "cache_write_1h": 20, "output": 1}, "", WORKING),
    ({"input": 32_000, "output": 3}, "", WORKING),
    ({"input": 128_001, "output": 3}, "", NIGHT),
    ({"input": 200_000, "output": 3}, "", WORKING),
    ({"input": 150_000, "cache_read": 150_000, "output": 9, "reasoning": 7}, "", WORKING),
    ({"input": 1_000, "output": 100}, "flex", NIGHT),
    ({"input": 300_000, "output": 100}, "priority", WORKING),
)
CASES = [{"counts": counts, "tier": tier, "at": at, "place": ""} for counts, tier, at in COUNTS]
CASES += [{"counts": {"input": 1_000, "cache_read": 10, "output": 100}, "tier": "", "at": WORKING, "place": place} for place in PLACES]
ELSEWHERE = {"gemini-exp-1206"}
"""litellm takes the prices of its namesake `gemini/gemini-exp-1206`, which is free."""


def models() -> tuple[bytes, list[tuple[str, str]]]:
    """Those with a charge for the request itself left out: litellm's general arithmetic has none."""
    path = prices.price_file()
    assert path is not None
    table = path.read_bytes()
    listed = [
        (name, entry["litellm_provider"])
        for name, entry in json.loads(table).items()
        if entry.get("mode") in MODES and name != "sample_spec" and "input_cost_per_request" not in entry and name not in ELSEWHERE
    ]
    return table, listed


def by_litellm(listed: list[tuple[str, str]]) -> list[list[float]]:
    command = [sys.executable, str(Path(__file__).with_name("cost_by_litellm.py"))]
    asked = json.dumps({"models": listed, "cases": CASES})
    done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=120, env={"LITELLM_LOCAL_MODEL_COST_MAP": "True"})
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[list[float]] = json.loads(done.stdout)
    return found


def ours(table: PriceTable, model: str, case: dict[str, Any]) -> float | None:
    at_us = int(datetime.fromisoformat(case["at"]).timestamp() * 1e6)
    amount = table.cost("openai", model, Usage(**case["counts"], tier=case["tier"]).at(case["place"]), at_us).amount
    return None if amount is None else float(amount)


def test_every_model_of_the_table_costs_what_litellm_says_it_does() -> None:
    data, listed = models()
    table = PriceTable.from_json(data)
    found = [
        (model, case, mine, theirs)
        for (model, _), costs in zip(listed, by_litellm(listed), strict=True)
        for case, theirs in zip(CASES, costs, strict=True)
        if (mine := ours(table, model, case)) is not None
    ]
    assert len(found) > 3 * len(listed)
    assert [each for each in found if abs(each[2] - each[3]) > 1e-12 + 1e-9 * each[3]] == []
