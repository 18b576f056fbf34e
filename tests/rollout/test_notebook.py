"""The notebook about a ledger runs from its first cell to its last, on a snapshot of one in which something happened."""

from __future__ import annotations

import pytest

from gateway import shipped
from gateway.question.snapshots import LATEST, Snapshots
from gateway.trace.exchange_rows import CallRow
from gateway.trace.record import Decided

NOTEBOOK = shipped.folder("traces") / "notebooks" / "ledger.ipynb"


@pytest.fixture
def snapshot(installation, tmp_path):
    installation.round()
    installation.sessions("control", 60, succeed=0.9, cost="1.00", request_model="m-one")
    installation.sessions("canary", 60, succeed=0.4, cost="1.00", request_model="m-one")
    call = CallRow(
        "id-000001", "dec_1", installation.now, 0, "c", "pay", "function", "{}", "h", "deny", False, "rule", "", "bot",
        policy="bank", rule="known-payee",
    )  # fmt: skip
    installation.put(Decided(call))
    installation.round()
    Snapshots(tmp_path / "snapshots").make(installation.ledger, installation.ledger.views())
    return tmp_path / "snapshots" / LATEST


def test_its_cells_show_cost_denials_latency_and_experiments(snapshot, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="notebooks are not installed: pip install nbclient ipykernel")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel", reason="notebooks are not installed: pip install nbclient ipykernel")
    monkeypatch.setenv("TOLLHOUSE_SNAPSHOT", str(snapshot))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    done = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    cells = [cell for cell in done.cells if cell["cell_type"] == "code"]
    shown = ["".join(out["data"]["text/plain"] for out in cell["outputs"] if out["output_type"] == "execute_result") for cell in cells]
    first, by_day, by_agent, by_rule, per_day, latency, arms, looks, closed = shown
    assert "120" in first
    assert "█" in by_day
    assert ("bot" in by_agent, "m-one" in by_agent) == (True, True)
    assert ("known-payee" in by_rule, "1.0" in per_day) == (True, True)
    assert ("m-one" in latency, "gateway_p99_ms" in latency) == (True, True)
    assert ("halted" in arms, "success is 0.4 instead of 0.9" in arms) == (True, True)
    assert ("worse" in looks, "-0.5" in looks) == (True, True)
    assert closed == ""
