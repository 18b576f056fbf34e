"""What is said to the model is judged before it is sent: the words of users and operators (`at: request`), and what tools answered
(`at: tool_result`).

1. All texts are looked at with every request, because the client sends them all again; what was found in one before is remembered
   (`policy.looked`), so that a long conversation costs its newest message.
2. What denies refuses the request. What redacts is taken out of the request's own body, which is then read anew: what judges calls, what
   is recorded and what the provider gets are one and the same. If something is left that should not be, the request is refused.
3. What is new since the model last spoke is put on record, and whatever refuses; not once more what was recorded a turn before.

Before it, the request was decoded; behind it, calls are judged by a conversation that has no other words than those sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal

import msgspec
from msgspec import Struct

from gateway.errors import GatewayError
from gateway.judge import about, session_facts
from gateway.policy import Conversation, Hit, Screen, Sight, screen
from gateway.policy.policy_set import RANK
from gateway.policy.provenance import paired
from gateway.request import Operation, Request
from gateway.strict_json import Json
from gateway.verdict import Finding, Heard, Hook, Ran
from gateway.visit import Visit

SPOKEN_BY = frozenset({"system", "developer", "user"})
"""Whose words `at: request` is about; what the model itself said was judged as it said it."""
_SAYING: frozenset[Operation] = frozenset({"chat", "compact", "create", "count_tokens", "embeddings"})
_MOST_HEARD = 200
"""Rules on record for one request; a text may be found to hold the same thing a thousand times."""


class Text(Struct, frozen=True):
    """One text of a request."""

    hook: Hook
    path: str
    text: str
    call_id: str = ""
    tool: str | None = None
    """Whose result it is; None where the call is not to be seen."""
    new: bool = True
    beside: bool = False
    """A name, a title, …: something is looked for in it, no form asked of it."""


class Looked(Struct, frozen=True):
    text: Text
    screen: Screen
    hits: Sequence[Hit]


def screened(visit: Visit, request: Request, read: Callable[[bytes], Request]) -> Request:
    """The request as it may be sent; `read` decodes a changed body. Raises GatewayError('refused') for one that may not."""
    policies, agent = visit.gateway.policies, visit.x.caller.agent
    if request.operation == "pass_through" or not any(policies.watches(agent, hook).guards for hook in ("request", "tool_result")):
        return request
    screens = _Screens(visit, request)
    looked = list(_looked(screens, request))
    visit.x.ran += screens.ran()
    refusing = [each for each in looked if _effect(each) == "deny"]
    if refusing:
        _record(visit, [*(each for each in looked if each.text.new or each in refusing)], "refused")
        raise _refusal(visit, refusing[0])
    if not any(_effect(each) == "redact" for each in looked):
        _record(visit, [each for each in looked if each.text.new], "none")
        return request
    changed = read(visit.incoming.dialect.with_texts(request.body, _Cleaning(visit, request)))
    left = _unclean(visit, looked, request, changed)
    if left is not None:
        _record(visit, [left], "refused")
        raise _not_redactable(left)
    _record(visit, [each for each in looked if each.text.new], "redacted")
    _count_old(visit, looked)
    visit.x.request = changed
    return changed


def _unclean(visit: Visit, looked: Sequence[Looked], before: Request, after: Request) -> Looked | None:
    """A text of the changed request that is not what it should have become: what stands across the parts of a message is found in all of
    it, but cannot be taken out of one part."""
    wanted = {each.text: each.screen.redacted(each.text.text, each.hits) for each in looked}
    for old, new in zip(texts(before), texts(after), strict=True):
        if new.text != wanted.get(old, old.text):
            return next((each for each in looked if each.text == old), looked[0])
    return next((each for each in _looked(_Screens(visit, after), after) if _effect(each) in ("redact", "deny")), None)


def texts(request: Request) -> Iterator[Text]:
    """What may be asked about, in its order. A request that says nothing is asked about once, for what else it asks of the provider."""
    answered = iter(paired(request.messages)[1])
    last = max((at for at, message in enumerate(request.messages) if message.role == "assistant"), default=-1)
    spoken = False
    for at, message in enumerate(request.messages):
        path, new = f"messages[{at}]", at > last
        tools: dict[str, str | None] = {}
        for (call_id, text), (call, *_) in zip(message.results, answered, strict=False):
            tools[call_id] = call.name if call else None
            yield Text("tool_result", path, text, call_id, tools[call_id], new)
        for of, text in message.beside:
            if of is not None:
                yield Text("tool_result", path, text, of, tools.get(of), new, beside=True)
            elif message.role in SPOKEN_BY or message.role == "tool":
                yield Text("request", path, text, new=new, beside=True)
        if message.role == "tool" and not message.results and message.text:
            yield Text("tool_result", path, message.text, new=new)
        elif message.role in SPOKEN_BY and (message.text or not message.results):
            spoken = True
            yield Text("request", path, message.text, new=new)
    yield from (Text("request", "prediction", text, beside=True) for text in request.beside)
    if not spoken and request.operation in _SAYING:
        yield Text("request", "request", "")


def _looked(screens: _Screens, request: Request) -> Iterator[Looked]:
    for text in texts(request):
        one = screens.of(text.hook, text.call_id, text.tool)
        if not one.idle and (hits := one.find(text.text, beside=text.beside)):
            yield Looked(text, one, hits)


class _Screens:
    """The screens of one request."""

    def __init__(self, visit: Visit, request: Request) -> None:
        self._policies = visit.gateway.policies
        self._sight = Sight(
            caller=visit.x.caller,
            dialect=request.dialect,
            model=request.model,
            session=session_facts(visit.x.caller, request),
            conversation=Conversation(request.messages, visit.gateway.reading, whole=not request.continues),
            request=_facts(request),
            now_us=visit.gateway.clock.now_us(),
            exchange=visit.x.id,
            about=partial(about, request, "tool_result"),
        )
        self._made: dict[tuple[Hook, str, str | None], Screen] = {}

    def of(self, hook: Hook, call_id: str, tool: str | None) -> Screen:
        made = self._made.get((hook, call_id, tool))
        if made is None:
            sight = msgspec.structs.replace(self._sight, call_id=call_id, tool=tool)
            made = self._made[hook, call_id, tool] = screen(self._policies, hook, sight)
        return made

    def ran(self) -> Sequence[Ran]:
        """Which validators have looked."""
        return [row for made in self._made.values() for row in made.ran]


def _facts(request: Request) -> dict[str, Json]:
    """The variable `request`."""
    users = [message.text for message in request.messages if message.role == "user" and message.text]
    return {
        "dialect": request.dialect,
        "tools": [tool.name for tool in request.tools],
        "messages": len(request.messages),
        "characters": sum(len(message.text) + sum(len(text) for _, text in message.results) for message in request.messages),
        "last_user": users[-1] if users else "",
        "media": [media.kind for message in request.messages for media in message.media],
        "stream": request.stream,
        "max_tokens": request.max_tokens or 0,
    }


def _effect(looked: Looked) -> str:
    """What the rules in force want."""
    return max((hit.effect for hit in looked.hits if hit.counts), key=RANK.__getitem__, default="allow")


class _Cleaning:
    """The texts of a body as they may be sent. Asked text by text, it knows a result by its call's id; where one id belongs to calls of
    different tools, the rules of all tools speak."""

    def __init__(self, visit: Visit, request: Request) -> None:
        self._screens = _Screens(visit, request)
        self._tools: dict[str, set[str | None]] = {}
        said: dict[bool, set[tuple[str, str]]] = {True: set(), False: set()}
        for text in texts(request):
            self._tools.setdefault(text.call_id, set()).add(text.tool)
            said[text.beside].add((text.call_id, text.text))
        self._beside = said[True] - said[False]

    def __call__(self, role: str, call_id: str | None, text: str) -> str:
        if call_id is None and role not in SPOKEN_BY:
            return text
        tools = self._tools.get(call_id or "", {None})
        hook: Hook = "request" if call_id is None else "tool_result"
        one = self._screens.of(hook, call_id or "", next(iter(tools)) if len(tools) == 1 else None)
        return text if one.idle else one.redacted(text, one.find(text, beside=(call_id or "", text) in self._beside))


def _record(visit: Visit, looked: Sequence[Looked], done: Literal["none", "redacted", "refused"]) -> None:
    for each in looked:
        effect = _effect(each)
        address = visit.gateway.scribe.hands.address(each.text.text.encode("utf-8", "surrogatepass"))
        for hit in {(hit.policy, hit.rule, hit.detector): hit for hit in each.hits}.values():
            acts = hit.counts and hit.effect == effect and effect in ("redact", "deny")
            action = done if acts and (done == "refused" or effect == "redact") else "none"
            if len(visit.x.heard) < _MOST_HEARD:
                visit.x.heard.append(Heard(each.text.hook, each.text.path, hit.rule_hit(), hit.detector, action, address))
        _record_findings(visit, each, done)


def _record_findings(visit: Visit, looked: Looked, done: Literal["none", "redacted", "refused"]) -> None:
    """What validators said; of the words that it is about, their address."""
    text, effect = looked.text.text, _effect(looked)
    for hit in looked.hits:
        acts = hit.counts and hit.effect == effect and effect in ("redact", "deny")
        words = "" if hit.whole else visit.gateway.scribe.hands.address(text[hit.start : hit.end].encode("utf-8", "surrogatepass"))
        finding = hit.finding(looked.text.path, done if acts else "none", words)
        if finding is not None and len(visit.x.findings) < _MOST_HEARD:
            visit.x.findings.append(finding)


def _count_old(visit: Visit, looked: Sequence[Looked]) -> None:
    """What the client sends again as it was is redacted again; its rules are on record since it was new."""
    old = sum(_effect(each) == "redact" for each in looked if not each.text.new)
    if old:
        visit.x.findings.append(Finding("policy", "redacted_again", "info", "messages", f"texts redacted as in earlier requests: {old}"))


def _refusal(visit: Visit, looked: Looked) -> GatewayError:
    verdict = looked.screen.verdict(looked.hits)
    visit.headers["x-gateway-decision"] = "deny"
    what = "the result of a tool" if looked.text.hook == "tool_result" else "the request"
    message = (
        f"Policy {verdict.policy} (rule {verdict.rule}) does not let {what} pass to the model ({looked.text.path}): {verdict.reason} "
        "Nothing was sent. Take it out of the conversation before you send it again."
    )
    code = verdict.code if verdict.code == "policy_error" else f"{looked.text.hook}_denied"
    return GatewayError("refused", code, message, param=looked.text.path)


def _not_redactable(looked: Looked) -> GatewayError:
    verdict = looked.screen.verdict(looked.hits)
    message = (
        f"Rule {verdict.rule} of policy {verdict.policy} takes something out of {looked.text.path}, but it stands across several parts of "
        "it and cannot be taken out whole. Nothing was sent. Send the text in one part, or without it."
    )
    return GatewayError("refused", "not_redactable", message, param=looked.text.path)
