"""What the book holds of an experiment: sessions and metrics of each arm, the looks that were taken, what was ruled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from gateway.prompt.experiment import DAY_US, Metric
from gateway.prompt.trial import Outcome, Trial
from gateway.rollout.deciding import Counted
from gateway.rollout.statistics import Group

Fetch = Callable[[str, Mapping[str, Any]], Sequence[Mapping[str, Any]]]
"""SQL of our own, asked of the ledger. Raises Refused."""
_MEASURED: Final = """
SELECT arm, measure, "of", count(value) AS count, avg(value) AS mean, coalesce(stddev_samp(value), 0) AS deviation
FROM experiment_values WHERE experiment = $experiment AND edition = $edition AND last_at <= make_timestamp($quiet_since::BIGINT)
GROUP BY ALL HAVING count(value) > 0
"""
_LOOKS: Final = """
SELECT look, any_value(share) AS share FROM experiment_looks WHERE experiment = $experiment AND edition = $edition
GROUP BY look ORDER BY look
"""
_CHANGES: Final = """
SELECT arm, state, version, edition, epoch_us(changed_at) AS at_us FROM experiment_changes
WHERE experiment = $experiment AND design = $design ORDER BY changed_at, id
"""


class Past(Struct, frozen=True):
    """What is on record of an experiment."""

    began_us: int | None
    """When this edition began; None where nobody has said so."""
    shares: tuple[float, ...]
    """Of the looks of this edition."""
    out: Mapping[str, tuple[Outcome, str]]
    """Arms that are out as this file has it, in any edition: how that came, and their version."""


def past(fetch: Fetch, trial: Trial) -> Past:
    about = {"experiment": trial.name, "edition": trial.judged}
    shares = tuple(row["share"] for row in fetch(_LOOKS, about))
    changes = fetch(_CHANGES, {"experiment": trial.name, "design": trial.experiment.design})
    began = [row["at_us"] for row in changes if row["state"] == "running" and row["edition"] == trial.judged]
    out = {row["arm"]: (row["state"], row["version"]) for row in changes if row["state"] != "running"}
    return Past(min(began, default=None), shares, out)


def counted(fetch: Fetch, trial: Trial, now_us: int) -> Counted:
    """Sessions that have been quiet for as long as the file says."""
    plan = trial.experiment.plan
    since = now_us - int(plan.quiet_minutes * 60_000_000)
    rows = fetch(_MEASURED, {"experiment": trial.name, "edition": trial.judged, "quiet_since": since})
    found = {(row["arm"], row["measure"], row["of"]): Group(row["count"], row["mean"], row["deviation"]) for row in rows}
    sessions = {arm: group.count for (arm, measure, _), group in found.items() if measure == "exchanges"}
    groups = {(arm, name): found[key] for arm in sessions for name, metric in plan.metrics.items() if (key := _key(arm, metric)) in found}
    return Counted(sessions, groups)


def _key(arm: str, metric: Metric) -> tuple[str, str, str | None]:
    return arm, metric.measure, metric.of


def is_over(trial: Trial, began_us: int, now_us: int) -> bool:
    """Whether its time is up."""
    days = trial.experiment.plan.days
    return days is not None and now_us >= began_us + days * DAY_US
