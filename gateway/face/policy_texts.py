"""Policies as the book keeps them, by their version's hash, and those that lie in the folder now."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from gateway.errors import FileProblems, StartError
from gateway.face.page import House
from gateway.installation import load_policies
from gateway.policy import EMPTY, PolicySet, load
from gateway.policy_folder import read

_FILES = "SELECT files FROM policy_versions WHERE hash = $hash"
MOST_KEPT = 8
_kept: OrderedDict[str, tuple[PolicySet, Mapping[str, str]]] = OrderedDict()
"""Read ones: a version's hash is that of its texts, whichever book they came from."""


async def version(house: House, name: str | None) -> tuple[PolicySet, Mapping[str, str]]:
    """The policies of a version and their texts by path; empty where the book does not hold them whole, they cannot be read any more, or
    they are everybody's and the house is not."""
    if not name or house.teams is not None:
        return EMPTY, {}
    if name not in _kept:
        rows = await house.ask(_FILES, {"hash": name})
        files = {each["path"]: each["text"] for row in rows for each in row["files"] or ()}
        found = await asyncio.to_thread(_read, files)
        if found.hash != name:
            return EMPTY, files
        _kept[name] = found, files
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
    return _kept[name]


async def present(house: House) -> tuple[PolicySet, str]:
    """Those in the folder of the settings as they lie there now, and what is wrong with them."""
    try:
        return await asyncio.to_thread(load_policies, house.settings), ""
    except (FileProblems, StartError) as error:
        return EMPTY, str(error)


def lying(house: House, file: str) -> dict[str, str]:
    """The text of a file of the folder, also where the folder as a whole cannot be used."""
    try:
        found = read(Path(str(house.settings.policies)))
    except FileProblems:
        return {}
    return {file: found[file].decode("utf-8", "replace")} if file in found else {}


def _read(files: Mapping[str, str]) -> PolicySet:
    try:
        return load({path: text.encode() for path, text in files.items()})
    except FileProblems:
        return EMPTY
