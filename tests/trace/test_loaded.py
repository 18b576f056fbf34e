"""From what a worker puts in force to its rows."""

from __future__ import annotations

import dataclasses

import pytest
from msgspec import structs

from gateway.policy import load
from gateway.prompt.kept import read as read_prompt
from gateway.prompt.library import Commit, Commits, Library, Move
from gateway.trace.loaded import kept_rows, policy_row


def test_a_policy_version_is_recorded_with_its_rules():
    text = b"""
policy: 1
id: bank
agents: ["*"]
include: [lib.yaml]
allow: ["get_*", "*"]
rules:
- {id: big, tools: [pay, send_?], when: args.amount > 1.0, effect: ask}
"""
    library = b"policy: 1\nid: lib\nmode: shadow\nrules:\n- {id: all, tools: ['*'], when: session.calls > 9}\n"
    row = policy_row(load({"bank.yaml": text, "lib.yaml": library}), 7)
    rules = [(r.policy, r.rule, r.kind, r.effect, r.mode, r.tools, r.pattern, r.catch_all, r.file) for r in row.rules]
    assert rules == [
        ("bank", "allow", "grant", "allow", "enforce", ("get_*",), "get_.*", False, "bank.yaml"),
        ("bank", "allow", "grant", "allow", "enforce", ("*",), "", True, "bank.yaml"),
        ("bank", "big", "guard", "ask", "enforce", ("pay", "send_?"), "pay|send_.", False, "bank.yaml"),
        ("lib", "all", "guard", "deny", "shadow", ("*",), "", True, "lib.yaml"),
    ]
    assert (row.loaded_us, len(row.files)) == (7, 2)
    assert policy_row(load({}), 1).rules == ()


def test_limits_of_a_policy_version_are_rules_too():
    text = (
        b"policy: 1\nid: p\nagents: [a]\nallow: [pay]\nlimits:\n- {id: few, tools: [pay], per: session, max: 2, effect: ask}\n"
        b"- {id: spend, tools: [pay], sum: args.amount, per: user, window: 24h, max: 9, mode: shadow}\n"
    )
    rows = policy_row(load({"p.yaml": text}), 7).rules
    assert [(row.rule, row.effect, row.mode, row.line) for row in rows] == [
        ("allow", "allow", "enforce", 4),
        ("few", "ask", "enforce", 6),
        ("spend", "deny", "shadow", 7),
    ]


def kept_prompts() -> Library:
    old, new = (read_prompt("support", f"---\nlabels: {{}}\n---\n{text}".encode()) for text in ("Old.", "New."))
    moves = {"support": {"production": Move(old.version), "canary": Move("f" * 64)}}
    return Library({"support": new}, {"support": {old.version: old, new.version: new}}, moves, "abc")


def test_of_kept_prompts_the_files_and_what_labels_point_at_are_recorded():
    rows = {row.source.split("\n")[-1]: (row.name, row.loaded_us, row.git, row.labels) for row in kept_rows(kept_prompts(), 7)}
    assert rows == {"Old.": ("support", 7, "abc", ("production",)), "New.": ("support", 7, "abc", ())}


@pytest.mark.parametrize(
    ("commits", "said"),
    [
        (Commits({"support": Commit("c0ffee", "ann", 7)}), ("c0ffee", "ann", True)),
        (Commits({"support": Commit("c0ffee", "ann", 7)}, frozenset({"support"})), (None, None, False)),
        (Commits({"other": Commit("c0ffee", "ann", 7)}), (None, None, True)),
        (Commits(), (None, None, None)),
    ],
)
def test_of_the_file_as_it_stands_the_commit_and_its_author_are_recorded(commits, said):
    prompts = dataclasses.replace(kept_prompts(), commits=commits)
    rows = {row.source.split("\n")[-1]: structs.astuple(row)[-3:] for row in kept_rows(prompts, 7)}
    assert rows == {"Old.": (None, None, None), "New.": said}
