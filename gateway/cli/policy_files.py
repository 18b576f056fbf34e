"""What the policy verbs look at: a folder, or one file with what it includes; finding nothing is never a pass.

Not here: what the verbs do with it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path

from gateway.documents import parse
from gateway.errors import FileProblems, Problem
from gateway.policy import PolicySet, load, may_be_policy
from gateway.policy_folder import git_version, read


def folder_of(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def files_at(path: Path) -> dict[str, bytes]:
    """The files of the folder, or the one file with what it includes. Raises FileProblems."""
    files = read(folder_of(path))
    if path.is_dir():
        return files
    wanted = _closure(path.name, files)
    return {name: text for name, text in files.items() if name in wanted or not may_be_policy(name)}


def loaded(files: Mapping[str, bytes], path: Path) -> PolicySet:
    """Raises FileProblems, also when there is no policy: a look at nothing must not pass for a look that found nothing."""
    policies = load(files, git=git_version(folder_of(path)))
    if not (policies.policies or policies.libraries):
        raise FileProblems([nothing(path)])
    return policies


def nothing(path: Path) -> Problem:
    return Problem(str(path), 1, 1, "no policy here; a policy is a YAML file with the key 'policy: 1'", code="TH111")


def _closure(start: str, files: Mapping[str, bytes]) -> set[str]:
    """The file and all it includes, as far as they can be read; what cannot is for `load` to say."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in found and name in files:
            found.add(name)
            waiting += [posixpath.normpath(posixpath.join(posixpath.dirname(name), i)) for i in _includes(files[name])]
    return found


def _includes(text: bytes) -> list[str]:
    try:
        top = parse(text, "").value
    except FileProblems:
        return []
    listed = top.get("include") if isinstance(top, dict) else None
    return [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
