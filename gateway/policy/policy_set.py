"""The policies in force, compiled: one frozen value that every judgement is made against.

Words: a *policy* is a file that names agents; its *layers* are the file itself and everything it includes.
A layer may grant (`allow:`) and guards. Which layers speak about an agent, and which guards about a tool,
is worked out once per (agent, tool) and kept in a bounded cache, because names come from strangers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from gateway.policy.case_shape import Case
from gateway.policy.expressions import MOST_IN_BATCH, Batch, Condition, Size
from gateway.policy.globs import matches
from gateway.policy.limits import Cap, Entry
from gateway.policy.looked import Memory
from gateway.policy.model import Default, GuardEffect, Mode
from gateway.validators.detectors import Detector
from gateway.validators.use import Use
from gateway.verdict import Effect, Hook, OnDeny, RuleHit

_CACHED: Final = 4096
"""Entries of a cache before it is emptied."""
_BATCHED: Final = 256
"""The same for compiled batches, each a hundred kilobytes or so."""

PROVIDERS: Final = ("openai.", "anthropic.", "google.")
"""Names that begin so stand for tools that the provider itself runs (`openai.web_search`). Once it runs one nothing can be held back, so
neither `*` nor `default: allow` grants them: a grant must name the provider."""

RANK: Final[Mapping[Effect, int]] = {
    "allow": 0,
    "warn": 1,
    "redact": 2,
    "ask": 3,
    "repair": 4,
    "deny": 5,
    "unevaluated": 6,
}


@dataclass(frozen=True, slots=True)
class Guard:
    """A rule, compiled."""

    id: str
    line: int
    tools: tuple[str, ...]
    condition: Condition | None
    """None always holds."""
    hits_when: bool
    """The truth value of the condition that is a hit: True for `when`, False for `require`."""
    effect: GuardEffect
    mode: Mode
    ignore_errors: bool
    message: str | None
    on_deny: OnDeny | None = None
    four_eyes: bool = False
    at: Hook = "tool_call"
    detectors: tuple[Detector, ...] = ()
    """One of them must find something, beside the condition."""
    buffers: bool = False
    """Streamed answers are kept back until they are whole."""
    uses: tuple[Use, ...] = ()
    """Validators: one of them must see something, or a detector find something."""
    afterwards: Use | None = None
    """The one validator of a rule that is asked when the answer has left: the rule says nothing before."""
    sample: float | None = None
    """The share of exchanges in which it is asked."""
    rounds: int = 0
    """How often the model is asked to write its answer anew."""

    @property
    def looks(self) -> bool:
        """Whether it hits only what it sees in a text."""
        return bool(self.detectors or self.uses)

    def concerns(self, tool: str) -> bool:
        return any(matches(glob, tool) for glob in self.tools)


@dataclass(frozen=True, slots=True)
class Layer:
    """What one file says."""

    policy: str
    """The file's id."""
    file: str
    mode: Mode
    default: Default | None
    default_line: int
    grants: tuple[tuple[str, int], ...] | None
    """(glob, line); None when the file does not grant at all, so that it cannot refuse by not granting."""
    guards: tuple[Guard, ...]
    caps: tuple[Cap, ...]
    vars: Mapping[str, Any]
    size: Size
    """How large its vars are."""
    on_deny: OnDeny | None = None
    end_session_after: int | None = None
    verify_history: bool = False
    hide_denied: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    """(label, pattern of the tools that have it)."""
    tests: tuple[Case, ...] = ()

    def granted_by(self, tool: str) -> int | None:
        """Line of the grant that covers the tool. A tool that a provider runs is covered only by a glob that names the provider."""
        prefix = provider_prefix(tool)
        return next((line for glob, line in self.grants or () if glob.startswith(prefix) and matches(glob, tool)), None)


