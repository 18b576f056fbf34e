"""Under which name a limit counts for whom: the same in every store."""

from __future__ import annotations

import hashlib

import msgspec

from gateway.policy.limits import Charge

SESSION_US = 31 * 24 * 3600 * 1_000_000
"""A session that takes nothing for so long is over."""



def kept_us(of: Charge) -> int:
    """How long it is remembered that this was taken."""
    return of.window_us or of.kept_us or SESSION_US


def account(of: Charge) -> str:
    """Windows of time and sessions are apart, because what a session took has no time. A changed `max` or window goes on counting. Whose it
    is, is a digest: what a client calls its session is not for the store."""
    kind = "window" if of.window_us else "session"
    whole = msgspec.json.encode((of.policy, of.limit, of.what, kind, of.shadow, of.whose))
    return f"{of.policy}/{of.limit}:{hashlib.sha256(whole).hexdigest()}"
