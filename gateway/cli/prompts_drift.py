"""`tollhouse prompts drift`: whether what comes of a prompt version in the last days is what came of it in the weeks before
(`gateway.rollout.drifting`), asked of the book and told to people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from gateway.cli.asking import ask_saved
from gateway.rollout.drifting import Compared, Drift, judged
from gateway.web.queries import read_all

MOST: Final = 100


def drifts(data: Path, prompt: str, days: int, baseline: int, least: int) -> list[Drift]:
    """The versions in use, the busiest first. `least`: answers that each of the two windows must have."""
    asked = {"prompt": prompt, "days": str(days), "baseline": str(baseline)}
    answer = ask_saved(data, read_all()["prompt_samples"], MOST, asked)
    return judged([dict(zip(answer.columns, row, strict=True)) for row in answer.rows], least)


def told(drift: Drift) -> list[str]:
    who = f"{drift.prompt}@{drift.version[:12]}" if drift.kept else f"{drift.prompt}  {drift.version[:12]} (brought by the agent)"
    verdict = drift.verdict.upper() if drift.verdict == "drift" else drift.verdict
    head = f"{who}  {verdict}  {drift.answers} answers, {drift.baseline} before"
    return [head, *(f"  {_line(each)}" for each in drift.measures if each.drifted)]


def _line(each: Compared) -> str:
    return f"{each.measure:14} {_said(each, each.before)} -> {_said(each, each.now)}  (difference {each.effect:.2f}, p {each.p:.2g})"


def _said(each: Compared, value: Any) -> str:
    match each.kind:
        case "distribution":
            return "p10 {:.6g} p50 {:.6g} p90 {:.6g}".format(*value)
        case "share":
            return f"{value:.1%}"
        case "mix":
            return ", ".join(f"{name} {share:.0%}" for name, share in list(value.items())[:4])


def as_json(found: Sequence[Drift]) -> str:
    return json.dumps([{**structs.asdict(each), "measures": [structs.asdict(one) for one in each.measures]} for each in found])