@dataclass(frozen=True, slots=True)
class Policy:
    """A file that names agents, with everything it includes; a library when `agents` is None."""

    id: str
    file: str
    agents: tuple[str, ...] | None
    mode: Mode
    default: Default
    layers: tuple[Layer, ...]
    """Its own first."""

    def covers(self, agent: str) -> bool:
        return any(matches(glob, agent) for glob in self.agents or ())


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked about one tool of one agent."""

    hits: tuple[RuleHit, ...]
    """Grants and refusals: the same for every call of the tool."""
    guards: tuple[tuple[Layer, Guard, Mode], ...]
    enforces: bool
    on_deny: Mapping[tuple[str, str], OnDeny] = field(default_factory=dict)
    """What a denial by (policy, rule) does."""
    caps: tuple[tuple[Layer, Entry], ...] = ()
    """Each once per mode, however many policies include its file: a call counts once."""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Label → patterns of tools, from every file that applies to the agent: a label set by one is seen by the rules of all."""
    together: tuple[tuple[Layer, tuple[Condition, ...]], ...] = ()
    """Conditions of guards that are worth asking in one evaluation: those of one file, an error of which is rare."""


class Watch(NamedTuple):
    """A guard that looks at texts."""

    layer: Layer
    guard: Guard
    mode: Literal["enforce", "shadow"]


@dataclass(frozen=True, slots=True)
class Watches:
    """What is asked about the texts of one agent at one hook."""

    guards: tuple[Watch, ...] = ()
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """As in a `Plan`."""
    on_deny: Mapping[tuple[str, str], OnDeny] = field(default_factory=dict)
    """As in a `Plan`."""
    memory: Memory = field(default_factory=Memory)


