"""The folder of kept prompts on disk, and the shelf in the data folder that remembers what was in it.

An edited file is a new version; the one before stays on the shelf (`<data>/prompts/<name>/<version>.md`, written once and never changed),
so that a label can point at it and a caller can ask for it. `<data>/prompts/labels.json` says which labels the command has moved; the book
writes it. What is read is checked by `gateway.prompt`; nothing here knows templates.

A file that cannot be used keeps its last good version and says why; a folder that cannot be read, or is suddenly empty, changes nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from gateway.errors import FileProblems, Problem, StartError
from gateway.policy_folder import git_version
from gateway.prompt.kept import SUFFIX, VERSION, Kept, read
from gateway.prompt.library import EMPTY, Library, Move, Moves
from gateway.yaml_nodes import MAX_BYTES

MAX_FILES: Final = 1000
SHELF: Final = "prompts"
LABELS: Final = "labels.json"
_PASSED_OVER: Final = frozenset({"README.md"})

Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class Found:
    """What a folder holds: prompts by name, and why others cannot be used."""

    heads: Mapping[str, Kept]
    problems: tuple[Problem, ...] = ()


def load_folder(folder: Path, data: Path) -> Library:
    """Raises FileProblems when anything in the folder cannot be used."""
    found = look(folder)
    if found.problems:
        raise FileProblems(found.problems)
    return library(folder, data, found.heads)


def library(folder: Path, data: Path, heads: Mapping[str, Kept], before: Library = EMPTY) -> Library:
    """The prompts with what the shelf remembers; what is new is put there. Versions that `before` holds are not read again."""
    shelf = data / SHELF
    versions: dict[str, Mapping[str, Kept]] = {}
    for name, head in heads.items():
        _put_by(shelf, head)
        versions[name] = {kept.version: kept for kept in _remembered(shelf, name, before.versions.get(name, {}))} | {head.version: head}
    return Library(heads, versions, read_moves(data), git_version(folder))


def look(folder: Path) -> Found:
    """Reads every prompt; hidden files, other suffixes and README.md are passed over."""
    heads: dict[str, Kept] = {}
    problems: list[Problem] = []
    try:
        paths = sorted(_files(folder))
    except OSError as error:
        return Found({}, (_whole(str(folder), f"the prompts folder cannot be read ({error.strerror}); create it or correct its path"),))
    if len(paths) > MAX_FILES:
        return Found({}, (_whole(str(folder), f"more than {MAX_FILES} prompts; use fewer, with variables"),))
    for path in paths:
        try:
            heads[path.stem] = _read(folder, path)
        except FileProblems as error:
            problems += error.problems
    return Found(heads, tuple(problems))


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.endswith(SUFFIX) and not path.name.startswith(".") and path.name not in _PASSED_OVER:
            yield path


def _read(folder: Path, path: Path) -> Kept:
    if not path.resolve().is_relative_to(folder.resolve()):
        raise FileProblems([_whole(path.name, "a link that leaves the prompts folder; copy the file into it")])
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FileProblems([_whole(path.name, f"cannot be read ({error.strerror}); check the file and its permissions")]) from None
    return read(path.stem, text)


def _whole(file: str, message: str) -> Problem:
    return Problem(file, 1, 1, message)


# -- the shelf --------------------------------------------------------------------------------------------


def _put_by(shelf: Path, kept: Kept) -> None:
    """Whole or not at all: several workers may do so at once."""
    path = shelf / kept.name / (kept.version + SUFFIX)
    if path.exists():
        return
    write_whole(path, kept.source.encode())


def write_whole(path: Path, text: bytes) -> None:
    """In the place of what was there. Raises StartError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise StartError(f"{path} cannot be written: {error.strerror}; free disk space or mend the data folder's permissions") from error


def _remembered(shelf: Path, name: str, known: Mapping[str, Kept]) -> Iterator[Kept]:
    """Versions put by. One whose text is not what its name says was changed: it is none."""
    with contextlib.suppress(OSError):
        for path in sorted((shelf / name).iterdir()):
            if path.stem in known:
                yield known[path.stem]
            elif VERSION.fullmatch(path.stem) and path.suffix == SUFFIX:
                with contextlib.suppress(FileProblems):
                    kept = read(name, path.read_bytes())
                    if kept.version == path.stem:
                        yield kept


def read_moves(data: Path) -> Moves:
    """Raises StartError for a file that cannot be read: without it labels would point elsewhere."""
    path = data / SHELF / LABELS
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, Move]])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise StartError(f"{path} cannot be read: {error}; put it back from a copy, or remove it and move the labels again") from error


def write_moves(data: Path, moves: Moves) -> None:
    write_whole(data / SHELF / LABELS, msgspec.json.format(msgspec.json.encode(moves, order="deterministic"), indent=2))


# -- watching ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """What became of a change on disk: the prompts as they are now, if they differ, and what could not be used."""

    prompts: Library | None = None
    problems: tuple[Problem, ...] = ()


class Watcher:
    """Notices changes of the folder and of the labels. A change counts when two looks in a row found it the same: a file that is being
    written is no version."""

    def __init__(self, folder: Path, data: Path, prompts: Library) -> None:
        self._folder, self._data, self._good = folder, data, prompts
        self._problems: tuple[Problem, ...] = ()
        self._seen: Stamp | None = None
        self._stamp: Stamp | None = None

    def poll(self) -> Change | None:
        stamp = _stamp(self._folder, self._data)
        settled = stamp == self._seen
        self._seen = stamp
        if not settled or stamp == self._stamp:
            return None
        self._stamp = stamp
        found = self._usable(look(self._folder))
        try:
            fresh = library(self._folder, self._data, found.heads, self._good)
        except StartError as error:
            return self._told(Change(None, (*found.problems, _whole(str(self._data / SHELF), str(error)))))
        same = (fresh.hash, fresh.git) == (self._good.hash, self._good.git)
        self._good = fresh
        return self._told(Change(None if same else fresh, found.problems))

    def _usable(self, found: Found) -> Found:
        """With the last good version of what cannot be used now."""
        if not found.heads and self._good.heads and not found.problems:
            said = "no prompt is left in the folder, the last ones stay; put one back, or restart without the folder"
            return Found(self._good.heads, (_whole(str(self._folder), said),))
        broken = {problem.file.removesuffix(SUFFIX) for problem in found.problems}
        kept = self._good.heads if str(self._folder) in broken else _of(self._good.heads, broken)
        return Found({**kept, **found.heads}, found.problems)

    def _told(self, change: Change) -> Change | None:
        """Nothing where neither prompts nor problems are other ones."""
        if change.prompts is None and change.problems == self._problems:
            return None
        self._problems = change.problems
        return change


def _of(heads: Mapping[str, Kept], names: Iterable[str]) -> dict[str, Kept]:
    return {name: heads[name] for name in names if name in heads}


def _stamp(folder: Path, data: Path) -> Stamp:
    try:
        paths = sorted(_files(folder))
    except OSError as error:
        return ((str(folder), 0, -1, error.errno or 0),)
    return tuple(_one_stamp(path) for path in (*paths, data / SHELF / LABELS))


def _one_stamp(path: Path) -> tuple[str, int, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        return (str(path), 0, -1, error.errno or 0)
    return (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
