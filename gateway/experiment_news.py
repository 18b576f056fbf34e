"""News that an arm of an experiment is out (`news.py`): halted, promoted or ended, and why."""

from __future__ import annotations

from typing import Final

from gateway.news import Kind, Row

_QUERY: Final = """
SELECT id, experiment, arm, state, who, why, prompt, version, metric, difference, low, high, sessions, epoch_us(changed_at) AS at_us
FROM experiment_changes WHERE state <> 'running' AND changed_at > make_timestamp($since) ORDER BY changed_at LIMIT 1000
"""


def _subject(news: Row) -> str:
    return f"Experiment {news['experiment']}: {news['arm']} is {news['state']}"


EXPERIMENTS: Final = Kind(
    event="experiment",
    query=_QUERY,
    delivery=lambda news: f"experiment:{news['id']}",
    subject=_subject,
    text=lambda news: f"{_subject(news)} by {news['who']}. {news['why']}",
    told=lambda news: {"event": f"experiment.{news['state']}", "experiment": dict(news)},
)
