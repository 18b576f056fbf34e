"""Prompts that agents bring: templates, versions, and changes that nobody deployed, as the views tell them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.stores.duckdb import Ledger
from gateway.trace.prompt_rows import RenderedRow
from gateway.trace.record import Ended


def test_templates_and_their_changes(tmp_path: Path, make: Any) -> None:
    def said(key: int, agent: str, template: str, kept: str = "") -> Ended:
        row = make.exchange(key, state="complete", agent=agent, template_hash=template, prompt_hash=f"p{key}")
        rendered = RenderedRow(row.id, row.started_us, kept, "v1") if kept else None
        return Ended(row, rendered=rendered)

    ledger = Ledger(tmp_path / "ledger.duckdb")
    told = [said(1, "coder", "a"), said(2, "coder", "a"), said(3, "coder", "b"), said(4, "coder", "a"), said(5, "payer", "c"),
            said(6, "payer", "d", "support"), Ended(make.exchange(7))]  # fmt: skip
    ledger.apply([make.batch(make.segment(), told)])
    templates = "SELECT agent, template_hash, exchanges, versions, last_prompt_hash, deployed FROM prompt_templates ORDER BY ALL"
    assert [list(row) for row in ledger.query(templates, 9).rows] == [
        ["coder", "a", 3, 3, "p4", False], ["coder", "b", 1, 1, "p3", False], ["payer", "c", 1, 1, "p5", False],
        ["payer", "d", 1, 1, "p6", True],
    ]  # fmt: skip
    changes = "SELECT agent, template_before, template_hash, prompt_before, prompt_hash, deployed, kept_prompt FROM prompt_changes"
    assert [list(row) for row in ledger.query(f"{changes} ORDER BY ALL", 9).rows] == [
        ["coder", "a", "b", "p4", "p3", False, None], ["payer", "c", "d", "p5", "p6", True, "support@v1"],
    ]  # fmt: skip
    ledger.close()
