"""What several processes of one installation open the same way: provider keys, the key store, the meaning of `auto`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from gateway import secret
from gateway.config import Settings
from gateway.errors import StartError
from gateway.policy import EMPTY, PolicySet
from gateway.policy_folder import load_folder
from gateway.state.sqlite import SqliteKeys
from gateway.state.sqlite_approvals import SqliteApprovals
from gateway.state.sqlite_belongings import SqliteBelongings
from gateway.state.sqlite_data_keys import SqliteDataKeys
from gateway.state.sqlite_issued import SqliteIssued
from gateway.state.sqlite_limits import SqliteLimits
from gateway.state.sqlite_sessions import SqliteSessions
from gateway.vault import Master, TenantVault

DATA_KEYS_FILE = "data-keys.sqlite"
STATE_FILE = "state.sqlite"
"""In the data folder: what all workers share."""


def provider_keys(settings: Settings) -> dict[str, str]:
    """The provider key of each upstream whose key is there. Raises StartError for a key file that cannot be used."""
    sources = {name: upstream.key for name, upstream in settings.upstreams.items() if upstream.key is not None}
    found = {name: source.read(os.environ) for name, source in sources.items()}
    return {name: key for name, key in found.items() if key}


def open_keys(settings: Settings) -> SqliteKeys:
    """The key store of an installation."""
    pepper = secret.derive(secret.read_or_create(settings.data_path), "virtual keys")
    return SqliteKeys(_state(settings), pepper)


def open_belongings(settings: Settings) -> SqliteBelongings:
    """What providers keep for callers, beside the keys."""
    return SqliteBelongings(_state(settings))


def open_approvals(settings: Settings) -> SqliteApprovals:
    """What people are asked and what they say, beside the keys."""
    return SqliteApprovals(_state(settings))


def open_limits(settings: Settings) -> SqliteLimits:
    """What limits have counted, beside the keys."""
    return SqliteLimits(_state(settings))


def open_issued(settings: Settings) -> SqliteIssued:
    """Which calls were delivered, beside the keys."""
    return SqliteIssued(_state(settings))


def open_sessions(settings: Settings) -> SqliteSessions:
    """Which sessions are stopped, beside the keys."""
    return SqliteSessions(_state(settings))


def open_vault(settings: Settings) -> TenantVault | None:
    """What encrypts content; None where nothing is encrypted. Raises StartError for master keys that cannot be used."""
    master = master_keys(settings)
    return None if master is None else TenantVault(SqliteDataKeys(settings.data_path / DATA_KEYS_FILE), master)


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


def _state(settings: Settings) -> Path:
    return settings.data_path / STATE_FILE
