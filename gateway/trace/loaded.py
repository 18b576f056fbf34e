"""From what a worker puts in force to its rows: policy versions with their rules, and kept prompts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.policy import PolicySet
from gateway.policy.policy_set import Layer
from gateway.prompt.kept import Kept
from gateway.prompt.library import NO_COMMITS, Library
from gateway.trace.policy_rows import PolicyRow, RuleRow
from gateway.trace.prompt_rows import KeptRow


def policy_row(policies: PolicySet, loaded_us: int) -> PolicyRow:
    """What is recorded of a version when it is put in force."""
    layers = {layer.file: layer for policy in (*policies.policies, *policies.libraries) for layer in policy.layers}
    rules = tuple(rule for layer in layers.values() for rule in _rules(layer))
    return PolicyRow(hash=policies.hash, loaded_us=loaded_us, git=policies.git, files=policies.files, rules=rules)


def kept_rows(prompts: Library, loaded_us: int) -> tuple[KeptRow, ...]:
    """What is recorded of the versions that are served: the files as they stand and those that labels point at."""
    found: list[KeptRow] = []
    for name, head in prompts.heads.items():
        labels = prompts.labels(name)
        for version in sorted({head.version, *labels.values()} & prompts.versions[name].keys()):
            mine = tuple(sorted(label for label, at in labels.items() if at == version))
            kept = prompts.versions[name][version]
            found.append(KeptRow(name, version, loaded_us, prompts.git, mine, kept.source, *_committed(prompts, kept)))
    return tuple(found)


def _committed(prompts: Library, kept: Kept) -> tuple[str | None, str | None, bool | None]:
    """The commit, its author, and whether the file is what is committed; all of them None of what nobody can tell."""
    if kept.version != prompts.heads[kept.name].version or prompts.commits == NO_COMMITS:
        return None, None, None
    if kept.name in prompts.commits.uncommitted:
        return None, None, False
    commit = prompts.commits.latest.get(kept.name)
    return (commit.id, commit.author, True) if commit else (None, None, True)


def _rules(layer: Layer) -> Iterator[RuleRow]:
    for glob, line in layer.grants or ():
        yield _rule(layer, "allow", "grant", "allow", layer.mode, (glob,), line)
    for guard in layer.guards:
        mode = "shadow" if "shadow" in (layer.mode, guard.mode) else "enforce"
        yield _rule(layer, guard.id, "guard", guard.effect, mode, guard.tools, guard.line)
    for cap in layer.caps:
        mode = "shadow" if "shadow" in (layer.mode, cap.mode) else "enforce"
        yield _rule(layer, cap.id, "guard", cap.effect, mode, cap.tools, cap.line)


def _rule(layer: Layer, rule: str, kind: str, effect: str, mode: str, tools: tuple[str, ...], line: int) -> RuleRow:
    named = [glob for glob in tools if glob.strip("*")]
    pattern = "|".join(re.escape(glob).replace(r"\*", ".*").replace(r"\?", ".") for glob in named)
    return RuleRow(layer.policy, rule, kind, effect, mode, tools, pattern, not named, layer.file, line)
