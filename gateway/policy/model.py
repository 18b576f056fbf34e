"""The shape of a policy file, as people write it. Descriptions become the JSON Schema that editors show.

Only what this version enforces is here. Known words of the language that it does not enforce are refused
by the loader with a message of their own; they are never read and ignored.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, Discriminator, Field, StringConstraints, Tag, WithJsonSchema, model_validator

from gateway.documents import Section, nearest
from gateway.exchange import Hook, Json, OnDeny
from gateway.policy.amounts import LARGEST, exact
from gateway.validators import VALIDATORS
from gateway.validators.detectors import DETECTORS, NUMBERS
from gateway.validators.installed import named


def _form(pattern: str, said: str) -> tuple[AfterValidator, WithJsonSchema]:
    """Text of one form, refused in words; editors get the pattern."""

    def checked(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(said)
        return text

    return AfterValidator(checked), WithJsonSchema({"type": "string", "pattern": f"^{pattern}$"})


Name = Annotated[
    str,
    *_form(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "must be a name: up to 64 letters, digits, '.', '_' or '-'"),
]
Glob = Annotated[
    str,
    *_form(
        r"[A-Za-z0-9_.:/@+*?-]{1,128}",
        "must be a pattern: letters, digits and _ . : / @ + -, with the wildcards * and ? only",
    ),
]
VarName = Annotated[
    str,
    *_form(r"[A-Za-z_][A-Za-z0-9_]{0,63}", "must be a name that conditions can write: letters, digits and '_'"),
]


def _real_day(text: str) -> str:
    """One notation only: days are compared as text."""
    try:
        real = dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        real = False
    if not real:
        raise ValueError("must be a day such as 2026-12-31")
    return text


Day = Annotated[str, AfterValidator(_real_day), WithJsonSchema({"type": "string", "format": "date"})]
ArgumentPath = Annotated[
    str, *_form(r"args(\.[A-Za-z_][A-Za-z0-9_]{0,63}){1,8}", "must name an argument, like args.amount")
]


def _countable(number: float) -> float:
    if not 0 <= number <= LARGEST or not exact(number):
        raise ValueError(f"must be between 0 and {LARGEST}, with at most six decimals")
    return number


Amount = Annotated[
    float, AfterValidator(_countable), WithJsonSchema({"type": "number", "minimum": 0, "maximum": LARGEST})
]
Window = Annotated[
    str, *_form(r"session|[1-9][0-9]{0,2}[smhd]", "must be 'session' or a time like 30m, 24h or 7d, at most 999d")
]
CallOf = Annotated[dict[str, dict[str, Json] | None], Field(min_length=1, max_length=1)]

ResultOf = Annotated[dict[str, Json], Field(min_length=1, max_length=1)]

Mode = Literal["enforce", "shadow"]


def _refuse_until(until: str | None, mode: Mode) -> None:
    """A day on what is in force would look as if it ended then; verdicts never depend on it."""
    if until is not None and mode != "shadow":
        raise ValueError("'until' belongs to 'mode: shadow'; nothing that is enforced ends by itself")


Default = Literal["deny", "ask", "allow"]
GuardEffect = Literal["deny", "ask", "redact", "repair", "warn"]
Per = Literal["session", "agent", "user", "key"]


Host = Annotated[
    str, *_form(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,98}[A-Za-z0-9])?", "must be the name of a host, like example.com or *.example.com")
]


_ALL_DETECTORS: Final = f"; there are {', '.join(sorted(DETECTORS))} urls and national_id"


_MORE_THAN_A_NAME: Final = {
    "urls": "needs the hosts that may stay: {urls: {allow: [example.com]}}",
    "national_id": "needs the countries whose numbers are meant: {national_id: {countries: [de, fr]}}",
}


def _detector(name: str) -> str:
    if name not in DETECTORS:
        if name in _MORE_THAN_A_NAME:
            raise ValueError(_MORE_THAN_A_NAME[name])
        raise ValueError(f"names no detector: '{name}'{nearest(name, DETECTORS) or _ALL_DETECTORS}")
    return name


Share = Annotated[
    str,
    *_form(r"(100|[1-9]?[0-9](\.[0-9]{1,4})?)%", "must be a share of the exchanges, like 10% or 0.5%"),
]


class Urls(Section):
    """Addresses of other hosts."""

    allow: list[Host] = Field(description="Hosts whose addresses are no finding; `*.example.com` is any host below.")


class DetectUrls(Section):
    """A detector that needs more than its name."""

    urls: Urls = Field(description="Addresses that lead to other hosts than these.")


def _country(code: str) -> str:
    if code not in NUMBERS:
        raise ValueError(f"names no country whose numbers are known: '{code}'; there are {', '.join(NUMBERS)}")
    return code


Country = Annotated[str, AfterValidator(_country), WithJsonSchema({"type": "string", "enum": sorted(NUMBERS)})]


class NationalId(Section):
    """Numbers that states give to people."""

    countries: list[Country] = Field(min_length=1, description="Whose numbers are looked for: two small letters each (ISO 3166).")


class DetectNationalId(Section):
    """A detector that needs more than its name."""

    national_id: NationalId = Field(description="Numbers that these countries give to people, with right check digits.")


def _kind_of_detector(said: object) -> str:
    if not isinstance(said, dict):
        return "name"
    return "national_id" if "national_id" in said else "urls"


DetectorName = Annotated[str, AfterValidator(_detector), WithJsonSchema({"type": "string", "enum": sorted(DETECTORS)})]
Detect = Annotated[
    Annotated[DetectorName, Tag("name")] | Annotated[DetectUrls, Tag("urls")] | Annotated[DetectNationalId, Tag("national_id")],
    Discriminator(_kind_of_detector),
]


ARGUMENT: Final = "argument"
"""Of a validator at `tool_call`: the argument that it looks at. Said among its options and no option of its own."""


def _validator(name: str) -> str:
    named(name)
    return name


class _Options:
    """The options of each validator, as editors show them. What a file says of them is checked when it is read, with its place."""

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        options = {name: _inlined(one.options.model_json_schema()) for name, one in sorted(VALIDATORS.items())}
        for one in options.values():
            one.setdefault("properties", {}).setdefault(ARGUMENT, _ARGUMENT_SCHEMA)
        return {"type": "object", "properties": options, "additionalProperties": False, "minProperties": 1, "maxProperties": 1}


_ARGUMENT_SCHEMA: Final = {
    "type": "string",
    "pattern": r"^[^.]+(\.[^.]+)*$",
    "description": "With `at: tool_call`: the argument to look at, like query or body.text.",
}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Without `$defs`, whose names would clash."""
    known = schema.pop("$defs", {})

    def part(value: Any) -> Any:
        if isinstance(value, list):
            return [part(one) for one in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return part(known[value["$ref"].rsplit("/", 1)[-1]])
        return {key: part(one) for key, one in value.items()}

    inlined: dict[str, Any] = part(schema)
    return inlined


ValidatorName = Annotated[str, AfterValidator(_validator), WithJsonSchema({"type": "string", "enum": sorted(VALIDATORS)})]
ValidatorWith = Annotated[dict[ValidatorName, dict[str, Json] | None], Field(min_length=1, max_length=1), _Options()]
Validate = Annotated[
    Annotated[ValidatorName, Tag("name")] | Annotated[ValidatorWith, Tag("options")],
    Discriminator(lambda said: "options" if isinstance(said, dict) else "name"),
]


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

    id: Name = Field(description="Unique in the file and what it includes; named in records, denials and tests.")
    description: str | None = Field(None, description="Why the rule exists; for reviewers.")
    at: Hook = Field(
        "tool_call",
        description="What the rule judges: a proposed call, what a tool answered, what is asked of the model, or what it says.",
    )
    tools: list[Glob] = Field(
        ["*"], min_length=1, description="Tool names the rule is about; `*` any text, `?` one character."
    )
    detect: list[Detect] | None = Field(
        None, min_length=1, description="The rule hits where one of these finds something (and its condition, if it has one, holds)."
    )
    checks: list[Validate] | None = Field(
        None,
        alias="validate",
        min_length=1,
        description="The rule hits where one of these validators sees something, or cannot tell. At `output`, `tool_result`, `tool_call`.",
    )
    sample: Share | None = Field(
        None, description="With `validate` and `effect: warn`: the share of exchanges that are looked at, like `10%`."
    )
    rounds: Annotated[int, Field(ge=1, le=3)] | None = Field(
        None, description="With `effect: repair`: how often the model is asked to write its answer anew; 1 when left out."
    )
    when: str | None = Field(None, description="CEL condition: the rule hits when it is true.")
    require: str | None = Field(None, description="CEL condition: the rule hits when it is false.")
    effect: GuardEffect = Field("deny", description="What a hit asks for; the most restrictive hit decides.")
    message: str | None = Field(
        None, description="Told to the agent and to people; `{args.x}` puts a value in, cut and cleaned."
    )
    mode: Mode = Field("enforce", description="`shadow` records what the rule would have decided, nothing more.")
    four_eyes: bool = Field(
        False, description="With `effect: ask`: who approves must be another person than the user of the agent's key."
    )
    until: Day | None = Field(None, description="Last day of a rule in shadow mode; `policy check` reports it after that.")
    on_error: Literal["hit", "ignore"] = Field(
        "hit", description="What a condition that cannot be evaluated means; `ignore` lets the call pass."
    )
    on_deny: OnDeny | None = Field(None, description="What the agent gets in place of a denied call; the file's when left out.")
    stream: Literal["buffer"] | None = Field(
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
    description: str | None = Field(None, description="Why the limit exists; for reviewers.")
    tools: list[Glob] = Field(["*"], min_length=1, description="Tools whose calls count, together.")
    sum: ArgumentPath | None = Field(
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
    message: str | None = Field(
        None, description="Told to the agent and to people; `{args.x}` puts a value in, cut and cleaned."
    )
    mode: Mode = Field("enforce", description="`shadow` counts apart and records what the limit would have decided.")
    four_eyes: bool = Field(
        False, description="With `effect: ask`: who approves must be another person than the user of the agent's key."
    )
    on_deny: OnDeny | None = Field(None, description="What the agent gets in place of a denied call; the file's when left out.")
    until: Day | None = Field(None, description="Last day of a limit in shadow mode; `policy check` reports it after that.")

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


class EarlierCall(Section):
    """A call earlier in the session of a test."""

    call: CallOf = Field(description="`{tool: {argument: value}}`.")
    result: Json = Field(None, description="What the tool answered.")
    forged: bool = Field(False, description="The client made it up: it was never delivered.")


class CallerOfTest(Section):
    """Who asks, in a test."""

    user: str | None = None
    team: str | None = None
    key: str | None = None
    client: str = ""
    labels: dict[str, str] = Field(default_factory=dict)


class Expectation(Section):
    """What a test expects."""

    effect: Literal["allow", "warn", "redact", "repair", "ask", "deny"]
    rule: str | None = Field(
        None,
        description="A rule that must have hit; `default`: nothing granted the call, `allow`: granted.",
    )
    text: str | None = Field(None, description="The text as it is passed on.")
    args: dict[str, Json] | None = Field(None, description="The arguments of the call as they are delivered.")


class Before(Section):
    """What was known before a call."""

    user: str = Field("", description="What the user said.")
    history: list[EarlierCall] = Field(default_factory=list, description="Calls made before in the session.")
    model: str = Field("test-model", description="The model that proposes the call.")
    caller: CallerOfTest = CallerOfTest()
    session: dict[str, Json] = Field(default_factory=dict, description="Values of `session` to override.")
    spent: dict[Name, Amount] = Field(
        default_factory=dict, description="What limits have counted before the call, by their ids."
    )
    now: Annotated[str, *_form(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "must be a time such as 2026-01-01T12:00:00Z")] = Field(
        "2026-01-01T12:00:00Z", description="The time, in UTC."
    )


class AskedFor(Section):
    """A request to a provider, in a test: what is said, and what conditions see as `request`."""

    text: str = Field("", description="What the user says.")
    tools: list[str] = Field(default_factory=list, description="Names of the tools it offers.")
    messages: int = 1
    characters: int = 0
    media: list[str] = Field(default_factory=list, description="Kinds: `image`, `audio`, `video`, `file`.")
    stream: bool = False
    max_tokens: int = 0


class Ending(Section):
    """How an answer ended, in a test: what validators know beside its words."""

    finish: str = Field("stop", description="Why it ended, in the provider's word.")
    calls: int = Field(0, ge=0, description="Calls that it proposes.")
    asked_schema: dict[str, Json] | None = Field(None, description="The JSON Schema that the request asked the answer to have.")


class Case(Before):
    """One test of the file: a call or a text, and the verdict it must get."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    call: CallOf | None = Field(None, description="The call to judge: `{tool: {argument: value}}`.")
    output: str | None = Field(None, description="What the model says, for rules at `output`.")
    ending: Ending = Field(Ending.model_validate({}), description="Beside `output`: how the answer ended, for validators.")
    request: AskedFor | None = Field(None, description="What is asked of the provider, for rules at `request`: `{text: …}`.")
    result: ResultOf | None = Field(None, description="What a tool answered, for rules at `tool_result`: `{tool: result}`.")
    agent: str | None = Field(None, description="The agent; one that the file applies to when left out.")
    expect: Expectation

    @model_validator(mode="after")
    def _about_one_thing(self) -> Case:
        given = [key for key in ("call", "output", "request", "result") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"a test has one of 'call', 'output', 'request' and 'result', not {' and '.join(given) or 'none'}")
        if self.output is None and "ending" in self.model_fields_set:
            raise ValueError("'ending' is about answers; it needs 'output'")
        if self.expect.text is not None and self.call is not None:
            raise ValueError("'expect.text' is about texts; of a call, say 'expect.args'")
        if self.expect.args is not None and self.call is None:
            raise ValueError("'expect.args' is about calls; of a text, say 'expect.text'")
        return self


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

    policy: Literal[1] = Field(description="Version of the policy language.")
    id: Name = Field(description="Unique among all policies; written on every record.")
    description: str | None = Field(None, description="What the policy is for.")
    owner: str | None = Field(None, description="Who answers for it.")
    agents: list[Glob] | None = Field(
        None,
        min_length=1,
        description="Agents it applies to. Left out: a library, which applies where included.",
    )
    mode: Mode = Field("enforce", description="`shadow` records verdicts and withholds nothing.")
    until: Day | None = Field(None, description="Last day of a file in shadow mode; `policy check` reports it after that.")
    default: Default | None = Field(None, description="For calls that no grant covers; `deny` when left out.")
    include: list[str] = Field(default_factory=list, description="Files whose grants and guards apply as well.")
    vars: dict[VarName, Any] = Field(
        default_factory=dict,
        description="Values for conditions: text, numbers, lists, or `{file: names.txt}`.",
    )
    tools: dict[Glob, ToolNotes] = Field(
        default_factory=dict, description="Labels of tools, by patterns of their names."
    )
    allow: list[Glob] | None = Field(None, description="Tools granted; every policy that grants must grant a call.")
    on_deny: OnDeny | None = Field(
        None,
        description="What the agent gets in place of a denied call: `steer` another answer of the model, which is told of the denial, "
        "`explain` a text, `error` an error instead of the answer, `stop` a text and the end of the session. When left out `steer`; "
        "`explain` for limits and for what people denied.",
    )
    denials: Denials | None = Field(None, description="What several denials come to.")
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
