"""The ledger's bench says what it promises to say, for a few exchanges."""

import json
import subprocess
import sys
from pathlib import Path

from gateway.web.queries import read_all


def test_every_saved_query_is_asked_and_every_exchange_applied():
    bench = Path(__file__).with_name("ledger.py")
    command = [sys.executable, str(bench), "--exchanges", "300", "--times", "3", "--json"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = json.loads(told.stdout)
    assert found["exchanges"] == 300
    assert found["per_s"] > 0
    assert found["request_kb_each"] > 1
    assert "ledger.duckdb" in found["files_mb"]
    for asked in (found["queries_ms"], found["queries_multiplied_ms"]):
        assert asked.keys() == read_all().keys()
        assert all(isinstance(each, float) for each in asked.values()), asked
    assert "900 exchanges in the ledger" in told.stderr
