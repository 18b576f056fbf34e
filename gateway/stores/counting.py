"""What the book counts as it goes: the numbers that should make somebody look, since the book was started. Pure.

They are a convenience beside the ledger, where the same can be asked for any span of time.
"""

from __future__ import annotations

from collections import Counter

from gateway.stores import Applied
from gateway.trace.exchange_rows import ExchangeRow


def count(applied: Applied) -> Counter[str]:
    """`exchanges`, `exchanges_<state>`, `unpriced` (answered, but nobody knows what it cost), `unevaluated` (something in it was not
    judged), `cache_hit`, `cache_miss` (an answer was given again, or there was none to give), `calls`,
    `calls_<effect>`, `calls_withheld`, `no_policy_for_agent`, `policy_error`, `interrupted`."""
    found: Counter[str] = Counter()
    for row in applied.exchanges:
        found["exchanges"] += 1
        found[f"exchanges_{row.state}"] += 1
        found["unpriced"] += _unpriced(row)
        found["unevaluated"] += bool(row.unevaluated)
        if row.cache:
            found[f"cache_{row.cache}"] += 1
    for call in applied.calls:
        found["calls"] += 1
        found[f"calls_{call.effect}"] += 1
        found["calls_withheld"] += not call.released
        for code in ("no_policy_for_agent", "policy_error"):
            found[code] += call.code == code
    found["interrupted"] += len(applied.interrupted)
    return +found


def _unpriced(row: ExchangeRow) -> bool:
    return row.state in ("complete", "denied") and row.cost is None and row.operation in ("chat", "embeddings")
