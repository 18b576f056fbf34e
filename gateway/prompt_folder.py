"""The folder of kept prompts on disk, and the shelf in the data folder that remembers what was in it.

An edited file is a new version; the one before stays on the shelf (`<data>/prompts/<name>/<version>.md`, written once and never changed),
so that a label can point at it and a caller can ask for it. Which labels the command has moved is said by the state store, which also holds
the versions that they point at: a machine that never had one takes it from there. It also says which arms of experiments
(`experiments/<name>.yaml`) are out. What is read is checked by `gateway.prompt`; nothing here knows templates.

A file that cannot be used keeps its last good version and says why; a folder that cannot be read, or is suddenly empty, changes nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from gateway import extras
from gateway.errors import FileProblems, GatewayError, Problem, StartError
from gateway.policy_folder import git_version, leaves
from gateway.prompt import experiment, pins
from gateway.prompt.binding import bound
from gateway.prompt.experiment import Experiment
from gateway.prompt.kept import SUFFIX, VERSION, Kept, read
from gateway.prompt.library import EMPTY, Commits, Library, Moves
from gateway.prompt.pins import NONE as NO_PINS
from gateway.prompt.pins import Pins
from gateway.prompt.trial import Stops
from gateway.prompt_commits import head_log, of_folder
from gateway.yaml_nodes import MAX_BYTES

MAX_FILES: Final = 1000
MAX_SEEN: Final = 3 * MAX_FILES
"""Files and folders, also below, among which what is misplaced is sought every second."""
SHELF: Final = "prompts"
EXPERIMENTS: Final = "experiments"
_PASSED_OVER: Final = frozenset({"README.md"})

Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class Found:
    """What a folder holds: prompts by name, and why others cannot be used."""

    heads: Mapping[str, Kept]
    problems: tuple[Problem, ...] = ()
    pins: Pins = NO_PINS
    experiments: Mapping[str, Experiment] = field(default_factory=dict)
    last_good: frozenset[str] = frozenset()
    """Prompts that stand for a file which cannot be used now."""


class Shared(Protocol):
    """What the state store says of labels and experiments; also `state.prompts.Prompts`."""

    def moves(self) -> Moves: ...
    def stops(self) -> Stops: ...
    def source(self, name: str, version: str) -> str | None: ...


class _Unmoved:
    def moves(self) -> Moves:
        return {}

    def stops(self) -> Stops:
        return {}

    def source(self, name: str, version: str) -> None:
        return


UNMOVED: Final = _Unmoved()
"""Where no gateway has run yet."""


def load_folder(folder: Path, data: Path, shared: Shared) -> Library:
    """Raises FileProblems when anything in the folder cannot be used, and StartError."""
    found = look(folder)
    if found.problems:
        raise FileProblems(found.problems)
    prompts = library(folder, data, found, shared)
    remember(prompts, data)
    return prompts


def library(folder: Path, data: Path, found: Found, shared: Shared, before: Library = EMPTY) -> Library:
    """The prompts with what the shelf remembers. Versions that `before` holds are not read again. Raises StartError."""
    shelf = data / SHELF
    try:
        moves, stops = shared.moves(), shared.stops()
        versions: dict[str, Mapping[str, Kept]] = {}
        for name, head in found.heads.items():
            known = {kept.version: kept for kept in _remembered(shelf, name, before.versions.get(name, {}))} | {head.version: head}
            missing = {move.version for move in moves.get(name, {}).values()} - known.keys()
            versions[name] = known | {kept.version: kept for kept in _fetched(shared, name, missing)}
    except GatewayError as error:
        raise StartError(f"where labels of prompts point and which experiments were halted cannot be read: {error.message}") from error
    commits = _commits(folder, found, before)
    prompts = Library(found.heads, versions, moves, git_version(folder), found.pins, commits, found.experiments)
    if found.experiments and not extras.installed("scipy"):
        return replace(prompts, unfit=tuple(_unguarded(found.experiments.values())))
    fit = bound(found.experiments.values(), prompts, stops)
    return replace(prompts, trials=fit.trials, unfit=fit.problems)


def _commits(folder: Path, found: Found, before: Library) -> Commits:
    """What Git knows of the files. What it says of one that cannot be used is not about the version that stays: of that holds what was
    known before."""
    now, was, stay = of_folder(folder), before.commits, found.last_good
    latest = {**now.latest, **{name: commit for name, commit in was.latest.items() if name in stay}}
    return Commits(latest, now.uncommitted - stay | was.uncommitted & stay)


def _unguarded(experiments: Iterable[Experiment]) -> Iterator[Problem]:
    """Where nobody can reckon whether an arm does worse, none may begin."""
    said = f"not in force: its guards need SciPy, which is not installed here; {extras.how('experiments')}"
    return (each.document.problem(("prompt",), said) for each in experiments)


def _fetched(shared: Shared, name: str, missing: Iterable[str]) -> Iterator[Kept]:
    """Versions that labels point at and this machine never had. Raises GatewayError."""
    for version in sorted(missing):
        source = shared.source(name, version)
        with contextlib.suppress(FileProblems):
            if source is not None and (kept := read(name, source.encode())).version == version:
                yield kept


def remember(prompts: Library, data: Path) -> None:
    """Puts what is new on the shelf, also what a label points at. Raises StartError."""
    for name, head in prompts.heads.items():
        moved = {move.version for move in prompts.moves.get(name, {}).values()}
        for version in sorted({head.version, *moved} & prompts.versions[name].keys()):
            _put_by(data / SHELF, prompts.versions[name][version])


def look(folder: Path) -> Found:
    """Reads every prompt, the pins and the experiments. Hidden files, others and README.md are passed over; what only seems to be read
    is a problem."""
    heads: dict[str, Kept] = {}
    problems: list[Problem] = []
    approved = NO_PINS
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
    try:
        if os.path.lexists(folder / pins.FILE):
            approved = pins.read(_text(folder, folder / pins.FILE))
    except FileProblems as error:
        problems += error.problems
    experiments, others = _experiments(folder)
    return Found(heads, (*problems, *others, *_not_read(folder)), approved, experiments)


def _not_read(folder: Path) -> Iterator[Problem]:
    """Files that look like prompts, experiments or pins and would be passed over for their names or places."""
    for path, said in _lookalikes(folder):
        if said or _begins_like_a_prompt(path):
            told = said or "it lies in a folder below; move it up into the folder of prompts"
            yield _whole(str(path.relative_to(folder)), f"not read, because {told}")


def _lookalikes(folder: Path) -> Iterator[tuple[Path, str]]:
    """With what is wrong by the name; "" where that depends on what the file holds: notes in folders below are nobody's business."""
    seen = 0
    for where, below, names in os.walk(folder):
        below[:] = sorted(each for each in below if not each.startswith("."))
        seen += len(below) + len(names)
        if seen > MAX_SEEN:
            return
        place = Path(where).relative_to(folder).parts
        for name in sorted(names):
            said = None if name.lower().startswith((".", "readme.")) else _said_of(place, Path(name))
            if said is not None:
                yield Path(where, name), said


