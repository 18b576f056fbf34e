"""The shape of a policy file, as people write it. Descriptions become the JSON Schema that editors show.

Only what this version enforces is here. Known words of the language that it does not enforce are refused
by the loader with a message of their own; they are never read and ignored.
The forms of single words are in `notation`, what a rule may look for in `sought`, the shape of a test in `case_shape`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, model_validator

from gateway.documents import Maybe, Section, placed
from gateway.policy.case_shape import Case
from gateway.policy.notation import Amount, ArgumentPath, Day, Glob, Name, Share, VarName, Window
from gateway.policy.sought import Detect, Validate
from gateway.verdict import Hook, OnDeny

Mode = Literal["enforce", "shadow"]


def _refuse_until(until: str | None, mode: Mode) -> None:
    """A day on what is in force would look as if it ended then; verdicts never depend on it."""
    if until is not None and mode != "shadow":
        raise placed("'until' belongs to 'mode: shadow'; nothing that is enforced ends by itself", "until")


Default = Literal["deny", "ask", "allow"]
GuardEffect = Literal["deny", "ask", "redact", "repair", "warn"]
Per = Literal["session", "agent", "user", "key"]


_SHADOWED: Final = dict.fromkeys(("observe", "dry-run", "dry_run", "dryrun", "monitor", "audit", "log", "test"), "'shadow'")
"""What other products call it."""


class Rule(Section):
    """A guard: it can only restrict."""

    other_words: ClassVar[Mapping[str, str]] = {
        word: key
        for key, words in {
            "when": ("if", "condition", "expr"),
            "require": ("unless", "must"),
            "effect": ("action", "decision"),
            "at": ("on",),
            "tools": ("tool",),
            "detect": ("detectors", "find"),
            "validate": ("validators", "validator", "check"),
            "sample": ("sampling", "rate"),
            "rounds": ("retries", "reasks"),
            "id": ("name",),
            "message": ("reason",),
        }.items()
        for word in words
    }

    other_values: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "effect": {
            word: value
            for value, words in {
                "'deny'": ("block", "reject", "refuse", "forbid", "disallow", "stop"),
                "'ask'": ("approve", "approval", "confirm", "review", "hold", "escalate"),
                "'redact'": ("mask", "scrub", "edit", "transform"),
                "'warn'": ("log", "note", "alert", "observe", "monitor", "audit"),
                "'repair'": ("retry", "fix"),
                "the list 'allow:' beside 'rules:'": ("allow", "permit", "grant"),
            }.items()
            for word in words
        },
        "at": {
            word: value
            for value, words in {
                "'tool_call'": ("tool", "call", "action"),
                "'tool_result'": ("result", "tool_output", "tool_response"),
                "'request'": ("input", "prompt"),
                "'output'": ("response", "answer", "completion", "reply"),
            }.items()
            for word in words
        },
        "on_deny": dict.fromkeys(("retry", "repair", "reask"), "'steer'") | dict.fromkeys(("text", "message"), "'explain'"),
        "on_error": dict.fromkeys(("deny", "block"), "'hit'") | dict.fromkeys(("allow", "pass", "skip"), "'ignore'"),
        "mode": _SHADOWED,
    }

    id: Name = Field(description="Unique in the file and what it includes; named in records, denials and tests.")
    description: Maybe[str] = Field(None, description="Why the rule exists; for reviewers.")
    at: Hook = Field(
        "tool_call",
        description="What the rule judges: a proposed call, what a tool answered, what is asked of the model, or what it says.",
    )
    tools: list[Glob] = Field(
        ["*"], min_length=1, description="Tool names the rule is about; `*` any text, `?` one character."
    )
    detect: Maybe[list[Detect]] = Field(
        None, min_length=1, description="The rule hits where one of these finds something (and its condition, if it has one, holds)."
    )
    checks: Maybe[list[Validate]] = Field(
        None,
        alias="validate",
        min_length=1,
        description="The rule hits where one of these validators sees something, or cannot tell. At `output`, `tool_result`, `tool_call`.",
    )
    sample: Maybe[Share] = Field(
        None, description="With `validate` and `effect: warn`: the share of exchanges that are looked at, like `10%`."
    )
    rounds: Maybe[Annotated[int, Field(ge=1, le=3)]] = Field(
        None, description="With `effect: repair`: how often the model is asked to write its answer anew; 1 when left out."
    )
    when: Maybe[str] = Field(None, description="CEL condition: the rule hits when it is true.")
    require: Maybe[str] = Field(None, description="CEL condition: the rule hits when it is false.")
    effect: GuardEffect = Field("deny", description="What a hit asks for; the most restrictive hit decides.")
    message: Maybe[str] = Field(
        None, description="Told to the agent and to people; `{args.x}` puts a value in, cut and cleaned."
    )
    mode: Mode = Field("enforce", description="`shadow` records what the rule would have decided, nothing more.")
    four_eyes: bool = Field(
        False, description="With `effect: ask`: who approves must be another person than the user of the agent's key."
    )
    until: Maybe[Day] = Field(None, description="Last day of a rule in shadow mode; `policy check` reports it after that.")
    on_error: Literal["hit", "ignore"] = Field(
        "hit", description="What a condition that cannot be evaluated means; `ignore` lets the call pass."
    )
    on_deny: Maybe[OnDeny] = Field(None, description="What the agent gets in place of a denied call; the file's when left out.")
    stream: Maybe[Literal["buffer"]] = Field(
        None,
        description="With `at: output`: streamed answers are kept back until they are whole, for conditions that read `text` and for "
        "validators that must see a whole answer.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Rule:
        if self.when is not None and self.require is not None:
            raise ValueError("a rule has 'when' or 'require', not both; write two rules")
        if self.effect == "redact" and self.detect is None and self.checks is None:
            raise ValueError("'effect: redact' replaces what a detector finds; say what with 'detect: [card]', or deny")
        if self.rounds is not None and self.effect != "repair":
            raise ValueError("'rounds' is about answers that the model writes anew; it needs 'effect: repair'")
        if self.sample is not None and (self.checks is None or self.detect is not None or self.effect != "warn"):
            raise ValueError(
                "'sample' leaves exchanges unlooked at, so it needs 'validate' (without 'detect') and 'effect: warn'; "
                "what denies, redacts or repairs looks at every one"
            )
        _four_eyes_ask(self.four_eyes, self.effect)
        return self

    @model_validator(mode="after")
    def _fits_its_hook(self) -> Rule:
        if self.stream is not None and self.at != "output":
            raise ValueError("'stream' is about answers; it needs 'at: output'")
        if self.effect == "repair" and (self.at != "output" or self.checks is None or self.detect is not None):
            raise ValueError("'effect: repair' is about answers that a validator does not pass; it needs 'at: output' and 'validate' alone")
        if self.checks is not None and self.at == "request":
            raise ValueError("validators look at 'output', 'tool_result' and 'tool_call'; at 'request' use 'detect' or 'when'")
        if self.at == "tool_call":
            if self.effect == "redact" and self.checks is not None:
                raise ValueError("in calls only what detectors find can be replaced; use 'detect', or deny")
            return self
        if self.effect == "ask":
            raise ValueError(f"nobody can be asked at '{self.at}'; use deny, redact or warn, or ask about the call (at: tool_call)")
        if (self.detect, self.checks, self.when, self.require) == (None, None, None, None):
            raise ValueError(f"a rule at '{self.at}' needs 'detect', 'validate', 'when' or 'require'; without one it would hit everything")
        if self.at != "tool_result" and "tools" in self.model_fields_set:
            raise ValueError(f"there is no tool at '{self.at}'; remove 'tools'")
        if self.on_deny == "steer" or (self.on_deny is not None and self.at != "output"):
            raise ValueError(f"'on_deny: {self.on_deny}' is about calls; remove it from a rule at '{self.at}'")
        return self

    @model_validator(mode="after")
    def _until_of_shadow(self) -> Rule:
        _refuse_until(self.until, self.mode)
        return self


def _four_eyes_ask(four_eyes: bool, effect: str) -> None:
    if four_eyes and effect != "ask":
        raise ValueError("'four_eyes' is about who approves; it needs 'effect: ask'")


class Limit(Section):
    """A guard that counts: how many calls, or how much of an argument, in a time."""

    id: Name = Field(
        description="Unique among the rules and limits of the file and what it includes; named like a rule's."
    )
    description: Maybe[str] = Field(None, description="Why the limit exists; for reviewers.")
    tools: list[Glob] = Field(["*"], min_length=1, description="Tools whose calls count, together.")
    sum: Maybe[ArgumentPath] = Field(
        None, description="The argument whose values are added up; calls are counted without it."
    )
    per: Per = Field(
        description="Whose calls count together, as the key proves it; the client itself names its session."
    )
    window: Window = Field(
        "session", description="`24h`: what was taken so long ago counts no more. `session`: it counts to its end."
    )
    max: Amount = Field(description="How many calls, or which sum, may pass.")
    effect: Literal["deny", "ask"] = Field("deny", description="What is asked for when a call does not fit any more.")
    message: Maybe[str] = Field(
        None, description="Told to the agent and to people; `{args.x}` puts a value in, cut and cleaned."
    )
    mode: Mode = Field("enforce", description="`shadow` counts apart and records what the limit would have decided.")
    four_eyes: bool = Field(
        False, description="With `effect: ask`: who approves must be another person than the user of the agent's key."
    )
    on_deny: Maybe[OnDeny] = Field(None, description="What the agent gets in place of a denied call; the file's when left out.")
    until: Maybe[Day] = Field(None, description="Last day of a limit in shadow mode; `policy check` reports it after that.")

    @model_validator(mode="after")
    def _until_of_shadow(self) -> Limit:
        _refuse_until(self.until, self.mode)
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Limit:
        _four_eyes_ask(self.four_eyes, self.effect)
        return self


class ToolNotes(Section):
    """What the policy says of a tool."""

    labels: list[Name] = Field(min_length=1, description="Words for conditions: `read_from('untrusted')` asks for one.")


class Denials(Section):
    """What several denials come to."""

    end_session_after: int = Field(
        ge=1, le=1_000_000, description="So many denials stop a session: its requests are refused until an operator resumes it."
    )


class PolicyFile(Section):
    """A policy: who it is for, what it grants, what it guards against."""

    other_words: ClassVar[Mapping[str, str]] = {
        word: key
        for key, words in {
            "allow": ("grant", "grants", "permit"),
            "rules": ("deny", "block", "guards"),
            "include": ("imports", "extends"),
            "id": ("name",),
            "policy": ("version",),
            "vars": ("variables",),
            "agents": ("agent",),
        }.items()
        for word in words
    }

    other_values: ClassVar[Mapping[str, Mapping[str, str]]] = {"mode": _SHADOWED}

    policy: Literal[1] = Field(description="Version of the policy language.")
    id: Name = Field(description="Unique among all policies; written on every record.")
    description: Maybe[str] = Field(None, description="What the policy is for.")
    owner: Maybe[str] = Field(None, description="Who answers for it.")
    agents: Maybe[list[Glob]] = Field(
        None,
        min_length=1,
        description="Agents it applies to. Left out: a library, which applies where included.",
    )
    mode: Mode = Field("enforce", description="`shadow` records verdicts and withholds nothing.")
    until: Maybe[Day] = Field(None, description="Last day of a file in shadow mode; `policy check` reports it after that.")
    default: Maybe[Default] = Field(None, description="For calls that no grant covers; `deny` when left out.")
    include: list[str] = Field(default_factory=list, description="Files whose grants and guards apply as well.")
    vars: dict[VarName, Any] = Field(
        default_factory=dict,
        description="Values for conditions: text, numbers, lists, or `{file: names.txt}`.",
    )
    tools: dict[Glob, ToolNotes] = Field(
        default_factory=dict, description="Labels of tools, by patterns of their names."
    )
    allow: Maybe[list[Glob]] = Field(None, description="Tools granted; every policy that grants must grant a call.")
    on_deny: Maybe[OnDeny] = Field(
        None,
        description="What the agent gets in place of a denied call: `steer` another answer of the model, which is told of the denial, "
        "`explain` a text, `error` an error instead of the answer, `stop` a text and the end of the session. When left out `steer`; "
        "`explain` for limits and for what people denied.",
    )
    denials: Maybe[Denials] = Field(None, description="What several denials come to.")
    verify_history: bool = Field(
        False,
        description="Whether earlier calls and results that a request tells of must be ones that this gateway delivered to the caller.",
    )
    hide_denied: bool = Field(False, description="Whether tools that no policy grants are left out of requests.")
    rules: list[Rule] = Field(default_factory=list)
    limits: list[Limit] = Field(default_factory=list, description="How many calls, or which sums, may pass.")
    tests: list[Case] = Field(default_factory=list)

    @model_validator(mode="after")
    def _until_of_shadow(self) -> PolicyFile:
        _refuse_until(self.until, self.mode)
        return self
