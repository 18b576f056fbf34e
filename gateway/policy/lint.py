"""What is allowed in a policy and is probably a mistake: the findings of `tollhouse policy check`.

Looks at a set that has loaded, so nothing here can keep a policy from being used; what each code means stands in
`lint_codes`. It prefers silence to a false alarm: a rule is called unreachable only when no name can exist that it
and the grants share. Pure: the day comes in as text. Not for workers, which never load it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.documents import Document, Path, nearest, parse
from gateway.errors import Problem
from gateway.policy.cases import Report
from gateway.policy.globs import overlap
from gateway.policy.limits import Cap
from gateway.policy.lint_codes import CODES
from gateway.policy.policy_set import Guard, Layer, Policy, PolicySet, provider_prefix
from gateway.policy.tokens import tokenized, tools_named


@dataclass(frozen=True)
class File:
    """One file and what its findings depend on."""

    document: Document
    layer: Layer
    users: tuple[Policy, ...]
    """The policies that the layer is part of."""
    everyone: tuple[Policy, ...]
    not_hit: frozenset[str]
    today: str

    def finding(self, code: str, path: Path, message: str, *, key: bool = False) -> Problem:
        return self._coded(code, self.document.problem(path, message, key=key))

    def finding_within(self, code: str, path: Path, offset: int, message: str) -> Problem:
        return self._coded(code, self.document.problem_within(path, offset, message))

    def _coded(self, code: str, problem: Problem) -> Problem:
        return replace(problem, code=code, severity=CODES[code].severity)

    def entries(self) -> Iterator[tuple[Path, str, Guard | Cap]]:
        """Where each rule and limit stands, what it is called in messages, and the thing itself."""
        yield from ((("rules", i), f"rule {guard.id}", guard) for i, guard in enumerate(self.layer.guards))
        yield from ((("limits", i), f"limit {cap.id}", cap) for i, cap in enumerate(self.layer.caps))

    def said(self, path: Path, key: str) -> Any:
        """What the file has under a key of a rule or limit."""
        section, at = path
        return self.document.value[section][at].get(key)


def lint(policies: PolicySet, report: Report, today: str) -> list[Problem]:
    """Findings by file and line. `today` is a day such as 2026-12-31."""
    found = [one for file in _files(policies, report, today) for check in _CHECKS for one in check(file)]
    return sorted(found, key=lambda p: (p.file, p.line, p.column, p.code))


def _files(policies: PolicySet, report: Report, today: str) -> Iterator[File]:
    texts = dict(policies.files)
    for policy in (*policies.policies, *policies.libraries):
        layer = policy.layers[0]
        users = tuple(p for p in policies.policies if layer.file in (part.file for part in p.layers))
        not_hit = frozenset(rule for file, rule, _ in report.not_hit if file == layer.file)
        document = parse(texts[layer.file].encode(), layer.file)
        yield File(document, layer, users, policies.policies, not_hit, today)


# -- rules and grants that do nothing ---------------------------------------------------------------------


def _unreachable(file: File) -> Iterator[Problem]:
    for path, what, entry in file.entries():
        if isinstance(entry, Guard) and entry.at != "tool_call":
            continue
        if not any(_reaches(entry.tools, policy, file.everyone) for policy in file.users):
            said = f"{what} is about {', '.join(entry.tools)}, which no grant covers{_offer(entry.tools, file)}"
            yield file.finding("TH001", (*path, "tools") if file.said(path, "tools") else path, said, key=True)


def _never_told(file: File) -> Iterator[Problem]:
    """In conditions: a call that nothing grants is in no conversation."""
    for i, guard in enumerate(file.layer.guards):
        for offset, tool in tools_named(tokenized(guard.condition.source)) if guard.condition else ():
            if not any(_reaches((tool,), policy, file.everyone) for policy in file.users):
                said = f"rule {guard.id} asks about earlier calls of {tool}, which no grant covers{_offer((tool,), file)}"
                yield file.finding_within("TH011", ("rules", i, "when" if guard.hits_when else "require"), offset, said)


def _offer(tools: Sequence[str], file: File) -> str:
    granted = [glob for policy in file.users for layer in policy.layers for glob, _ in layer.grants or ()]
    return next((offer for tool in tools if (offer := nearest(tool, granted))), "")


def _reaches(tools: Sequence[str], policy: Policy, everyone: Sequence[Policy]) -> bool:
    """Whether some of these tools can be granted by the policy (or, where it grants nothing itself, by another one, also by one that is
    not looked at: a file may be checked alone)."""
    granting = [layer for layer in policy.layers if layer.grants is not None]
    if granting:
        return any(all(_may_grant(layer, policy, tool) for layer in granting) for tool in tools)
    others = [(layer, p) for p in everyone for layer in p.layers if layer.grants is not None]
    return policy.default != "deny" or not others or any(_may_grant(layer, p, tool) for layer, p in others for tool in tools)


def _may_grant(layer: Layer, policy: Policy, tools: str) -> bool:
    """Whether a tool exists that the pattern names and the layer does not simply deny."""
    if (layer.default or policy.default) != "deny" and not provider_prefix(tools):
        return True
    return any(_both_cover(grant, tools) for grant, _ in layer.grants or ())


def _both_cover(grant: str, tools: str) -> bool:
    """A tool that a provider runs is granted only by a pattern that names the provider."""
    return grant.startswith(provider_prefix(tools)) and overlap(grant, tools)


def _always_denied(file: File) -> Iterator[Problem]:
    for i, guard in enumerate(file.layer.guards):
        if guard.condition is not None or guard.looks or guard.effect != "deny" or guard.mode == "shadow":
            continue
        for tool, policy, line in _exact_grants(file, guard):
            said = f"rule {guard.id} denies every call of {tool}, which policy {policy} grants in line {line}"
            yield file.finding("TH002", ("rules", i), said)


def _exact_grants(file: File, guard: Guard) -> list[tuple[str, str, int]]:
    """Each once, however many policies share the layer."""
    grants = [(g, layer.policy, line) for p in file.users for layer in p.layers for g, line in layer.grants or ()]
    return list(dict.fromkeys(grant for grant in grants if grant[0] in guard.tools and not set(grant[0]) & {"*", "?"}))


# -- wider than it looks ----------------------------------------------------------------------------------


def _wide_grants(file: File) -> Iterator[Problem]:
    for i, (glob, _) in enumerate(file.layer.grants or ()):
        if not glob.strip("*?"):
            yield file.finding("TH003", ("allow", i), f"'{glob}' grants every tool there is")
        elif glob[0] in "*?":
            yield file.finding("TH009", ("allow", i), f"'{glob}' grants whatever stands before '{glob.lstrip('*?')}'")


def _ignored_errors(file: File) -> Iterator[Problem]:
    for i, guard in enumerate(file.layer.guards):
        if guard.ignore_errors:
            said = f"rule {guard.id} lets calls pass when its condition cannot be evaluated (on_error: ignore)"
            yield file.finding("TH004", ("rules", i, "on_error"), said, key=True)


def _idle_default(file: File) -> Iterator[Problem]:
    said = file.layer.default
    if said is not None and not any(layer.grants is not None for policy in file.users for layer in policy.layers):
        yield file.finding("TH010", ("default",), f"'default: {said}' does nothing beside a policy that has 'allow:'", key=True)


# -- shadow mode ------------------------------------------------------------------------------------------


def _shadows(file: File) -> Iterator[Problem]:
    """What is in a file that is itself in shadow mode ends with the file."""
    if file.layer.mode == "shadow":
        yield from _shadow(file, (), "the file", file.document.value.get("until"))
        return
    for path, what, entry in file.entries():
        if entry.mode == "shadow":
            yield from _shadow(file, path, what, file.said(path, "until"))


def _shadow(file: File, path: Path, what: str, until: str | None) -> Iterator[Problem]:
    if until is None:
        said = f"{what} is in shadow mode without a last day; add 'until: <day>'"
        yield file.finding("TH005", (*path, "mode"), said, key=True)
    elif file.today > until:
        said = f"{what} is still in shadow mode, and {until} was its last day; enforce it, remove it, or set a later day"
        yield file.finding("TH006", (*path, "until"), said, key=True)


# -- what the tests show ----------------------------------------------------------------------------------


def _unknown_arguments(file: File) -> Iterator[Problem]:
    for i, guard in enumerate(file.layer.guards):
        known = _shown_arguments(file.layer, guard)
        for offset, (head, *path) in guard.condition.names if guard.condition and known else ():
            if head == "args" and path and (name := path[0]) not in known:
                said = f"no test gives an argument '{name}' to {', '.join(guard.tools)}{nearest(name, known)}"
                key = "when" if guard.hits_when else "require"
                yield file.finding_within("TH007", ("rules", i, key), offset, said)


def _shown_arguments(layer: Layer, guard: Guard) -> set[str]:
    calls = [call for case in layer.tests for call in (case.call or {}, *(one.call for one in case.history))]
    return {name for call in calls for tool, args in call.items() if guard.concerns(tool) for name in args or ()}


def _never_hit(file: File) -> Iterator[Problem]:
    for path, what, entry in file.entries():
        if entry.id in file.not_hit:
            yield file.finding("TH008", (*path, "id"), f"{what} is hit by no test")


_CHECKS: Final[tuple[Callable[[File], Iterator[Problem]], ...]] = (
    *(_unreachable, _never_told, _always_denied, _wide_grants, _idle_default, _ignored_errors),
    *(_shadows, _unknown_arguments, _never_hit),
)
