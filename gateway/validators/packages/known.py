"""Which names are known: those that a rule allows, those of lists, lock files and manifests, and dated lists of whole indexes.

A name is known when somebody who answers for it has said so, or when its index had it on a day. The second is weaker: attackers register
the names that models invent. So a name that only an index knows is not taken when it is one slip away from a name that a list has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Final, NamedTuple

from gateway.validators.packages import lock_files, name_list
from gateway.validators.packages.manifests import manifest, whole
from gateway.validators.packages.name_list import NameList
from gateway.validators.packages.wanted import ECOSYSTEMS, Wanted, spelled

MAX_LOOKED_UP: Final = 50
"""Unknown names of one text that are compared with all known ones: some 5 ms each with 50,000 names."""


class Judgement(NamedTuple):
    """Why a name may not be taken."""

    code: str
    near: str = ""
    """`typo_of`: the known name."""
    made: date | None = None
    """`stale_list`: the day of the list."""


class Known:
    """The names of one rule."""

    def __init__(self, exact: Iterable[str], lists: Sequence[NameList]) -> None:
        entries = sorted(set(exact))
        self._patterns = [one for one in entries if one.endswith("*")]
        self._exact = frozenset(one for one in entries if not one.endswith("*"))
        self._lists = lists
        self._names: dict[str, list[str]] = {ecosystem: [] for ecosystem in ECOSYSTEMS}
        for one in sorted(self._exact):
            ecosystem, _, name = one.partition(":")
            self._names[ecosystem].append(name)

    def judged(self, wanted: Iterable[Wanted], today: date | None, max_days: int | None) -> Iterator[tuple[Wanted, Judgement]]:
        """Those of the names that may not be taken. `today` may be None only without `max_days`."""
        room = MAX_LOOKED_UP
        for one in wanted:
            if self._is_said(str(one)):
                continue
            lists = [each for each in self._lists if each.header.ecosystem == one.ecosystem and one.text in each]
            fresh = [each for each in lists if max_days is None or today is None or (today - each.header.made).days <= max_days]
            near = self._near(one, existing=bool(fresh)) if room > 0 else ""
            room -= 1
            if near:
                yield one, Judgement("typo_of", near=near)
            elif lists and not fresh:
                yield one, Judgement("stale_list", made=max(each.header.made for each in lists))
            elif not fresh:
                yield one, Judgement("unknown_package")

    def _is_said(self, entry: str) -> bool:
        return entry in self._exact or any(entry.startswith(pattern[:-1]) for pattern in self._patterns)

    def _near(self, one: Wanted, *, existing: bool) -> str:
        """The known name next to it: a letter more, less, other, or two swapped; two such slips in six letters or more."""
        from rapidfuzz import process  # 2 MiB that few policies need
        from rapidfuzz.distance import OSA

        most = 1 if existing or len(one.text) < 6 else 2
        found = process.extractOne(one.text, self._names[one.ecosystem], scorer=OSA.distance, score_cutoff=most)
        return found[0] if found else ""


def entry(said: str) -> str:
    """`pip:requests`, in its index's spelling; `npm:@scope/*` for all names that begin so. Raises ValueError."""
    ecosystem, colon, name = said.strip().partition(":")
    if not colon or ecosystem not in ECOSYSTEMS:
        raise ValueError(f"'{said.strip()[:80]}' names no ecosystem; write it as 'pip:requests' (one of {', '.join(ECOSYSTEMS)})")
    if not re.fullmatch(r"[@\w][\w@./+~-]*\*?", name) or name in ("*", "@*"):
        raise ValueError(f"'{said.strip()[:80]}' is no name of a package; write 'pip:requests', or 'npm:@scope/*' for all of a scope")
    kept = spelled(ecosystem, name.removesuffix("*"))
    return f"{ecosystem}:{kept}{'*' if name.endswith('*') else ''}"


def read(files: Mapping[str, bytes]) -> tuple[list[str], list[NameList]]:
    """Entries and dated lists of the files, each read as what its name or its first bytes say. Raises ValueError naming the file."""
    entries: list[str] = []
    lists: list[NameList] = []
    for path, data in files.items():
        try:
            if data.startswith(name_list.MAGIC):
                lists.append(name_list.read(data))
            else:
                entries += _entries(path, data.decode("utf-8"))
        except UnicodeDecodeError:
            raise ValueError(f"'{path}' is neither UTF-8 text nor a list of names; build lists with 'tollhouse packages build'") from None
        except ValueError as error:
            raise ValueError(f"'{path}': {error}") from None
    return entries, lists


def _entries(path: str, text: str) -> list[str]:
    if text.startswith(name_list.DESCRIBED):
        raise ValueError("only what this list was is kept here, not its names; put the file itself into its place")
    if lock_files.is_one(path):
        return sorted(lock_files.names(path, text))
    if manifest(path) is not None:
        return sorted({str(one) for one in whole(path, text) if one.kind == "name"})
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    return [entry(line) for line in lines if line]
