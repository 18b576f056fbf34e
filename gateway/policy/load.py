"""The files of the policies folder to a PolicySet. Pure: reading the disk is for `policy_folder`.

A file is a policy when it has the top-level key `policy`. With `agents:` it applies to those agents;
without, it is a library and applies where it is included. Includes and lists are looked up in the mapping
only, so nothing outside the folder is ever read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.documents import nearest, parse
from gateway.errors import FileProblems, Problem, coded
from gateway.policy.policy_set import EMPTY, Policy, PolicySet, set_hash
from gateway.policy.read import PolicyDocument, beside, is_policy, read, restrictions
from gateway.validators.packages import lock_files, name_list


def load(files: Mapping[str, bytes], *, git: str | None = None) -> PolicySet:
    """Raises FileProblems with all problems of all files. No policies: `EMPTY`."""
    problems: list[Problem] = []
    documents = _read_all(files, problems)
    if not problems:
        problems += coded("TH106", _repeated_ids(documents)) + coded("TH107", _bad_includes(documents))
    if not problems:
        problems += coded("TH106", _clashing_ids(documents)) + coded("TH107", _unused_libraries(documents))
        problems += coded("TH109", _unknown_labels(documents)) + coded("TH112", _unknown_limits(documents))
    if problems:
        raise FileProblems(sorted(problems, key=lambda p: (p.file, p.line, p.column)))
    if not documents:
        return EMPTY
    return _policy_set(documents, files, git)


def may_be_policy(path: str) -> bool:
    """Whether a file of this name is looked into: others of the folder are lists that policies name."""
    return path.lower().endswith((".yaml", ".yml")) and not lock_files.is_one(path)


def _read_all(files: Mapping[str, bytes], problems: list[Problem]) -> dict[str, PolicyDocument]:
    documents: dict[str, PolicyDocument] = {}
    for path in sorted(files):
        if not may_be_policy(path):
            continue
        try:
            document = parse(files[path], path)
            if is_policy(document):
                documents[path] = read(document, files)
        except FileProblems as error:
            problems += coded("TH101", error.problems)
    return documents


def _policy_set(documents: Mapping[str, PolicyDocument], files: Mapping[str, bytes], git: str | None) -> PolicySet:
    policies = [_policy(path, documents) for path in documents]
    used = {*documents, *(path for one in documents.values() for path in one.var_files)}
    texts = tuple((path, _text(files[path])) for path in sorted(used))
    return PolicySet(
        policies=tuple(p for p in policies if p.agents is not None),
        libraries=tuple(p for p in policies if p.agents is None),
        files=texts,
        hash=set_hash(texts),
        git=git,
    )


def _text(data: bytes) -> str:
    """As the book keeps it by the hash of the set."""
    return name_list.described(data) if name_list.is_one(data) else data.decode("utf-8")


def _policy(path: str, documents: Mapping[str, PolicyDocument]) -> Policy:
    model = documents[path].model
    return Policy(
        id=model.id,
        file=path,
        agents=None if model.agents is None else tuple(model.agents),
        mode=model.mode,
        default=model.default or "deny",
        layers=tuple(documents[part].layer for part in _closure(path, documents)),
    )


def _includes(one: PolicyDocument) -> list[str]:
    return [beside(one.document.file, written) for written in one.model.include]


def _closure(path: str, documents: Mapping[str, PolicyDocument]) -> list[str]:
    """The file and everything it includes, itself first, each once."""
    found: dict[str, None] = {}
    waiting = [path]
    while waiting:
        current = waiting.pop(0)
        if current not in found:
            found[current] = None
            waiting += _includes(documents[current])
    return list(found)


# -- what is wrong between files --------------------------------------------------------------------------


def _repeated_ids(documents: Mapping[str, PolicyDocument]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for path, one in documents.items():
        if one.model.id in first:
            said = f"duplicate policy id '{one.model.id}' (also in {first[one.model.id]}); rename one of them"
            yield one.document.problem(("id",), said)
        first.setdefault(one.model.id, path)


def _bad_includes(documents: Mapping[str, PolicyDocument]) -> Iterator[Problem]:
    for path, one in documents.items():
        for i, include in enumerate(_includes(one)):
            at = ("include", i)
            if include not in documents:
                offer = nearest(include, documents)
                yield one.document.problem(at, f"no policy file '{include}' in the policies folder{offer}")
            elif include == path or _reaches(include, path, documents):
                said = f"'{include}' includes this file again; break the circle"
                yield one.document.problem(at, said)


def _reaches(start: str, goal: str, documents: Mapping[str, PolicyDocument]) -> bool:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        current = waiting.pop()
        if current in seen or current not in documents:
            continue
        seen.add(current)
        waiting += _includes(documents[current])
        if goal in waiting:
            return True
    return False


def _clashing_ids(documents: Mapping[str, PolicyDocument]) -> Iterator[Problem]:
    """Tests and people name rules and limits by id: within a file and what it includes, an id means one of them."""
    for path, one in documents.items():
        above = {rule.id: at for at, rule in restrictions(one.model)}
        for part in _closure(path, documents)[1:]:
            for _, rule in restrictions(documents[part].model):
                if rule.id in above:
                    at = above[rule.id]
                    said = f"duplicate {at[0][:-1]} id '{rule.id}' (also in the included {part}); rename it"
                    yield one.document.problem((*at, "id"), said)


def _unknown_limits(documents: Mapping[str, PolicyDocument]) -> Iterator[Problem]:
    """A test can only say what limits of the file and its includes have counted."""
    for path, one in documents.items():
        known = [limit.id for part in _closure(path, documents) for limit in documents[part].model.limits]
        for i, case in enumerate(one.model.tests):
            for name in case.spent:
                if name not in known:
                    said = f"no limit '{name}' in this file or what it includes{nearest(name, known)}"
                    yield one.document.problem(("tests", i, "spent", name), said, key=True)


def _unknown_labels(documents: Mapping[str, PolicyDocument]) -> Iterator[Problem]:
    """A label that no file of the folder gives to a tool: the condition would never be true."""
    known = {label for one in documents.values() for label, _ in one.layer.labels}
    for one in documents.values():
        for i, guard in enumerate(one.layer.guards):
            for offset, label in guard.condition.labels if guard.condition else ():
                if label not in known:
                    key = "when" if guard.hits_when else "require"
                    offer = nearest(label, known) or "; give it to one under 'tools:'"
                    yield one.document.problem_within(
                        ("rules", i, key), offset, f"no tool has the label '{label}'{offer}"
                    )


def _unused_libraries(documents: Mapping[str, PolicyDocument]) -> Iterator[Problem]:
    included = {include for one in documents.values() for include in _includes(one)}
    for path, one in documents.items():
        if one.model.agents is None and path not in included:
            said = "this policy names no agents and no other includes it; add agents: ['*'] or include it"
            yield one.document.problem(("id",), said, key=True)
