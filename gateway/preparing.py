"""What is looked at before anything serves, and what is said of it: keys, state, doors, prompts, policies.

It brings in what judges, so it is a process of its own, forked from one that has that already. It reads the settings from its standard
input, which is a socket, and writes there what to say, then whether it may go on (`told` in `supervisor`); when it reads that the gateway
serves, it writes what people are told then, and ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Callable

import msgspec

from gateway import clock, logs, prices
from gateway.config import Settings
from gateway.errors import FileProblems, GatewayError, StartError
from gateway.face import first_login
from gateway.installation import (
    check_platforms,
    durability,
    keys_of_agents,
    load_policies,
    load_prompts,
    look_at_provider_keys,
    look_at_routes,
    look_at_state,
    master_keys,
    open_keys,
    provider_secrets,
)
from gateway.policy import PolicySet
from gateway.policy.model import PolicyFile
from gateway.settings_sources import advice
from gateway.trace.redact import Redactor

Say = Callable[[str], None]
_SDKS = {"openai": ("OPENAI_BASE_URL", "/v1"), "anthropic": ("ANTHROPIC_BASE_URL", ""), "google": ("GOOGLE_GEMINI_BASE_URL", "")}
"""Where the SDK of each family of dialects is told of an address, and what it wants behind it."""


def before_forks() -> None:
    """Makes once what each process would make for itself, of nothing but what is installed (`nursery`)."""
    for model in (Settings, PolicyFile):
        model.model_rebuild()
    with contextlib.suppress(StartError):  # whoever needs prices says so
        prices.load()


def run() -> int:
    """Process entry."""
    with socket.socket(fileno=os.dup(0)) as supervisor, supervisor.makefile("rb") as told:

        def tell(**what: object) -> None:
            supervisor.sendall(msgspec.json.encode(what) + b"\n")

        if not (line := told.readline()):
            return 0
        settings = Settings.model_validate_json(line)
        try:
            policies = prepare(settings, lambda text: tell(say=text))
        except FileProblems as error:
            tell(problems=error.problems)
        except (StartError, GatewayError, OSError) as error:
            tell(refused=str(error))
        else:
            tell(prepared=True)
            if told.readline():
                announce(settings, policies, lambda text: tell(say=text))
    return 0


def announce(settings: Settings, policies: PolicySet, say: Say) -> None:
    """What people are told once it serves."""
    url, admin = settings.listen_address.url, settings.admin_address.url
    say(f"tollhouse is ready on {url}  (admin plane {admin}, {settings.worker_count} workers, data {settings.data})")
    say(f"pages for people: {settings.face.url or admin}/ui/{_first_account(settings)}")
    if policies.observing:
        say("NO POLICY: OBSERVING ONLY. Every tool call passes; every record says 'unevaluated'. Write policies with: tollhouse init")
    else:
        say(f"policies {policies.hash[:12]} from {settings.policies}: {len(policies.policies)} in force")
    if settings.state_place is not None:
        say(f"state shared on {settings.state_place} (prefix '{settings.state_place.prefix}')")
    upstreams = ", ".join(f"{name} ({' '.join(up.dialects)})" for name, up in settings.upstreams.items())
    say(f"durability: {durability(settings)}; upstreams: {upstreams}")
    spoken = {dialect.partition(".")[0] for upstream in settings.upstreams.values() for dialect in upstream.dialects}
    for provider, (variable, path) in _SDKS.items():
        if provider in spoken or settings.routes:
            say(f"  export {variable}={url}{path}")


def _first_account(settings: Settings) -> str:
    token = first_login.read(settings.data_path)
    if token is None:
        return ""
    if settings.log == "json":  # lines that are collected have no secrets
        return "  (nobody has an account: 'tollhouse people invite --role admin', run where this runs, prints the address that makes one)"
    return f"begin?token={token}  (makes the first account; good once)"


def prepare(settings: Settings, say: Say) -> PolicySet:
    """What would judge. Raises StartError or FileProblems for what is against a start; says what to know of it."""
    check_platforms(settings)
    if wrong := keys_of_agents(settings):
        raise StartError("\n".join(wrong))
    provider_secrets(settings)
    master_keys(settings)
    settings.telemetry.secrets(os.environ)
    warnings = [*advice(settings, os.environ), *look_at_routes(settings), *look_at_state(settings), *look_at_provider_keys(settings)]
    _refuse_open_door(settings)
    prices.load(settings.prices, settings.price_table)
    load_prompts(settings)
    policies = load_policies(settings)
    for warning in warnings:
        say(f"warning: {warning}")
    return policies


def said_as_json(settings: Settings) -> Say:
    """For who starts the others: says things as lines of JSON, without a provider's keys. Raises StartError."""
    logs.configure(Redactor(provider_secrets(settings)), style="json", process="supervisor")
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
