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
from gateway.errors import GatewayError
from gateway.prompt.kept import THIS, VERSION, Kept


class Move(Struct, frozen=True, forbid_unknown_fields=True):
    """A label that the command moved."""

    version: str
    over: str = ""
    """What the front matter said of the label at that time: a version, or nothing."""


Moves = Mapping[str, Mapping[str, Move]]
"""By prompt and label."""


class Named(Struct, frozen=True):
    """How a request names a prompt: by version, by label, or by neither, which is the file as it stands."""

    name: str
    version: str = ""
    label: str = ""


@dataclass(frozen=True)
class Library:
    """`heads` are the files as they stand, by name; `versions` holds all that can be asked for."""

    heads: Mapping[str, Kept] = field(default_factory=dict)
    versions: Mapping[str, Mapping[str, Kept]] = field(default_factory=dict)
    moves: Moves = field(default_factory=dict)
    git: str | None = None

    @property
    def hash(self) -> str:
        """Another one whenever a request could be answered otherwise."""
        said = {name: [kept.version, sorted(self.labels(name).items())] for name, kept in self.heads.items()}
        return hashlib.sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()

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

    def find(self, named: Named) -> Kept:
        """Raises GatewayError for what is not there or names more than one."""
        head = self.heads.get(named.name)
        if head is None:
            known = ", ".join(sorted(self.heads)) or "none"
            message = f"There is no prompt '{named.name[:64]}'{nearest(named.name, self.heads)}. There are: {known}."
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
