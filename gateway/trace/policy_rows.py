"""Rows of policies: a version that was put in force, and its rules."""

from __future__ import annotations

from msgspec import Struct


class RuleRow(Struct, frozen=True, omit_defaults=True):
    """One grant or guard of a policy version: a row of `policy_rules`."""

    policy: str
    rule: str
    """The guard's id; `allow` for a grant."""
    kind: str
    """grant | guard"""
    effect: str
    mode: str
    tools: tuple[str, ...]
    """Patterns as written."""
    pattern: str
    """The same as one regular expression (RE2), so that SQL can match names of tools."""
    catch_all: bool
    """Whether it speaks about every tool without naming any."""
    file: str
    line: int


class PolicyRow(Struct, frozen=True, omit_defaults=True):
    """A policy version that a worker put in force."""

    hash: str
    loaded_us: int
    git: str | None = None
    files: tuple[tuple[str, str], ...] = ()
    """(path relative to the policies folder, text)."""
    rules: tuple[RuleRow, ...] = ()
