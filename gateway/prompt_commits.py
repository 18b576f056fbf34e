"""What Git knows of the folder of kept prompts: who committed each file last, and which of them nobody has committed as it stands.

A folder outside a repository, or a machine without git, knows nothing: then nothing is called uncommitted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.policy_folder import git
from gateway.prompt.kept import SUFFIX
from gateway.prompt.library import NO_COMMITS, Commit, Commits

MOST_COMMITS: Final = 5_000
"""That are looked through for the last one of each file."""
_FORMAT: Final = "--format=%x01%H%x02%an <%ae>%x02%ct"


def of_folder(folder: Path) -> Commits:
    changed = git(folder, "diff", "--no-ext-diff", "--name-only", "--relative", "HEAD", "--", ".")
    new = git(folder, "ls-files", "-o", "--", ".")
    if changed is None or new is None:
        return NO_COMMITS
    log = git(folder, "log", f"-n{MOST_COMMITS}", _FORMAT, "--name-only", "--relative", "--", ".") or ""
    return Commits(_latest(log), frozenset(filter(None, map(_prompt, (*changed.splitlines(), *new.splitlines())))))


def head_log(folder: Path) -> Path:
    """A file that is another one after each commit and checkout; one that is not there where there is no repository."""
    return folder / (git(folder, "rev-parse", "--git-path", "logs/HEAD") or ".git/logs/HEAD")


def _latest(log: str) -> dict[str, Commit]:
    """`log`: newest first."""
    found: dict[str, Commit] = {}
    for entry in log.split("\x01")[1:]:
        head, *files = entry.splitlines()
        commit, author, at = head.split("\x02")
        for name in filter(None, map(_prompt, files)):
            found.setdefault(name, Commit(commit, author[:200], int(at) * 1_000_000))
    return found


def _prompt(file: str) -> str:
    """The prompt of a file at the top of the folder; empty for others."""
    return file.removesuffix(SUFFIX) if file.endswith(SUFFIX) and "/" not in file else ""
