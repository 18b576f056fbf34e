"""All kept prompts of an installation as one frozen value: each with the versions there are and what its labels point at.

Where a label points is said in two places: by the front matter of the file as it stands, and by the command, which writes a `Move`. The
last word counts: a move holds until the front matter says something else of that label than it said when the label was moved.

Not here: files (`gateway/prompt_folder.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from gateway.documents import nearest
from gateway.errors import GatewayError, Problem
from gateway.prompt.experiment import Experiment
from gateway.prompt.kept import THIS, VERSION, Kept
from gateway.prompt.pins import NONE as NO_PINS
from gateway.prompt.pins import Pins
from gateway.prompt.trial import Trial


class Move(Struct, frozen=True, forbid_unknown_fields=True):
    """A label that the command moved."""

    version: str
    over: str = ""
    """What the front matter said of the label at that time: a version, or nothing."""
    before: str = ""
    """The version it pointed at until then, if any: a way back."""


Moves = Mapping[str, Mapping[str, Move]]
"""By prompt and label."""


class Named(Struct, frozen=True):
    """How a request names a prompt: by version, by label, or by neither, which is the file as it stands."""

    name: str
    version: str = ""
    label: str = ""


class Commit(Struct, frozen=True):
    """Who put a file into the repository as it is there."""

    id: str
    author: str
    at_us: int


@dataclass(frozen=True)
class Commits:
    """What Git knows of the files as they stand."""

    latest: Mapping[str, Commit] = field(default_factory=dict)
    """By prompt: the last commit that changed its file."""
    uncommitted: frozenset[str] = frozenset()
    """Prompts whose file is not what the commit that is checked out has. Nothing where there is no repository: nobody can tell."""


NO_COMMITS = Commits()


@dataclass(frozen=True)
class Library:
    """`heads` are the files as they stand, by name; `versions` holds all that can be asked for."""

    heads: Mapping[str, Kept] = field(default_factory=dict)
    versions: Mapping[str, Mapping[str, Kept]] = field(default_factory=dict)
    moves: Moves = field(default_factory=dict)
    git: str | None = None
    pins: Pins = NO_PINS
    commits: Commits = NO_COMMITS
    experiments: Mapping[str, Experiment] = field(default_factory=dict)
    """All that can be read, by name."""
    trials: Mapping[str, Trial] = field(default_factory=dict)
    """Those of them that can be used, by name; no two of them run on the same requests."""
    unfit: tuple[Problem, ...] = ()
    """Why others cannot."""

    @property
    def hash(self) -> str:
        """Another one whenever a request could be answered otherwise."""
        prompts = {name: [kept.version, sorted(self.labels(name).items())] for name, kept in self.heads.items()}
        said = [prompts, self.pins.model_dump(), sorted(trial.said for trial in self.trials.values())]
        return hashlib.sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()

    def trial(self, named: Named) -> Trial | None:
        """The experiment that a request which names this takes part in. One that names a version gets it."""
        if named.version or not self.trials:
            return None
        where = (named.name, named.label)
        return next((trial for trial in self.trials.values() if trial.where == where and trial.running), None)

    def labels(self, name: str) -> dict[str, str]:
        """Label → version. One that points at a version nobody has here is there all the same: `find` says so."""
        claimed = self.claimed(name)
        moved = {label: move.version for label, move in self.moves.get(name, {}).items() if claimed.get(label, "") == move.over}
        return claimed | moved

    def claimed(self, name: str) -> dict[str, str]:
        """What the front matter says."""
        head = self.heads[name]
        return {label: head.version if said == THIS else self._whole(name, said) for label, said in head.head.labels.items()}

    def _whole(self, name: str, digits: str) -> str:
        found = self.beginning(name, digits)
        return found[0].version if len(found) == 1 else digits

    def beginning(self, name: str, digits: str) -> list[Kept]:
        """The versions whose hash begins so."""
        return [kept for version, kept in self.versions.get(name, {}).items() if version.startswith(digits)]

    def deployed(self, kept: Kept) -> bool:
        """Whether somebody stands for this version: it is the file as it was committed, or a label was moved to it."""
        moved = any(move.version == kept.version for move in self.moves.get(kept.name, {}).values())
        return moved or kept.name not in self.commits.uncommitted or kept.version != self.heads[kept.name].version

    def find(self, named: Named) -> Kept:
        """Raises GatewayError for what is not there or names more than one."""
        head = self.heads.get(named.name)
        if head is None:
            known = ", ".join(sorted(self.heads)) or "none"
            message = f"There is no prompt '{named.name[:64]}'{nearest(named.name, self.heads) or '.'} There are: {known}."
            raise _bad("unknown_prompt", message)
        if named.label:
            return self._labelled(named)
        return self._version(named) if named.version else head

    def _labelled(self, named: Named) -> Kept:
        labels = self.labels(named.name)
        if named.label not in labels:
            known = ", ".join(sorted(labels)) or "none"
            raise _bad("unknown_prompt_label", f"The prompt '{named.name}' has no label '{named.label[:32]}'. It has: {known}.")
        kept = self.versions[named.name].get(labels[named.label])
        if kept is None:
            at = f"points at the version {labels[named.label][:12]}, which this gateway does not have. Move it."
            raise _bad("unknown_prompt_version", f"The label '{named.label}' of the prompt '{named.name}' {at}")
        return kept

    def _version(self, named: Named) -> Kept:
        found = self.beginning(named.name, named.version) if VERSION.fullmatch(named.version) else []
        if len(found) != 1:
            what = f"{len(found)} versions" if found else "no version"
            message = (
                f"The prompt '{named.name}' has {what} beginning with '{named.version[:64]}'. Name one by at least 8 digits of its hash; "
                "'tollhouse prompts list' shows them."
            )
            raise _bad("unknown_prompt_version", message)
        return found[0]


EMPTY = Library()


def _bad(code: str, message: str) -> GatewayError:
    return GatewayError("bad_request", code, message, param="prompt")
