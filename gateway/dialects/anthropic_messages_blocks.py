"""The content blocks of one Messages answer, sorted: what may pass, what is a call, what the provider did
unasked, what nobody knows.

Streamed and whole answers go through the same `Intake`, so that a call is read alike in both.

1. A `tool_use` block is a call. Its arguments are the deltas, or the start block's `input` when no delta
   came; both are ambiguous.
2. A block that only a provider-run service makes passes when the request offered that service (the request
   was judged for it). Otherwise it is withheld and reported as a call of type `server` with the problem
   `executed_upstream`, its result with it.
3. A block, delta or event of unknown type is withheld and reported once as a call of type `unknown` with
   the problem `unknown_type`.
4. Two calls with one id are both unreadable: a result could be bound to either.

Not a judge: a `Draft` says only whether a call can be read in exactly one way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from gateway import strict_json
from gateway.dialects import anthropic_messages_types as known
from gateway.dialects.events import Limits
from gateway.dialects.proposals import MAX_ID, NO_ARGUMENTS, clipped, id_problem, name_problem, read_arguments
from gateway.request import Request
from gateway.strict_json import Json
from gateway.verdict import Call, Finding

MAX_FINDINGS = 64

_CALLER_KEYS = frozenset({"type", "tool_id"})

Lane = Literal["plain", "held", "dropped"]
"""`plain` passes, `held` is a call or stands for one, `dropped` is withheld without a verdict of its own."""


class Draft:
    """One call while it is being read."""

    def __init__(
        self, kind: Literal["function", "server", "unknown"], block: Mapping[str, Json], limits: Limits
    ) -> None:
        self.kind = kind
        self.id = block.get("id")
        self.problem: str | None = None
        self.detail = ""
        self._block = block
        self._limits = limits
        self._parts: list[str] = []
        self._size = 0

    def fault(self, problem: str, detail: str) -> None:
        """The first fault is the one reported."""
        if self.problem is None:
            self.problem, self.detail = problem, detail

    def add(self, text: Json) -> int:
        """Takes a piece of the argument text; the bytes it keeps for it."""
        if not isinstance(text, str):
            self.fault("type", "a piece of the arguments is not a string")
            return 0
        if not text:
            return 0
        size = len(text) if text.isascii() else len(text.encode())
        self._size += size
        if self._size > self._limits.call_bytes:
            self.fault("hold_limit", f"arguments are longer than {self._limits.call_bytes} bytes")
            self._parts.clear()
            return 0
        self._parts.append(text)
        return size

    def call(self, index: int) -> Call:
        """The call as it stands; to be asked once the block is whole."""
        text = self._text()
        args = self._read(text)
        return Call(
            id="" if self.id is None else clipped(self.id, MAX_ID),
            name=self._name(),
            arguments=self._shown(text),
            args=args,
            index=index,
            type=self.kind,
            problem=self.problem,
            detail=self.detail,
        )

    def block(self, given: Json) -> dict[str, Json]:
        """The block that delivers this call with `given` as its input."""
        block = {"type": "tool_use", "id": self.id, "name": self._block["name"], "input": given}
        if "toolset_name" in self._block:
            block["toolset_name"] = self._block["toolset_name"]
        caller = self._block.get("caller")
        if isinstance(caller, dict):
            block["caller"] = {key: caller[key] for key in caller if key in _CALLER_KEYS}
        elif "caller" in self._block and caller is None:
            block["caller"] = None
        return block

    def _name(self) -> str:
        name, family = self._block.get("name"), self._block.get("toolset_name")
        if self.kind == "unknown":
            return "unknown"
        whole = name if family is None else f"{clipped(family)}/{clipped(name)}"
        return whole if isinstance(whole, str) and name_problem(whole) is None else clipped(whole)

    def _shown(self, text: str) -> str:
        """What is judged and delivered; for a call that cannot be read, what the record keeps of it."""
        if self.problem is None:
            return text or NO_ARGUMENTS
        return text if self.problem != "hold_limit" else ""

    def _text(self) -> str:
        """The argument text, from the one place where it stands."""
        text = "".join(self._parts)
        given = self._block.get("input", "")
        if given in ("", {}):
            return text
        if text:
            self.fault("ambiguous", "arguments stand both in the block's start and in its deltas")
            return text
        return strict_json.encode(given).decode()

    def _read(self, text: str) -> Mapping[str, Json] | None:
        """The parsed arguments, or None with a fault noted. Names first: what has no name needs no
        arguments."""
        family = self._block.get("toolset_name")
        if name_problem(self._block.get("name")) or (family is not None and name_problem(family)):
            self.fault(
                "bad_name",
                "the tool name is not 1 to 128 of the letters, digits and signs that names may have",
            )
        elif id_problem(self.id):
            self.fault("bad_id", f"the call's id is not 1 to {MAX_ID} printable characters")
        if self.problem is not None:
            return None
        args, problem, detail = read_arguments(text, self._limits)
        if problem is not None:
            self.fault(problem, detail)
        return args


class Intake:
    """Sorts the blocks of one answer in the order of their starts."""

    def __init__(self, request: Request, limits: Limits) -> None:
        self._limits = limits
        self._services = services(request)
        self._withheld_ids: set[str] = set()
        self._unknown: set[str] = set()
        self._ids: dict[str, Draft] = {}
        self._count = 0

    def sort(self, block: Mapping[str, Json]) -> tuple[Lane, Draft | None]:
        """Where this block goes, with the draft of the call it is or stands for."""
        kind = block.get("type")
        if kind == "tool_use":
            return self._held(Draft("function", block, self._limits))
        if not isinstance(kind, str) or kind not in known.BLOCK_KEYS:
            return self.unknown("block", kind)
        if self._may_pass(block):
            return "plain", None
        return self._executed(block)

    def unknown(self, what: str, kind: Json) -> tuple[Lane, Draft | None]:
        """Something of a type in no table; reported once per type, however often it comes."""
        name = f"{what} of unknown type {clipped(kind)!r}"
        if name in self._unknown:
            return "dropped", None
        draft = Draft("unknown", {}, self._limits)
        draft.fault("unknown_type", name)
        lane, held = self._held(draft)
        if held is not None:
            self._unknown.add(name)
        return lane, held

    def _may_pass(self, block: Mapping[str, Json]) -> bool:
        kind = block["type"]
        if kind == "server_tool_use":
            name = block.get("name")
            return isinstance(name, str) and known.SERVICE_OF_NAME.get(name) in self._services
        return kind not in known.SERVICE_OF_BLOCK or known.SERVICE_OF_BLOCK[kind] in self._services

    def _executed(self, block: Mapping[str, Json]) -> tuple[Lane, Draft | None]:
        call_id = block.get("id", block.get("tool_use_id"))
        if "tool_use_id" in block and isinstance(call_id, str) and call_id in self._withheld_ids:
            return "dropped", None
        draft = Draft("server", {"name": block["type"], "input": "", **block, "id": call_id}, self._limits)
        draft.fault(
            "executed_upstream",
            f"the provider ran a tool of its own that the request did not offer ({clipped(block['type'])})",
        )
        lane, held = self._held(draft)
        if held is not None and isinstance(call_id, str):
            self._withheld_ids.add(call_id)
        return lane, held

    def _held(self, draft: Draft) -> tuple[Lane, Draft | None]:
        self._count += 1
        if self._count > self._limits.calls + 1:
            return "dropped", None
        if self._count > self._limits.calls:
            draft.fault("call_limit", f"more than {self._limits.calls} calls in one answer")
        if draft.kind == "function" and isinstance(draft.id, str):
            self._refuse_twins(draft, self._ids.setdefault(draft.id, draft))
        return "held", draft

    def _refuse_twins(self, draft: Draft, first: Draft) -> None:
        if first is not draft:
            for twin in (first, draft):
                twin.fault("duplicate_id", "two calls of this answer have the same id")


class Findings(list[Finding]):
    """What was stripped, each place once, bounded."""

    def __init__(self, action: Literal["none", "stripped"] = "stripped") -> None:
        super().__init__()
        self._action = action
        self._paths: set[str] = set()

    def known_part(self, value: dict[str, Json], keys: frozenset[str], path: str) -> dict[str, Json]:
        """`value` itself when it has only these keys, else without the others, each of them noted."""
        if value.keys() <= keys:
            return value
        for key in value.keys() - keys:
            self._note(f"{path}.{clipped(key)}")
        return {key: value[key] for key in value if key in keys}

    def _note(self, path: str) -> None:
        if path in self._paths or len(self._paths) >= MAX_FINDINGS:
            return
        self._paths.add(path)
        detail = "a field this wire format does not define; some readers could take it for one that was judged"
        self.append(Finding("anthropic.messages", "stripped_field", "warn", path, detail, self._action))


def well_typed(part: Mapping[str, Json]) -> bool:
    """Whether the text of a block or delta is text."""
    key = known.TEXT_KEYS.get(part["type"])
    return key is None or isinstance(part.get(key), str)


def services(request: Request) -> frozenset[known.Service]:
    """What the request lets the provider run by itself."""
    offered: set[known.Service] = set()
    for tool in request.tools:
        offered |= known.SERVER_TOOLS.get(tool.type, frozenset({"mcp"} if tool.type == known.MCP_SERVER else ()))
    return frozenset(offered)


def outgoing_reason(reason: str | None, released: int, withheld: int) -> str | None:
    """The stop reason that fits what is delivered: clients loop on `tool_use` without a call, and on
    `pause_turn` without what paused."""
    if reason == "tool_use" and not released:
        return "end_turn"
    if withheld and reason in ("end_turn", "pause_turn"):
        return "tool_use" if released else "end_turn"
    return reason
