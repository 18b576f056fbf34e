"""Arms of experiments, halted or promoted by a person: on record, then for every worker. Whoever holds the admin token may; `by` is what
they say of themselves."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.documents import nearest
from gateway.errors import GatewayError, JournalUnavailable, StartError
from gateway.moving_labels import Labels
from gateway.prompt.trial import Outcome, Trial
from gateway.rollout.deciding import Ruling
from gateway.rollout.ruling import Rulings, checked
from gateway.trace.prompt_rows import ExperimentRow
from gateway.web.answers import NAME_LENGTH, error_answer, json_answer, line, refusal, strict
from gateway.web.content import WHY_LENGTH
from gateway.web.doors import said_by


class Wanted(Struct, forbid_unknown_fields=True):
    """Body of POST /experiments/{name}/halt and /promote."""

    by: str = ""
    """Who, where the credential does not say it."""
    arm: str = ""
    """Empty: all that run, or the only one."""
    why: str = ""


class ExperimentsDesk:
    """The routes below `/experiments`; whoever mounts them checks the token."""

    def __init__(self, labels: Labels, rulings: Rulings) -> None:
        self._labels, self._rulings = labels, rulings

    async def halt(self, request: Request) -> Response:
        return await self._ruled(request, "halted")

    async def promote(self, request: Request) -> Response:
        return await self._ruled(request, "promoted")

    async def _ruled(self, request: Request, outcome: Outcome) -> Response:
        try:
            wanted = await strict(request, Wanted)
            who = line("by", said_by(request, wanted.by), NAME_LENGTH)
            why = line("why", wanted.why, WHY_LENGTH) if wanted.why else "by hand"
            rows = await by_hand(self._labels, self._rulings, Ruled(request.path_params["name"], wanted.arm, outcome, why, who))
        except (ValueError, StartError) as error:
            return error_answer(400, "bad_request", str(error))
        except (GatewayError, JournalUnavailable) as error:
            return refusal(error)
        return json_answer({"changes": [msgspec.structs.asdict(row) for row in rows]})


class Ruled(NamedTuple):
    """What a person wants to become of an arm; of all that run, or the only one, where none is named."""

    experiment: str
    arm: str
    outcome: Outcome
    why: str
    who: str


async def by_hand(labels: Labels, rulings: Rulings, wanted: Ruled) -> list[ExperimentRow]:
    """On record, then done. Raises GatewayError, ValueError, StartError and JournalUnavailable."""
    trial = await asyncio.to_thread(find, labels, wanted.experiment)
    arms = checked(trial, wanted.arm, wanted.outcome)
    return [await rulings.rule(trial, Ruling(arm, wanted.outcome, wanted.why), wanted.who) for arm in arms]


def find(labels: Labels, name: str) -> Trial:
    """Raises GatewayError, ValueError where none are served, and StartError."""
    prompts = labels.prompts()
    if name not in prompts.trials:
        known = ", ".join(sorted(prompts.trials)) or "none"
        said = f"There is no experiment '{name[:64]}' that can be used{nearest(name, prompts.trials) or '.'} There are: {known}."
        raise GatewayError("not_found", "unknown_experiment", f"{said} 'tollhouse prompts check' says what is wrong with others.")
    return prompts.trials[name]
