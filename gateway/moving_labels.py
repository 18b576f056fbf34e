"""Moves labels of kept prompts: on record before the workers see it. One at a time, whoever asks: people and rollouts.

Moves are in the state store, so they hold on every gateway that shares it; each notices within a second, and takes the version that it
never had from there. Of two machines that move one label at the same moment the later one counts; both are on record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway import prompt_folder
from gateway.errors import Problem
from gateway.prompt.kept import SUFFIX, label_problem
from gateway.prompt.library import EMPTY, Library, Move, Named
from gateway.state.prompts import Prompts
from gateway.trace.prompt_rows import MovedRow
from gateway.trace.record import PromptMoved, Record

Write = Callable[[Record], Awaitable[None]]


class Labels:
    """`folder`: None where the settings name none."""

    def __init__(
        self, folder: Path | None, data: Path, shared: Prompts, write: Write, now_us: Callable[[], int], new_id: Callable[[], str]
    ) -> None:
        self._folder, self._data, self._shared, self._write = folder, data, shared, write
        self._now_us, self._new_id = now_us, new_id
        self._good: Library = EMPTY
        self._one_at_a_time = asyncio.Lock()

    async def move(self, name: str, label: str, version: str = "", *, back: bool = False, who: str, why: str = "") -> MovedRow:
        """To a version (its hash or its first digits; empty: the file as it stands), or `back` to where it was before it was moved last.
        Raises GatewayError and ValueError for what has not one meaning, StartError and JournalUnavailable for what cannot be written."""
        async with self._one_at_a_time:
            prompts = await asyncio.to_thread(self._prompts, name)
            move = _move(prompts, name, label, version, back=back)
            row = MovedRow(self._new_id(), self._now_us(), name, label, move.version, move.before or None, who, why)
            await self._write(PromptMoved(row))
            known = prompts.versions[name]
            needed = {version: known[version].source for version in {move.version, move.before} & known.keys()}
            await asyncio.to_thread(self._shared.move, name, label, move, needed)
            return row

    def prompts(self) -> Library:
        """As the workers have them: what cannot be used now is as it was at the last look. Raises StartError, and ValueError where none
        are served."""
        return self.looked()[0]

    def looked(self) -> tuple[Library, tuple[Problem, ...]]:
        """And why the other files cannot be used."""
        found = prompt_folder.look(self._served())
        prompts = self._library(found)
        return prompts, (*found.problems, *prompts.unfit)

    def _prompts(self, name: str) -> Library:
        found = prompt_folder.look(self._served())
        for problem in found.problems:
            if problem.file == name + SUFFIX:
                raise ValueError(f"the file cannot be used as it stands; mend it first ('tollhouse prompts check'): {problem}")
        return self._library(found)

    def _library(self, found: prompt_folder.Found) -> Library:
        in_force = prompt_folder.usable(self._served(), found, self._good)
        self._good = prompt_folder.library(self._served(), self._data, in_force, self._shared, self._good)
        return self._good

    def _served(self) -> Path:
        if self._folder is None:
            raise ValueError("no folder of prompts is served; name one by 'prompts' in tollhouse.yaml and start the gateway anew")
        return self._folder


def _move(prompts: Library, name: str, label: str, wanted: str, *, back: bool) -> Move:
    """Raises GatewayError and ValueError."""
    if said := label_problem(label):
        raise ValueError(said)
    head = prompts.find(Named(name))
    before = prompts.labels(name).get(label, "")
    if back and wanted:
        raise ValueError("say 'back' or a version, not both")
    version = _way_back(prompts, name, label) if back else wanted or head.version
    target = prompts.find(Named(name, version=version)).version
    if target == before:
        raise ValueError(f"the label '{label}' points at {target[:12]} already")
    return Move(target, prompts.claimed(name).get(label, ""), before)


def _way_back(prompts: Library, name: str, label: str) -> str:
    last = prompts.moves.get(name, {}).get(label)
    moved = last is not None and prompts.labels(name).get(label) == last.version
    if last is not None and moved and not last.before:
        raise ValueError(f"the label '{label}' pointed at nothing before it was moved: no way back; promote the version you want")
    if last is None or not moved:
        raise ValueError(f"the label '{label}' was not moved by this command last, so there is no way back; promote the version you want")
    return last.before