@dataclass(frozen=True, eq=False)
class PolicySet:
    """All policies of a folder. Compared by identity; `hash` says whether two are the same."""

    policies: tuple[Policy, ...] = ()
    libraries: tuple[Policy, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    """(path, text) of every file the verdicts depend on, sorted."""
    hash: str = ""
    """SHA-256 of `files`."""
    git: str | None = None
    """`<commit>` or `<commit>-dirty`."""
    _agents: dict[str, tuple[Policy, ...]] = field(default_factory=dict, repr=False)
    _plans: dict[tuple[str, str], Plan] = field(default_factory=dict, repr=False)
    _watches: dict[tuple[str, Hook], Watches] = field(default_factory=dict, repr=False)
    _afterwards: dict[str, Watches] = field(default_factory=dict, repr=False)
    _reacting: dict[str, bool] = field(default_factory=dict, repr=False)
    _recalling: dict[str, bool] = field(default_factory=dict, repr=False)
    _batches: dict[tuple[Condition, ...], Batch] = field(default_factory=dict, repr=False)

    @property
    def observing(self) -> bool:
        """No policy at all: nothing is judged, everything is recorded."""
        return not self.policies

    def covers(self, agent: str) -> bool:
        return bool(self.applying(agent))

    def enforces(self, agent: str) -> bool:
        """Whether a verdict about this agent can withhold a call."""
        if self.observing:
            return False
        applying = self.applying(agent)
        return not applying or any(p.mode == "enforce" for p in applying)

    def reacts(self, agent: str) -> bool:
        """Whether a denial of this agent's call may bring another answer than an explanation: then nothing leaves before it must."""
        found = self._reacting.get(agent)
        if found is None:
            found = any(word in ("steer", "error") for word in _on_deny(self.applying(agent)).values())
            _keep(self._reacting, agent, found)
        return found

    def ends_session_after(self, agent: str) -> int | None:
        """How many denials end a session of this agent; the fewest that a policy in force names."""
        enforced = (policy for policy in self.applying(agent) if policy.mode == "enforce")
        named = (layer.end_session_after for policy in enforced for layer in policy.layers)
        return min((most for most in named if most is not None), default=None)

    def verifies(self, agent: str) -> bool:
        """Whether the conversations that this agent sends must be ones that happened."""
        enforced = (policy for policy in self.applying(agent) if policy.mode == "enforce")
        return any(layer.verify_history for policy in enforced for layer in policy.layers)

    def recalls(self, agent: str) -> bool:
        """Whether a condition about this agent's calls asks what tools said: then it matters which calls were delivered."""
        found = self._recalling.get(agent)
        if found is None:
            layers = (layer for policy in self.applying(agent) for layer in policy.layers)
            found = any(guard.condition is not None and guard.condition.recalls for layer in layers for guard in layer.guards)
            _keep(self._recalling, agent, found)
        return found

    def hides(self, agent: str, tool: str) -> bool:
        """Whether this agent's model need not see the tool: no call of it could ever be granted."""
        enforced = (policy for policy in self.applying(agent) if policy.mode == "enforce")
        if not any(layer.hide_denied for policy in enforced for layer in policy.layers):
            return False
        return any(hit.effect == "deny" and hit.mode == "enforce" for hit in self.plan(agent, tool).hits)

    def applying(self, agent: str) -> tuple[Policy, ...]:
        found = self._agents.get(agent)
        if found is None:
            found = tuple(p for p in self.policies if p.covers(agent))
            _keep(self._agents, agent, found)
        return found

    def plan(self, agent: str, tool: str) -> Plan:
        found = self._plans.get((agent, tool))
        if found is None:
            found = plan(self.applying(agent), tool)
            _keep(self._plans, (agent, tool), found)
        return found

    def watches(self, agent: str, hook: Hook) -> Watches:
        found = self._watches.get((agent, hook))
        if found is None:
            found = watches(self.applying(agent), hook)
            _keep(self._watches, (agent, hook), found)
        return found

    def afterwards(self, agent: str) -> Watches:
        """What is asked about this agent's answers when they have left."""
        found = self._afterwards.get(agent)
        if found is None:
            found = watches(self.applying(agent), "output", afterwards=True)
            _keep(self._afterwards, agent, found)
        return found

    def batch(self, conditions: tuple[Condition, ...]) -> Batch:
        """Many tools share one: it is made of a policy's guards, not of names."""
        found = self._batches.get(conditions)
        if found is None:
            found = Batch(conditions)
            _keep(self._batches, conditions, found, _BATCHED)
        return found


def watches(policies: tuple[Policy, ...], hook: Hook, *, afterwards: bool = False) -> Watches:
    """Guards of a hook other than `tool_call`, each once per mode. `afterwards`: those that look when the answer has left."""
    voices = _voices(policies)
    found = {
        (layer.file, guard.id, mode): Watch(layer, guard, mode)
        for layer, outer, _ in voices
        for guard in layer.guards
        if guard.at == hook and (guard.afterwards is not None) is afterwards
        for mode in [_joint_mode(outer, guard.mode)]
    }
    return Watches(tuple(found.values()), _labels(layer for layer, *_ in voices), _on_deny(policies))


def provider_prefix(tool: str) -> str:
    """`openai.` for `openai.web_search`; empty for tools that the client runs."""
    return next((prefix for prefix in PROVIDERS if tool.startswith(prefix)), "")


def set_hash(files: tuple[tuple[str, str], ...]) -> str:
    """Framed by digests, so no two file sets share one."""
    whole = hashlib.sha256()
    for path, text in files:
        whole.update(hashlib.sha256(path.encode()).digest() + hashlib.sha256(text.encode()).digest())
    return whole.hexdigest()


EMPTY: Final = PolicySet(hash=set_hash(()))
"""No policies: the gateway observes."""


def _keep(cache: dict[Any, Any], key: object, value: object, most: int = _CACHED) -> None:
    if len(cache) >= most:
        cache.clear()
    cache[key] = value


# -- grants: the rules of layering ------------------------------------------------------------------------
#
# 1. Every layer that grants must grant the call; where one does not, its default speaks (or its policy's).
# 2. When no layer grants at all, the defaults of the policies speak: deny, unless a file says otherwise.
# 3. Shadow layers are heard apart: they never stand in for a grant, and never take one away.


def plan(policies: tuple[Policy, ...], tool: str) -> Plan:
    voices = _voices(policies)
    hits = [_grant(layer, mode, default, tool) for layer, mode, default in voices if layer.grants is not None]
    enforcing = [p for p in policies if p.mode == "enforce"]
    if enforcing and not any(hit.mode == "enforce" for hit in hits):
        hits += [_refusal(p.layers[0], "enforce", p.default, tool) for p in enforcing]
    elif not enforcing and not hits:
        hits += [_refusal(p.layers[0], "shadow", p.default, tool) for p in policies]
    guards = tuple(
        (layer, guard, _joint_mode(mode, guard.mode))
        for layer, mode, _ in voices
        for guard in layer.guards
        if guard.at == "tool_call" and guard.concerns(tool)
    )
    labels = _labels(layer for layer, *_ in voices)
    return Plan(tuple(hits), guards, bool(enforcing), _on_deny(policies), _caps(voices, tool), labels, _together(guards))


def _together(guards: Iterable[tuple[Layer, Guard, Mode]]) -> tuple[tuple[Layer, tuple[Condition, ...]], ...]:
    layers: dict[str, Layer] = {}
    conditions: dict[str, dict[Condition, None]] = {}
    for layer, guard, _ in guards:
        if guard.condition is not None and not guard.ignore_errors:
            layers[layer.file] = layer
            conditions.setdefault(layer.file, {})[guard.condition] = None
    cut = [(layers[file], some) for file, found in conditions.items() for some in _cut(tuple(found))]
    return tuple((layer, some) for layer, some in cut if len(some) > 1)


def _cut(conditions: tuple[Condition, ...]) -> list[tuple[Condition, ...]]:
    return [conditions[at : at + MOST_IN_BATCH] for at in range(0, len(conditions), MOST_IN_BATCH)]


_STRICTNESS: Final[Sequence[OnDeny]] = ("steer", "explain", "error", "stop")
"""Of the words that policies which include the same file have for it, the later one counts."""


def _on_deny(policies: Iterable[Policy]) -> dict[tuple[str, str], OnDeny]:
    """A rule's own word, else that of its file, else that of the policy that includes the file. Nobody's word: the model is asked again.
    What a limit stops is explained, for asking again spends more; so is what a person denied, for the agent's user is to read who did."""
    said: dict[tuple[str, str], OnDeny] = {}
    unsaid: dict[tuple[str, str], OnDeny] = {}
    for policy in policies:
        for layer in policy.layers:
            for rule, own, otherwise in _denying(layer):
                if word := own or layer.on_deny or policy.layers[0].on_deny:
                    place = (layer.policy, rule)
                    said[place] = max(word, said.get(place, word), key=_STRICTNESS.index)
                else:
                    unsaid[layer.policy, rule] = otherwise
    return unsaid | said


def _denying(layer: Layer) -> Iterator[tuple[str, OnDeny | None, OnDeny]]:
    """(rule, its own word, what it does without one)."""
    yield "default", None, "explain" if layer.default == "ask" else "steer"
    yield from ((guard.id, guard.on_deny, "explain" if guard.effect == "ask" else "steer") for guard in layer.guards)
    yield from ((cap.id, cap.on_deny, "explain") for cap in layer.caps)


def _caps(voices: list[tuple[Layer, Mode, Default]], tool: str) -> tuple[tuple[Layer, Entry], ...]:
    found = {
        (layer.file, entry): (layer, entry)
        for layer, mode, _ in voices
        for entry in (Entry(cap, _joint_mode(mode, cap.mode)) for cap in layer.caps if cap.concerns(tool))
    }
    return tuple(found.values())


def _labels(layers: Iterable[Layer]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for layer in layers:
        for label, glob in layer.labels:
            found[label] = (*found.get(label, ()), glob)
    return found


def _voices(policies: tuple[Policy, ...]) -> list[tuple[Layer, Mode, Default]]:
    """The layers that speak, each once per mode and default, however often it is included."""
    voices: dict[tuple[str, Mode, Default], Layer] = {}
    for policy in policies:
        for layer in policy.layers:
            mode = _joint_mode(policy.mode, layer.mode)
            voices.setdefault((layer.file, mode, layer.default or policy.default), layer)
    return [(layer, mode, default) for (_, mode, default), layer in voices.items()]


def _joint_mode(outer: Mode, inner: Mode) -> Literal["enforce", "shadow"]:
    """Shadow as soon as one of them is."""
    return "enforce" if outer == inner == "enforce" else "shadow"


def _grant(layer: Layer, mode: Mode, default: Default, tool: str) -> RuleHit:
    line = layer.granted_by(tool)
    if line is None:
        return _refusal(layer, mode, default, tool)
    return RuleHit(layer.policy, "allow", "allow", mode, line=line)


def _refusal(layer: Layer, mode: Mode, default: Default, tool: str) -> RuleHit:
    if default == "allow" and provider_prefix(tool):
        default = "deny"
    return RuleHit(layer.policy, "default", default, mode, line=layer.default_line)