def _said_of(place: tuple[str, ...], name: Path) -> str | None:
    """What is wrong with a file by this name in this folder below, as in `_lookalikes`; None: nothing."""
    alike = name.suffix.lower()
    if alike == SUFFIX:
        shelved = len(place) == 1 and VERSION.fullmatch(name.stem)  # where the data folder is the one beside: its shelf is this folder
        return _ending(name, SUFFIX) if not place else None if shelved else ""
    if alike not in {experiment.SUFFIX, ".yml"}:
        return None
    if not place and _is_of_pins(name):
        return None if name.name == pins.FILE else f"its name is not '{pins.FILE}'; rename it"
    if place[:1] != (EXPERIMENTS,):
        return None
    return f"it lies in a folder below; move it up into the folder '{EXPERIMENTS}'" if place[1:] else _ending(name, experiment.SUFFIX)


def _ending(name: Path, suffix: str) -> str | None:
    return None if name.suffix == suffix else f"its name does not end in '{suffix}'; rename it"


def _begins_like_a_prompt(path: Path) -> bool:
    with contextlib.suppress(OSError), path.open("rb") as file:
        return file.readline(8).removeprefix(b"\xef\xbb\xbf").startswith(b"---")
    return False


def _experiments(folder: Path) -> tuple[dict[str, Experiment], list[Problem]]:
    found: dict[str, Experiment] = {}
    problems: list[Problem] = []
    for path in _experiment_files(folder):
        try:
            found[path.stem] = experiment.read(path.stem, _text(folder, path), _experiment_file(path))
        except FileProblems as error:
            problems += error.problems
    return found, problems


