"""A prompt that nobody deployed: an agent comes with a template it never had, or a kept prompt is served that nobody has committed.

It is a finding on the record of the exchange in which it was first seen, by whichever worker of whichever machine that was; the state store
knows who came with what before. Deployed is what was filled in from a kept prompt that is committed or was promoted, and what `pins.yaml`
approves. Who asks without a key is nobody in particular and has no before.

Nothing is refused here: pins do that (`prompting.compare`). So a store that cannot be asked keeps no request waiting: it is asked again at
the next one.
"""

from __future__ import annotations

from gateway.errors import GatewayError
from gateway.exchange import Rendered
from gateway.prompt.fingerprint import Fingerprint
from gateway.state.prompts import MOST_MET, Met
from gateway.verdict import Finding
from gateway.visit import Visit

VALIDATOR = "prompts"


async def notice(visit: Visit, found: Fingerprint) -> None:
    x = visit.x
    if x.rendered is not None:
        await _kept(visit, x.rendered)
    elif x.caller.key_id is not None and (met := await _met(visit, f"agent:{x.caller.agent}", found.template)) is not None:
        _brought(visit, found, met)


async def _kept(visit: Visit, rendered: Rendered) -> None:
    x, prompts = visit.x, visit.gateway.prompts
    if x.caller.key_id is not None:
        await _met(visit, f"agent:{x.caller.agent}", f"kept:{rendered.name}")
    kept = prompts.versions.get(rendered.name, {}).get(rendered.version)
    if kept is None or prompts.deployed(kept):
        return
    met = await _met(visit, f"kept:{kept.name}", kept.version)
    if met is not None and met.new:
        said = f"the version {kept.version} of the prompt '{kept.name}' is not what is committed, and no label was moved to it"
        x.findings.append(Finding(VALIDATOR, "not_committed", "warn", f"prompt.{kept.name}", said))


def _brought(visit: Visit, found: Fingerprint, met: Met) -> None:
    x = visit.x
    pinned = visit.gateway.prompts.pins.agents.get(x.caller.agent)
    if not met.new or met.count < 2 or (pinned is not None and found.template in (pinned.templates or ())):
        return
    if met.count < MOST_MET:
        said = f"the agent '{x.caller.agent}' comes with a template that it never had and that nobody deployed: {found.template}"
        x.findings.append(Finding(VALIDATOR, "template_changed", "warn", "prompt", said))
    elif not _is_known(visit, f"varies:{x.caller.agent}"):
        said = f"the agent '{x.caller.agent}' has come with {MOST_MET} templates: what it brings varies, and new ones are told no more"
        x.findings.append(Finding(VALIDATOR, "template_varies", "info", "prompt", said))


async def _met(visit: Visit, who: str, what: str) -> Met | None:
    """None where this worker knows that it is not new, and where nobody can be asked."""
    gateway, key = visit.gateway, f"{who}\0{what}".encode()
    if gateway.met.get(key):
        return None
    try:
        met = await gateway.ask(gateway.prompt_store.met, who, what, gateway.clock.now_us())
    except GatewayError:
        return None
    gateway.met.keep(key, True)
    return met


def _is_known(visit: Visit, fact: str) -> bool:
    key = fact.encode()
    known = visit.gateway.met.get(key) is not None
    visit.gateway.met.keep(key, True)
    return known
