"""The policies folder on disk: reading it whole, naming its version, noticing changes.

What is read is checked by `policy.load`; nothing here knows the language. Everything unreadable is a
problem with a name, never an absent file: a folder that had policies and now has none is a problem, not a
reason to stop judging.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from gateway.errors import FileProblems, Problem
from gateway.policy import PolicySet, load
from gateway.validators.packages import lock_files, name_list
from gateway.yaml_nodes import MAX_BYTES

MAX_LIST_BYTES: Final = 8 * MAX_BYTES
"""A list of names may be longer than a file that people review."""
MAX_FILES: Final = 2000
_SUFFIXES: Final = (".yaml", ".yml", ".txt", ".bloom")
_GIT_SECONDS: Final = 2.0

Stamp = tuple[tuple[str, int, int, int], ...]
"""(path, inode, size, mtime in ns) of every file that counts."""


def point_to_installed_zones() -> None:
    """Before the first zone of a condition is looked up: the engine would take the system's, which small images do not have and which
    differ from machine to machine. It gets those of `pytz`, which is installed with the gateway. Whoever sets `TZDIR` has others."""
    found = find_spec("pytz")
    for folder in (found and found.submodule_search_locations) or ():
        os.environ.setdefault("TZDIR", str(Path(folder, "zoneinfo")))


point_to_installed_zones()


def read(folder: Path) -> dict[str, bytes]:
    """Path below the folder → bytes, sorted. Raises FileProblems naming everything that cannot be read."""
    found: dict[str, bytes] = {}
    problems: list[Problem] = []
    for name, path in _files(folder, problems):
        try:
            found[name] = _bytes(path, _limit(name))
        except OSError as error:
            problems.append(_whole(name, f"cannot be read ({error.strerror}); check the file and its permissions"))
        except _TooLargeError as error:
            problems.append(_whole(name, str(error)))
    if problems:
        raise FileProblems(sorted(problems, key=lambda p: p.file))
    return found


def load_folder(folder: Path) -> PolicySet:
    """Raises FileProblems when anything in the folder cannot be used."""
    return load(read(folder), git=git_version(folder))


def git_version(folder: Path) -> str | None:
    """`<commit>`, `<commit>-dirty` when anything in the folder differs from it; None without repository or
    git.
    """
    commit = git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    changes = git(folder, "status", "--porcelain", "--untracked-files=all", "--", ".")
    return commit if changes == "" else f"{commit}-dirty"


def git(folder: Path, *arguments: str) -> str | None:
    """What git prints, or None. Configuration of the repository must not make git run other programs."""
    command = ("git", "-c", "core.fsmonitor=", "-c", "core.hooksPath=/dev/null", "-C", str(folder), *arguments)
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command; the folder comes from the operator's configuration
            command, capture_output=True, timeout=_GIT_SECONDS, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None


# -- reading ----------------------------------------------------------------------------------------------


class _TooLargeError(Exception):
    pass


def _limit(name: str) -> int:
    """Bytes: names are many, and nobody reviews them line by line."""
    if name.lower().endswith(".bloom"):
        return name_list.MAX_BYTES
    return MAX_LIST_BYTES if name.lower().endswith(".txt") or lock_files.is_one(name) else MAX_BYTES


def _bytes(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        text = file.read(limit + 1)
    if len(text) > limit:
        raise _TooLargeError(f"the file is larger than {limit // 1024} KiB; split it")
    return text


def _files(folder: Path, problems: list[Problem]) -> Iterator[tuple[str, Path]]:
    """Every file that counts, sorted by name; hidden ones and folders are passed over, escapes are
    problems.
    """
    try:
        root = folder.resolve(strict=True)
        if not root.is_dir():
            raise NotADirectoryError(20, "not a folder")
    except OSError as error:
        said = f"the policies folder cannot be read ({error.strerror}); create it or correct its path"
        problems.append(_whole(str(folder), said))
        return
    paths = sorted(_walk(root, root, problems), key=lambda path: path.relative_to(root).as_posix())
    if len(paths) > MAX_FILES:
        problems.append(_whole(str(folder), f"more than {MAX_FILES} policy files; merge some"))
        return
    for path in paths:
        name = path.relative_to(root).as_posix()
        if leaves(path, root):
            problems.append(_whole(name, "a link that leaves the policies folder; copy the file into it"))
        elif path.exists() and not path.is_file():
            problems.append(_whole(name, "a folder or device with the name of a policy file; rename it"))
        else:
            yield name, path


def leaves(path: Path, root: Path) -> bool:
    """Whether a link leads out of the folder, or only to itself."""
    try:
        return not path.resolve().is_relative_to(root)
    except RuntimeError:  # a loop, before Python 3.13
        return True


def _walk(folder: Path, root: Path, problems: list[Problem]) -> Iterator[Path]:
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        name = folder.relative_to(root).as_posix()
        problems.append(_whole(name, f"the folder cannot be read ({error.strerror}); check its permissions"))
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.name.lower().endswith(_SUFFIXES) or lock_files.is_one(entry.name):
            yield entry
        elif _leads_further(entry, root, problems):
            yield from _walk(entry, root, problems)


def _leads_further(entry: Path, root: Path, problems: list[Problem]) -> bool:
    """Whether it is a folder to look into. What a link leads to is read where it lies, so only links to what would else be passed over
    are followed: that is how Kubernetes puts folders into a volume (`team` → `..data/team`)."""
    if not entry.is_symlink():
        return entry.is_dir()
    if leaves(entry, root):
        if entry.is_dir() or not entry.exists():
            said = "a link that leaves the policies folder; copy what it leads to into it"
            problems.append(_whole(entry.relative_to(root).as_posix(), said))
        return False
    target = entry.resolve()
    hidden = any(part.startswith(".") for part in target.relative_to(root).parts)
    return hidden and target.is_dir() and target not in (parent.resolve() for parent in entry.parents)


def _whole(file: str, message: str) -> Problem:
    return Problem(file, 1, 1, message, code="TH110")


# -- watching ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """What became of a change on disk: a new set, or the problems for which the last good one stays in
    force.
    """

    policies: PolicySet | None = None
    problems: tuple[Problem, ...] = ()


class Watcher:
    """Notices changes of a folder; asked every half second, it costs one `stat` per file while nothing
    changes.

    A change is reported once: a file saved half-written gives problems now and a set when it is whole.
    Emptying a folder is a problem, because it cannot be told from a failed deployment; to stop judging,
    restart without it.
    """

    def __init__(self, folder: Path, policies: PolicySet) -> None:
        self._folder = folder
        self._good = policies
        self._troubled = False
        self._seen: Stamp | None = None
        self._stamp: Stamp | None = None

    def poll(self) -> Change | None:
        """What became of a change that two calls in a row found the same; None otherwise.

        Waiting for the second look keeps a file that is being written out of force: its first half may be a
        policy that reads well and guards less.
        """
        stamp = _stamp(self._folder)
        settled = stamp == self._seen
        self._seen = stamp
        if not settled or stamp == self._stamp:
            return None
        self._stamp = stamp
        try:
            policies = load_folder(self._folder)
        except FileProblems as error:
            return self._trouble(error.problems)
        if policies.observing and not self._good.observing:
            said = "no policy is left in the folder, the last ones stay in force; put one back, or restart without it"
            return self._trouble((_whole(str(self._folder), said),))
        return self._fresh(policies)

    def _trouble(self, problems: tuple[Problem, ...]) -> Change:
        self._troubled = True
        return Change(problems=problems)

    def _fresh(self, policies: PolicySet) -> Change | None:
        """The set, when it differs from the one in force or ends a time of problems."""
        same = (policies.hash, policies.git) == (self._good.hash, self._good.git)
        if same and not self._troubled:
            return None
        self._troubled = False
        self._good = policies
        return Change(policies)


def _stamp(folder: Path) -> Stamp:
    """What the folder looks like now; whatever cannot be looked at is part of it, so that its return is
    noticed.
    """
    found: list[tuple[str, int, int, int]] = []
    problems: list[Problem] = []
    for name, path in _files(folder, problems):
        try:
            status = path.stat()
            found.append((name, status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError as error:
            found.append((name, 0, -1, error.errno or 0))
    return (*found, *((str(problem), 0, -2, 0) for problem in problems))
