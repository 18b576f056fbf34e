"""Experiments on prompts: what runs with which arms and shares, what each arm has come to with its intervals, the looks so far, why an arm
is out; and taking an arm out, or moving the label to it, by hand.

What a file says is read from the folder of prompts, what it has come to from the book (`rollout.standing`, which the command asks too).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gateway.errors import GatewayError, StartError
from gateway.face.door import HOME
from gateway.face.page import Asked, Deed, House, Page
from gateway.moving_labels import Labels
from gateway.prompt.experiment import CONTROL
from gateway.prompt.trial import Outcome, Trial
from gateway.rollout import deciding, standing
from gateway.stores import Refused
from gateway.web.answers import line
from gateway.web.content import WHY_LENGTH
from gateway.web.experiments import Ruled, by_hand, find

_OUTCOMES: Mapping[str, Outcome] = {"halt": "halted", "promote": "promoted"}
_NONE_SERVED = "no folder of prompts is served; name one by 'prompts' in tollhouse.yaml and start the gateway anew"


async def data(house: House, asked: Asked) -> dict[str, Any]:
    try:
        prompts, unfit = await asyncio.to_thread(_labels(house).looked)
    except (GatewayError, ValueError, StartError) as error:
        return {"rows": [], "problems": [], "unserved": str(error)}
    rows = [{"experiment": each.name, **standing.told(each, house.now_us())} for each in prompts.trials.values()]
    problems = [{name: getattr(each, name) for name in ("file", "line", "column", "message")} for each in unfit]
    return {"rows": rows, "problems": problems, "unserved": ""}


async def one(house: House, asked: Asked) -> dict[str, Any]:
    """Raises GatewayError."""
    trial = await _trial(house, asked.subject)
    about = standing.about(trial)
    looks, changes = await asyncio.gather(house.ask(standing.LOOKS, about), house.ask(standing.CHANGES, about))
    try:
        found = await asyncio.to_thread(standing.results, house.fetch, trial, house.now_us())
    except Refused as refused:
        raise GatewayError("unavailable", refused.code, f"The book cannot answer just now: {refused.message}. Try again.") from refused
    told = standing.told(trial, house.now_us())
    return {
        "experiment": trial.name,
        **told,
        "arms": [{**each, "share": trial.share(each["arm"]), "sessions": found["sessions"].get(each["arm"], 0)} for each in told["arms"]],
        "file": trial.experiment.file,
        "edition": trial.judged,
        "plan": trial.experiment.plan.model_dump(),
        "results": found["results"],
        "level": found["level"],
        "taken": found["looks"],
        "next_look": deciding.due(trial.experiment.plan, found["looks"]) if trial.running else None,
        "looks": looks,
        "changes": changes,
        "running": [each.name for each in trial.running],
        "may_rule": asked.person.may("edit-prompts"),
    }


async def halt(house: House, asked: Asked, fields: Mapping[str, str]) -> str:
    return await _ruled(house, asked, fields, "halt")


async def promote(house: House, asked: Asked, fields: Mapping[str, str]) -> str:
    return await _ruled(house, asked, fields, "promote")


async def _ruled(house: House, asked: Asked, fields: Mapping[str, str], what: str) -> str:
    """Whoever rules is the account that is signed in. Raises GatewayError, JournalUnavailable."""
    labels = _labels(house)
    if house.rulings is None or fields.get("arm") == CONTROL:
        raise GatewayError("bad_request", "bad_request", "The control is what requests get anyway: name another arm.")
    try:
        why = line("why", fields.get("why", ""), WHY_LENGTH)
        await by_hand(labels, house.rulings, Ruled(asked.subject, fields.get("arm", ""), _OUTCOMES[what], why, asked.person.name))
    except (ValueError, StartError) as error:
        raise GatewayError("bad_request", "bad_request", f"This cannot be done: {error}. Go back and mend it.") from error
    return f"{HOME}/experiments/{quote(asked.subject)}"


async def _trial(house: House, name: str) -> Trial:
    try:
        return await asyncio.to_thread(find, _labels(house), name)
    except (ValueError, StartError) as error:
        raise GatewayError("not_found", "unknown_experiment", f"There is no experiment here: {error}.") from error


def _labels(house: House) -> Labels:
    if house.labels is None:
        raise GatewayError("not_found", "no_prompts", f"There is no experiment here: {_NONE_SERVED}.")
    return house.labels


PAGE = Page("Experiments", "/experiments", "see-metadata", data, "experiments.html", rows="rows")
ONE = Page("Experiment", "/experiments/{subject}", "see-metadata", one, "experiment.html", rows="results", linked=False)
DEEDS = (
    Deed("/experiments/{subject}/halt", "edit-prompts", halt),
    Deed("/experiments/{subject}/promote", "edit-prompts", promote),
)
