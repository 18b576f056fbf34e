"""What a status or a fault means for the next attempt. One closed table: what is not in it is the client's to hear, as it came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

Where = Literal["nowhere", "elsewhere", "anywhere"]


class Failure(Struct, frozen=True):
    """An attempt that did not bring an answer."""

    code: str
    """As the book has it: `status_503`, `upstream_timeout`."""
    where: Where
    """Whom it may help to ask next: nobody, another target, also the same one."""
    unsure: bool = False
    """The provider may have carried the request out, and may charge for it."""
    sick: bool = True
    """It says something about the target, and counts for its breaker."""


REFUSED: Final = frozenset({401, 402, 403, 404})
"""This target does not serve it (its key, its account, its models); another may."""
BUSY: Final = frozenset({429, 500, 503, 529})
"""Not carried out, and nothing is charged."""
UNSURE: Final = frozenset({408, 502, 504})
"""Said by something between the gateway and the model, which may go on."""
_BREAKS: Final = frozenset({"upstream_reset", "upstream_timeout"})
_NOT_SENT: Final = frozenset(
    {"upstream_auth", "upstream_unreachable", "upstream_request", "upstream_address", "untranslatable", "no_upstream"}
)
_ELSEWHERE: Final = frozenset({"upstream_auth", "upstream_request", "upstream_address", "untranslatable", "no_upstream", "budget_exceeded"})
_NOT_ITS_FAULT: Final = frozenset({"untranslatable", "no_upstream", "budget_exceeded"})
_NOWHERE: Final = frozenset({"answer_too_large"})


def of_status(status: int, headers: Mapping[str, str]) -> Failure | None:
    """None for an answer, and for an error that any other attempt would meet as well. `x-should-retry: false` is taken at its word."""
    code = f"status_{status}"
    if status in REFUSED:
        return Failure(code, "elsewhere", sick=status != 404)
    if status < 500 and status not in (408, 429):
        return None
    told = headers.get("x-should-retry", "").strip().lower() == "false"
    where: Where = "nowhere" if told or status not in BUSY | UNSURE else "anywhere"
    return Failure(code, where, unsure=status in UNSURE)


def of_fault(code: str, *, sent: bool) -> Failure:
    """`code` is that of the error; `sent`: the request was on its way."""
    where: Where = "nowhere" if code in _NOWHERE else "elsewhere" if code in _ELSEWHERE else "anywhere"
    return Failure(code, where, unsure=sent and code not in _NOT_SENT, sick=code not in _NOT_ITS_FAULT)


def of_break(code: str) -> Failure | None:
    """Of an answer that had begun. None for what only this gateway cannot read: whoever can make a model say such a thing could otherwise
    have its target left alone."""
    return of_fault(code, sent=True) if code in _BREAKS else None
