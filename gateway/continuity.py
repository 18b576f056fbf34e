"""What a provider keeps between exchanges: whose it is, and what in it has to be put right.

A provider that keeps answers or conversations knows them by ids that are easily guessed or passed on, shows only the end of a conversation,
and goes on waiting for the result of a call that nobody received. So each id is remembered with its caller, with the tools its request
declared and with the calls that were withheld; a request may build only on what is its caller's own, and takes along the answers that the
withheld calls are owed.
"""

from __future__ import annotations

import asyncio

import msgspec

from gateway import identify
from gateway.answer import Answer
from gateway.errors import GatewayError
from gateway.request import Owed, Request, Stored
from gateway.state.belongings import Belonging
from gateway.verdict import Call
from gateway.visit import Visit


async def recall(visit: Visit, request: Request) -> Request:
    """Finds what the request needs of the provider's memory. Raises GatewayError for what is another caller's, and while enforcing for
    what nobody here knows. An answer that is fetched is judged by the tools it was made with."""
    if not request.continues:
        return request
    found = await asyncio.to_thread(_find_all, visit, request)
    visit.belongings = tuple(own for stored, belonging in found if (own := _own(visit, stored, belonging)) is not None)
    if request.operation != "retrieve" or not visit.belongings:
        return request
    visit.paid = visit.belongings[0].settled
    visit.x.request = msgspec.structs.replace(request, tools=visit.belongings[0].tools)
    return visit.x.request


def owed(visit: Visit, request: Request) -> tuple[Owed, ...]:
    """For which withheld calls the provider still waits."""
    if request.operation not in ("chat", "compact"):
        return ()
    return tuple(each for belonging in visit.belongings for each in belonging.owed)


def withheld(visit: Visit, call: Call, text: str) -> None:
    visit.owed.append(Owed(call.id, call.type, text))


async def keep(visit: Visit) -> None:
    """Writes down what the provider keeps from here on. Called when an answer has gone well, before its end leaves."""
    request, upstream = visit.x.request, visit.x.upstream
    if request is None or upstream is None or not (request.stores or visit.belongings):
        return
    if request.operation == "delete":
        for each in visit.belongings:
            await asyncio.to_thread(visit.gateway.belongings.forget, request.dialect, each.kind, each.id)
        return
    kept = _now_kept(visit, request, upstream)
    if kept:
        await asyncio.to_thread(visit.gateway.belongings.keep, request.dialect, kept)
    if request.operation == "retrieve" and not visit.paid and _answer(visit).usage is not None and visit.belongings:
        of = visit.belongings[0]
        visit.paid = not await asyncio.to_thread(visit.gateway.belongings.settle, request.dialect, of.kind, of.id)


async def keep_early(visit: Visit) -> None:
    """An answer that the provider goes on with in the background is its caller's from the first byte on, also if the caller leaves."""
    request = visit.x.request
    if request is None or not request.background or visit.kept or _answer(visit).id is None:
        return
    visit.kept = True
    await keep(visit)


def _find_all(visit: Visit, request: Request) -> list[tuple[Stored, Belonging | None]]:
    find = visit.gateway.belongings.find
    return [(stored, find(request.dialect, stored.kind, stored.id)) for stored in request.continues]


def _own(visit: Visit, stored: Stored, belonging: Belonging | None) -> Belonging | None:
    if belonging is not None and belonging.owner == identify.owner(visit.x.caller):
        return belonging
    if belonging is not None or visit.x.enforcing:
        raise _unknown(stored)
    visit.x.unevaluated.append(f"stored:{stored.path or stored.kind}")
    return None


def _unknown(stored: Stored) -> GatewayError:
    """The same words for what is another's and for what does not exist: nobody learns which."""
    message = f"No {stored.kind} '{identify.label(stored.id, 64)}' was made through this gateway by this caller."
    if not stored.path:
        return GatewayError("not_found", f"{stored.kind}_not_found", message)
    words = f"{message} Send the whole conversation instead of `{stored.path}`."
    code = "previous_response_not_found" if stored.kind == "response" else "conversation_not_found"
    return GatewayError("refused", code, words, param=stored.path)


def _now_kept(visit: Visit, request: Request, upstream: str) -> list[Belonging]:
    answer = _answer(visit)
    kept: list[Belonging] = []
    if request.stores and answer.id:
        kept.append(
            Belonging(
                request.stores,
                answer.id,
                identify.owner(visit.x.caller),
                upstream,
                visit.x.started_us,
                tuple(visit.owed),
                request.tools,
                settled=answer.usage is not None,
            )
        )
        bare = msgspec.structs.replace(kept[0], kind="item", tools=())
        kept += [msgspec.structs.replace(bare, id=name, owed=_own_text(name, text)) for name, text in answer.items.items()]
    changed = (b for b in visit.belongings if b.kind == "conversation" or (request.operation == "retrieve" and visit.owed))
    return [*kept, *(msgspec.structs.replace(belonging, owed=tuple(visit.owed)) for belonging in changed)]


def _own_text(name: str, text: str) -> tuple[Owed, ...]:
    """A text that the provider does not know under this id is sent along when the client names it."""
    return (Owed(name, "item", text),) if text else ()


def _answer(visit: Visit) -> Answer:
    answer = visit.x.answer if visit.stream is None else visit.stream.answer
    own = visit.screening.own if visit.screening is not None else {}
    return msgspec.structs.replace(answer, items={**answer.items, **own}) if own else answer
