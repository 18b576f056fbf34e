"""What several processes of one installation open the same way: provider keys, the key store, the meaning of `auto`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gateway import prompt_folder, secret
from gateway.config import Settings, is_loopback
from gateway.errors import StartError
from gateway.policy import EMPTY, PolicySet
from gateway.policy_folder import load_folder
from gateway.prompt.library import EMPTY as NO_PROMPTS
from gateway.prompt.library import Library
from gateway.state import Approvals, Belongings, Issued, Keys, Limits, Sessions
from gateway.state.asking import Asking, InThreads, at_once
from gateway.state.embedded import DATA_KEYS_FILE, Embedded
from gateway.vault import Master, TenantVault

if TYPE_CHECKING:  # a client's library that one machine alone does not need
    from gateway.state.redis_line import Line
    from gateway.state.remote import Remote


def provider_keys(settings: Settings) -> dict[str, str]:
    """The provider key of each upstream whose key is there. Raises StartError for a key file that cannot be used."""
    sources = {name: upstream.key for name, upstream in settings.upstreams.items() if upstream.key is not None}
    found = {name: source.read(os.environ) for name, source in sources.items()}
    return {name: key for name, key in found.items() if key}


def open_keys(settings: Settings) -> Keys:
    """The key store of an installation."""
    pepper = secret.derive(secret.read_or_create(settings.data_path), "virtual keys")
    return _stores(settings).keys(pepper)


def open_belongings(settings: Settings) -> Belongings:
    """What providers keep for callers, beside the keys."""
    return _stores(settings).belongings()


def open_approvals(settings: Settings) -> Approvals:
    """What people are asked and what they say, beside the keys."""
    return _stores(settings).approvals()


def open_limits(settings: Settings) -> Limits:
    """What limits have counted, beside the keys."""
    return _stores(settings).limits()


def open_issued(settings: Settings) -> Issued:
    """Which calls were delivered, beside the keys."""
    return _stores(settings).issued()


def open_sessions(settings: Settings) -> Sessions:
    """Which sessions are stopped, beside the keys."""
    return _stores(settings).sessions()


def open_vault(settings: Settings) -> TenantVault | None:
    """What encrypts content; None where nothing is encrypted. Raises StartError for master keys that cannot be used."""
    master = master_keys(settings)
    return None if master is None else TenantVault(_stores(settings).data_keys(), master)


def how_to_ask(settings: Settings) -> Asking:
    """Of the stores, on the way of a request."""
    return at_once if settings.state_place is None else InThreads()


def state_problem(settings: Settings) -> Callable[[], str | None]:
    """Says why the state store cannot be used now; None when it can. A file in the data folder always can, until it is used."""
    return (lambda: None) if settings.state_place is None else _line(settings).problem


def look_at_state(settings: Settings) -> list[str]:
    """What an operator should know of the state store before a start. Raises StartError when it cannot be used."""
    if settings.state_place is None:
        return []
    from gateway.state.remote import ready_to_serve

    loopback, encrypting = is_loopback(settings.state_place.host), settings.encryption is not None
    warnings = ready_to_serve(_line(settings), settings.data_path, loopback=loopback, encrypting=encrypting)
    left = settings.data_path / DATA_KEYS_FILE
    if encrypting and left.exists():
        warnings.append(f"{left} is not asked while the state is on a server: what was encrypted under its keys cannot be read meanwhile")
    return warnings


def master_keys(settings: Settings) -> Master | None:
    """What wraps the keys of content. Raises StartError for what cannot be used."""
    return None if settings.encryption is None else Master.of(settings.encryption, os.environ)


def address_key(settings: Settings) -> bytes:
    """What keys the content addresses of messages."""
    return secret.derive(secret.read_or_create(settings.data_path), "content addresses")


def durability(settings: Settings) -> Literal["commit", "interval"]:
    """What `auto` means: commit where there are policies to prove, interval where there is only something to observe."""
    if settings.durability == "auto":
        return "commit" if settings.policies else "interval"
    return settings.durability


def load_policies(settings: Settings) -> PolicySet:
    """The policies the settings name; none at all only when they name no folder. Raises FileProblems or StartError.

    A folder without a policy is more likely a failed deployment than the wish to stop judging, so it is not taken for one.
    """
    if settings.policies is None:
        return EMPTY
    policies = load_folder(Path(settings.policies))
    if policies.observing:
        raise StartError(
            f"the folder {settings.policies} holds no policy (a .yaml file that begins with 'policy: 1'). "
            "Write one ('tollhouse init' makes a first one), or take 'policies' out of the settings to observe only."
        )
    return policies


def load_prompts(settings: Settings) -> Library:
    """The kept prompts of the folder that the settings name. Raises FileProblems or StartError."""
    return NO_PROMPTS if settings.prompts is None else prompt_folder.load_folder(Path(settings.prompts), settings.data_path)


def _stores(settings: Settings) -> Embedded | Remote:
    if settings.state_place is None:
        return Embedded(settings.data_path)
    from gateway.state.remote import Remote

    return Remote(_line(settings), settings.data_path)


def _line(settings: Settings) -> Line:
    """Raises StartError when the password is not where the settings say."""
    from gateway.state.remote import line

    place, store = settings.state_place, settings.state
    if place is None:
        raise ValueError("SQLite needs no line")
    if isinstance(store, str):
        return line(place, None, None)
    password = store.password.read(os.environ) if store.password else None
    if store.password and not password:
        where = f"the variable {store.password.env}" if store.password.env else store.password.file
        raise StartError(f"state.password is to be found in {where}, and nothing is there; set it, or take 'password' out")
    return line(place, password, store.ca)
