"""SHELF: the pages, in the order in which they stand in the navigation. A page is a file and its line here."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.face.page import Deed, Page
from gateway.face.pages import (
    agents,
    approvals,
    cost,
    exchange,
    experiments,
    overview,
    people,
    policies,
    prompts,
    sessions,
    sql,
    status,
    traces,
    violations,
)

PAGES: Sequence[Page] = (
    overview.PAGE,
    traces.PAGE,
    exchange.PAGE,
    sessions.SESSIONS,
    sessions.SESSION,
    agents.AGENTS,
    agents.AGENT,
    violations.PAGE,
    cost.PAGE,
    approvals.PAGE,
    policies.PAGE,
    policies.FILE,
    prompts.PAGE,
    prompts.COMPARE,
    prompts.DRIFT,
    experiments.PAGE,
    experiments.ONE,
    sql.PAGE,
    status.PAGE,
    people.PEOPLE,
    people.ACCOUNT,
)
DEEDS: Sequence[Deed] = (*sessions.DEEDS, *agents.DEEDS, *approvals.DEEDS, *experiments.DEEDS, *people.DEEDS)
