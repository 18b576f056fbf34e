"""What the supervisor looks at before anything serves, and what it says of it: keys, state, doors, prompts, policies.

It brings in what judges, so the supervisor imports it only when the children are on their way and do the same.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

from gateway import clock
from gateway.config import Settings
from gateway.errors import StartError
from gateway.face import first_login
from gateway.installation import (
    check_platforms,
    durability,
    load_policies,
    load_prompts,
    look_at_state,
    master_keys,
    open_keys,
    provider_secrets,
)
from gateway.policy import PolicySet

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a start wants is there. `say` says things as the settings want them said."""

    settings: Settings
    policies: PolicySet
    say: Say

    def announce(self) -> None:
        """What people are told once it serves."""
        settings, policies, say = self.settings, self.policies, self.say
        url, admin = settings.listen_address.url, settings.admin_address.url
        say(f"tollhouse is ready on {url}  (admin plane {admin}, {settings.worker_count} workers, data {settings.data})")
        pages = settings.face.url or admin
        token = first_login.read(settings.data_path)
        say(f"pages for people: {pages}/ui/" + (f"begin?token={token}  (makes the first account; good once)" if token else ""))
        if policies.observing:
            say(
                "NO POLICY: OBSERVING ONLY. Every tool call passes; every record says 'unevaluated'. Write policies with: tollhouse init"
            )
        else:
            say(f"policies {policies.hash[:12]} from {settings.policies}: {len(policies.policies)} in force")
        if settings.state_place is not None:
            say(f"state shared on {settings.state_place} (prefix '{settings.state_place.prefix}')")
        upstreams = ", ".join(f"{name} ({' '.join(up.dialects)})" for name, up in settings.upstreams.items())
        say(f"durability: {durability(settings)}; upstreams: {upstreams}")
        say(f"  export OPENAI_BASE_URL={url}/v1")
        say(f"  export ANTHROPIC_BASE_URL={url}")


def prepare(settings: Settings, say: Say) -> Prepared:
    """Raises StartError or FileProblems for what is against a start; says what to know of it."""
    check_platforms(settings)
    keys = provider_secrets(settings)
    master_keys(settings)
    settings.telemetry.secrets(os.environ)
    warnings = look_at_state(settings)
    _refuse_open_door(settings)
    load_prompts(settings)
    policies = load_policies(settings)
    say = _said_as_json(keys) if settings.log == "json" else say
    for warning in warnings:
        say(f"warning: {warning}")
    return Prepared(settings, policies, say)


def _said_as_json(keys: set[str]) -> Say:
    from gateway import logs
    from gateway.trace.redact import Redactor

    logs.configure(Redactor(keys), style="json", process="supervisor")
    return logging.getLogger("gateway.supervisor").info


def _refuse_open_door(settings: Settings) -> None:
    address = settings.listen_address
    if address.loopback or settings.keys == "required":  # as long as there is no key, nobody gets in
        return
    if settings.keys != "optional" and any(issuer.agents for issuer in settings.issuers):
        return
    keys = open_keys(settings)
    try:
        active = keys.any_active(clock.now_us())
    finally:
        keys.close()
    if not active or settings.keys == "optional":
        raise StartError(
            f"listening on {settings.listen} would let anyone on the network spend your provider keys. "
            "Make a key first ('tollhouse keys create --agent NAME') and leave 'keys' at auto, set it to required, or listen on 127.0.0.1."
        )
