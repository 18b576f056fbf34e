"""News that a soft budget is used up (`news.py`). The worker that finds it out puts it on record, once per budget, subject and window."""

from __future__ import annotations

from typing import Final

from gateway.news import Kind

_QUERY: Final = """
SELECT f.exchange_id, f.path AS budget, f.detail, e.agent, e.team, e."user", epoch_us(f.started_at) AS at_us
FROM findings AS f JOIN exchanges AS e ON e.id = f.exchange_id
WHERE f.validator = 'budget' AND f.code = 'soft_limit_reached' AND f.started_at > make_timestamp($since)
  AND e.started_at > make_timestamp($since)
ORDER BY f.started_at LIMIT 1000
"""
BUDGETS: Final = Kind(
    event="budget",
    query=_QUERY,
    delivery=lambda news: f"budget:{news['budget']}:{news['exchange_id']}",
    subject=lambda news: f"Budget {news['budget']} is used up",
    text=lambda news: f"Budget {news['budget']} is used up (agent {news['agent']}). {news['detail']}",
    told=lambda news: {"event": "budget.used_up", "budget": dict(news)},
)
