"""What every store of approvals says the same way: what may be decided, and what is refused in which words."""

from __future__ import annotations

from gateway import identify
from gateway.errors import GatewayError
from gateway.exchange import Caller
from gateway.state.approvals import Approval, Ruling

KEPT_US = 31 * 24 * 3600 * 1_000_000
"""How long after its end an approval is kept here; the ledger keeps it for good."""


def refuse_unless_open(found: Approval, ruling: Ruling) -> None:
    withdrawn = found.state == "approved" and not ruling.approve
    if found.state != "pending" and not withdrawn:
        by = f" by {found.decided_by}" if found.decided_by else ""
        raise GatewayError("bad_request", "not_pending", f"{found.id} is {found.state}{by}; only what is pending can be decided.")
    if found.four_eyes and ruling.approve and found.user is None:
        message = (
            f"{found.id} needs a second person, and the key that asked names no user, so nobody can tell who that would be. "
            "Give the agent a key with a user: tollhouse keys create --agent … --user …"
        )
        raise GatewayError("bad_request", "four_eyes", message)
    if found.four_eyes and ruling.approve and folded(ruling.by) == folded(found.user):
        message = f"{found.id} was asked for by {found.user}; another person must approve it."
        raise GatewayError("bad_request", "four_eyes", message)


def folded(person: str | None) -> str:
    """People who write themselves in other ways are the same person."""
    return (person or "").strip().lower()


def whose(asked: Approval) -> str:
    return identify.tenant(Caller(asked.agent, team=asked.team, org=asked.org))


def unknown(name: str) -> GatewayError:
    return GatewayError("not_found", "unknown_approval", f"There is no approval '{name}'. 'tollhouse approvals list' shows all.")


def too_many(agent: str, most: int) -> GatewayError:
    message = f"{most} approvals of the agent '{agent}' are pending already; no more are asked for until some are decided."
    return GatewayError("unavailable", "too_many_pending", message)


def unreadable(name: str) -> GatewayError:
    message = (
        f"The approval {name} was sealed under another secret; restore the file 'secret' that belongs to this data folder "
        "(where several machines share their state, it is the same on all of them)."
    )
    return GatewayError("unavailable", "state_unavailable", message)
