"""traces/README.md names every table, view and saved query there is, and none that is not."""

from __future__ import annotations

import re
from pathlib import Path

from gateway import shipped
from gateway.stores.duckdb import Ledger


def listed(heading: str) -> set[str]:
    """First cells of the table under a heading."""
    text = (shipped.folder("traces") / "README.md").read_text()
    section = re.split(r"^## ", text.split(f"## {heading}\n", 1)[1], flags=re.MULTILINE)[0]
    return set(re.findall(r"^\| `(\w+)`", section, flags=re.MULTILINE))


def test_every_public_table_and_view_is_explained(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    assert listed("Tables and views") == ledger._catalogue.public
    ledger.close()


def test_every_saved_query_is_explained() -> None:
    assert listed("Saved queries") == {path.stem for path in (shipped.folder("traces") / "queries").glob("*.sql")}
