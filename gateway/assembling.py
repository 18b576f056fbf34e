"""Makes a gateway of what the settings say: the bundle by which every request is served (`visit.Gateway`), its stores of state opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway import prices
from gateway.clock import Clock
from gateway.config import Settings
from gateway.installation import (
    address_key,
    default_looks,
    how_to_ask,
    open_approvals,
    open_belongings,
    open_cache,
    open_issued,
    open_keys,
    open_limits,
    open_prompts,
    open_sessions,
    open_vault,
    provider_keys,
    provider_secrets,
    state_problem,
)
from gateway.journal import Journal
from gateway.policy import PolicySet
from gateway.prompt.library import EMPTY as NO_PROMPTS
from gateway.prompt.library import Library
from gateway.trace.pens import everything
from gateway.trace.redact import Redactor
from gateway.trace.scribe import Scribe
from gateway.trace.texts import Seen
from gateway.upstream.client import UpstreamClient
from gateway.upstream.routing import Routes
from gateway.visit import Gateway
from gateway.waiting import WaitingRoom

if TYPE_CHECKING:  # a library for signatures that only an installation with issuers needs
    from gateway.people.passes import Passes


def assemble(
    settings: Settings,
    policies: PolicySet,
    journal: Journal,
    upstream: UpstreamClient,
    clock: Clock,
    seen: Seen | None = None,
    prompts: Library = NO_PROMPTS,
    *,
    redactor: Redactor | None = None,
) -> Gateway:
    """A gateway of these parts and what the settings say of the rest."""
    provided = provider_keys(settings)
    redactor = redactor or Redactor(provider_secrets(settings))
    approvals, vault = open_approvals(settings), open_vault(settings)
    return Gateway(
        settings=settings,
        policies=policies,
        routes=Routes(settings, provided),
        prices=prices.load(settings.prices, settings.price_table),
        journal=journal,
        upstream=upstream,
        keys=open_keys(settings),
        belongings=open_belongings(settings),
        approvals=approvals,
        waiting=WaitingRoom(approvals.decided, settings.approvals.held),
        limits=open_limits(settings),
        issued=open_issued(settings),
        sessions=open_sessions(settings),
        prompt_store=open_prompts(settings),
        scribe=Scribe(address_key(settings), redactor, seen, detect=everything, vault=vault),
        redactor=redactor,
        prompts=prompts,
        looks=default_looks(settings),
        clock=clock,
        ask=how_to_ask(settings),
        passes=_passes(settings),
        state_problem=state_problem(settings),
        cache=open_cache(settings, vault),
    )


def _passes(settings: Settings) -> Passes | None:
    if not settings.issuers:
        return None
    from gateway.people.passes import Passes

    return Passes(settings.issuers)