def _experiment_files(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        files = (path for path in (folder / EXPERIMENTS).iterdir() if path.suffix == experiment.SUFFIX and not path.name.startswith("."))
        return sorted(files)[:MAX_FILES]
    return []


def _experiment_file(path: Path) -> str:
    return f"{EXPERIMENTS}/{path.name}"


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.endswith(SUFFIX) and not path.name.startswith(".") and path.name not in _PASSED_OVER:
            yield path


def _read(folder: Path, path: Path) -> Kept:
    return read(path.stem, _text(folder, path))


def _text(folder: Path, path: Path) -> bytes:
    name = str(path.relative_to(folder))
    if leaves(path, folder.resolve()):
        raise FileProblems([_whole(name, "a link that leaves the prompts folder; copy the file into it")])
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FileProblems([_whole(name, f"cannot be read ({error.strerror}); check the file and its permissions")]) from None


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


# -- watching ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """What became of a change on disk: the prompts as they are now, if they differ, and what could not be used."""

    prompts: Library | None = None
    problems: tuple[Problem, ...] = ()


class Watcher:
    """Notices changes of the folder, of the labels, and of what was halted. A change counts when two looks in a row found it the same: a
    file that is being written is no version."""

    def __init__(self, folder: Path, data: Path, shared: Shared, prompts: Library) -> None:
        self._folder, self._data, self._shared, self._good = folder, data, shared, prompts
        self._committed = head_log(folder)
        self._problems: tuple[Problem, ...] = ()
        self._said: tuple[Moves, Stops] = prompts.moves, {}
        self._seen: tuple[Stamp, tuple[Moves, Stops]] | None = None
        self._taken: tuple[Stamp, tuple[Moves, Stops]] | None = None

    def poll(self) -> Change | None:
        now = (*_stamp(self._folder), _one_stamp(self._committed)), self._by_the_store()
        settled = now == self._seen
        self._seen = now
        if not settled or now == self._taken:
            return None
        self._taken = now
        found = usable(self._folder, look(self._folder), self._good)
        try:
            fresh = library(self._folder, self._data, found, self._shared, self._good)
            remember(fresh, self._data)
        except StartError as error:
            self._taken = None
            return self._told(Change(None, (*found.problems, _whole(str(self._data / SHELF), str(error)))))
        same = (fresh.hash, fresh.git, fresh.commits) == (self._good.hash, self._good.git, self._good.commits)
        self._good = fresh
        return self._told(Change(None if same else fresh, (*found.problems, *fresh.unfit)))

    def _by_the_store(self) -> tuple[Moves, Stops]:
        """As at the last look while the store cannot be asked: that it cannot is said elsewhere."""
        with contextlib.suppress(GatewayError):
            self._said = self._shared.moves(), self._shared.stops()
        return self._said

    def _told(self, change: Change) -> Change | None:
        """Nothing where neither prompts nor problems are other ones."""
        if change.prompts is None and change.problems == self._problems:
            return None
        self._problems = change.problems
        return change


def usable(folder: Path, found: Found, good: Library) -> Found:
    """What is in force of a folder as it was found: with the last good version, of `good`, of what cannot be used now."""
    broken = [Path(problem.file) for problem in found.problems]
    if folder in broken:
        return Found(good.heads, found.problems, good.pins, good.experiments, frozenset(good.heads))
    last_good = _of(good.heads, {path.stem for path in broken if path.suffix.lower() == SUFFIX} - found.heads.keys())
    experiments = {**_last_good_experiments(broken, good), **found.experiments}
    approved = good.pins if found.pins is NO_PINS and any(_is_of_pins(path) for path in broken) else found.pins
    heads, problems = {**last_good, **found.heads}, found.problems
    if good.heads and not heads:
        said = "no prompt is left in the folder, the last ones stay; put one back, or restart without the folder"
        heads, problems, last_good = {**good.heads}, (_whole(str(folder), said), *problems), {**good.heads}
    return Found(heads, problems, approved, experiments, frozenset(last_good))


def _last_good_experiments(broken: Iterable[Path], good: Library) -> dict[str, Experiment]:
    stems = {path.stem for path in broken if path.parts[:1] == (EXPERIMENTS,)}
    return {each.name: each for each in good.experiments.values() if each.name in stems}


def _is_of_pins(path: Path) -> bool:
    return len(path.parts) == 1 and path.stem.lower() == Path(pins.FILE).stem and path.suffix.lower() != SUFFIX


def _of(heads: Mapping[str, Kept], names: Iterable[str]) -> dict[str, Kept]:
    return {name: heads[name] for name in names if name in heads}


def _stamp(folder: Path) -> Stamp:
    try:
        paths = sorted(_files(folder))
    except OSError as error:
        return ((str(folder), 0, -1, error.errno or 0),)
    others = (path for path, _ in _lookalikes(folder))
    return tuple(_one_stamp(path) for path in (*paths, *_experiment_files(folder), folder / pins.FILE, *others))


def _one_stamp(path: Path) -> tuple[str, int, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        return (str(path), 0, -1, error.errno or 0)
    return (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
