"""Labels of kept prompts, moved by a person: on record before the workers see it.

The book is the only one that writes the labels' file, one move at a time; workers notice it within a second. Whoever holds the admin token
may move a label; `by` is what they say of themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway import prompt_folder
from gateway.errors import GatewayError, JournalUnavailable, StartError
from gateway.prompt.kept import SUFFIX, label_problem
from gateway.prompt.library import Library, Move, Named
from gateway.trace.record import MovedRow, PromptMoved
from gateway.web.answers import NAME_LENGTH, Write, error_answer, json_answer, line, refusal, strict
from gateway.web.content import WHY_LENGTH


class Wanted(Struct, forbid_unknown_fields=True):
    """Body of POST /prompts/{name}/labels."""

    by: str
    label: str
    version: str = ""
    """Its hash or the first digits; empty: the file as it stands."""
    back: bool = False
    """To the version that the label pointed at before it was moved last."""
    why: str = ""


class PromptsDesk:
    """The routes below `/prompts`; whoever mounts them checks the token. `folder`: None where the settings name none."""

    def __init__(self, folder: Path | None, data: Path, write: Write, now_us: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._folder, self._data, self._write = folder, data, write
        self._now_us, self._new_id = now_us, new_id
        self._one_at_a_time = asyncio.Lock()

    async def move(self, request: Request) -> Response:
        try:
            wanted = await strict(request, Wanted)
            wanted.by = line("by", wanted.by, NAME_LENGTH)
            wanted.why = line("why", wanted.why, WHY_LENGTH) if wanted.why else ""
            async with self._one_at_a_time:
                return await self._moved(request.path_params["name"], wanted)
        except (ValueError, StartError) as error:
            return error_answer(400, "bad_request", str(error))
        except (GatewayError, JournalUnavailable) as error:
            return refusal(error)

    async def _moved(self, name: str, wanted: Wanted) -> Response:
        prompts = await asyncio.to_thread(self._prompts, name)
        move = _move(prompts, name, wanted)
        row = MovedRow(self._new_id(), self._now_us(), name, wanted.label, move.version, move.before or None, wanted.by, wanted.why)
        await self._write(PromptMoved(row))
        of_prompt = {**prompts.moves.get(name, {}), wanted.label: move}
        await asyncio.to_thread(prompt_folder.write_moves, self._data, {**prompts.moves, name: of_prompt})
        return json_answer(msgspec.structs.asdict(row))

    def _prompts(self, name: str) -> Library:
        if self._folder is None:
            raise ValueError("no folder of prompts is served; name one by 'prompts' in tollhouse.yaml and start the gateway anew")
        found = prompt_folder.look(self._folder)
        for problem in found.problems:
            if problem.file == name + SUFFIX:
                raise ValueError(f"the file cannot be used as it stands; mend it first ('tollhouse prompts check'): {problem}")
        return prompt_folder.library(self._folder, self._data, found)


def _move(prompts: Library, name: str, wanted: Wanted) -> Move:
    """Raises GatewayError and ValueError."""
    if said := label_problem(wanted.label):
        raise ValueError(said)
    head = prompts.find(Named(name))
    before = prompts.labels(name).get(wanted.label, "")
    if wanted.back and wanted.version:
        raise ValueError("say 'back' or a version, not both")
    version = _way_back(prompts, name, wanted.label) if wanted.back else wanted.version or head.version
    target = prompts.find(Named(name, version=version)).version
    if target == before:
        raise ValueError(f"the label '{wanted.label}' points at {target[:12]} already")
    return Move(target, prompts.claimed(name).get(wanted.label, ""), before)


def _way_back(prompts: Library, name: str, label: str) -> str:
    last = prompts.moves.get(name, {}).get(label)
    if last is None or not last.before or prompts.labels(name).get(label) != last.version:
        raise ValueError(f"the label '{label}' was not moved by this command last, so there is no way back; promote the version you want")
    return last.before
