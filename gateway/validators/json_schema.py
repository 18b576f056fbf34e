"""A call's arguments beside the JSON Schema that the request declared for its tool.

Schemas come from strangers (tool servers, agents), so one is an input to be distrusted like any other:

1. Nothing outside the schema is ever fetched or followed.
2. What a check may cost is bounded before it runs. Alternatives of alternatives multiply, and a recursive
   schema multiplies with the depth of the arguments; the bound counts both. Patterns have a backtracking
   limit.
3. Stricter than the standard in one point: where the top level declares `properties` and does not say
   `additionalProperties`, other arguments are findings. A rule looks at `path`; a tool may look at `path `
   or `__proto__`.

`errors` is the same check for other values than arguments (`structured_output`), without rule 3.

Not here: what to do about a finding. `schema` of a tool without a schema: the caller does not ask.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import msgspec

from gateway.strict_json import Json
from gateway.verdict import Finding

VALIDATOR: Final = "json_schema"
MAX_SCHEMA_BYTES: Final = 128 * 1024
MAX_DEPTH: Final = 64
MAX_STEPS: Final = 2_000_000
"""Visits of schema nodes, at about 50 ns: a tenth of a second."""
CHARACTERS_PER_STEP: Final = 8
"""Characters that a linear pattern scans in the time of one visit."""
STEPS_PER_BACKTRACKING: Final = 6000
"""Visits in the time that a pattern with look-around or references may take until it is stopped."""
MAX_EXPANDED: Final = 50_000
"""(schema node, depth) pairs looked at to find the cost of a schema with references."""
MAX_CHAIN: Final = 200
"""Schemas open at once while the cost is found: references to references."""
MAX_DETAILED: Final = 100_000
"""Steps up to which the check is run a second time to say where it failed."""
MAX_FINDINGS: Final = 5
_CACHED: Final = 256

_PATTERNS: Final = {"backtrack_limit": 10_000, "size_limit": 1_000_000, "dfa_size_limit": 1_000_000}


class SchemaError(Exception):
    """The schema cannot be used."""


class CostError(Exception):
    """Checking could take too long."""


def check(schema: bytes, args: Json) -> tuple[Finding, ...]:
    """Empty when the arguments are as declared; else at most MAX_FINDINGS findings of severity `error`."""
    compiled = _compiled(bytes(schema))
    if isinstance(compiled, str):
        return (_finding("bad_schema", "arguments", compiled),)
    extent = _extent(args)
    try:
        steps = compiled.steps(extent)
    except SchemaError as error:
        return (_finding("bad_schema", "arguments", str(error)),)
    except CostError as error:
        return (_finding("schema_cost", "arguments", str(error)),)
    if steps > MAX_STEPS:
        return (_finding("schema_cost", "arguments", "checking these arguments could take too long"),)
    try:
        return tuple([*compiled.undeclared(args), *map(_violation, compiled.errors(args, steps))][:MAX_FINDINGS])
    except Exception as error:  # noqa: BLE001 - numbers or text that the library cannot take
        said = f"the arguments cannot be checked ({type(error).__name__})"
        return (_finding("schema", "arguments", said),)


class Wrong(NamedTuple):
    """One place of a value that does not satisfy a schema."""

    path: Sequence[str | int] = ()
    keyword: str = ""
    """Of the schema; empty where a value that is costly to check was not looked at a second time."""
    says: Any = None
    """What the schema says at the keyword; of `additionalProperties` and its kind: the names that are too many."""


def usable(schema: bytes) -> None:
    """Raises SchemaError, in words for the author of the schema."""
    compiled = _compiled(schema)
    if isinstance(compiled, str):
        raise SchemaError(compiled)


def errors(schema: bytes, value: Json) -> list[Wrong]:
    """At most MAX_FINDINGS. Raises SchemaError, and CostError where the check could take too long."""
    compiled = _compiled(schema)
    if isinstance(compiled, str):
        raise SchemaError(compiled)
    steps = compiled.steps(_extent(value))
    if steps > MAX_STEPS:
        raise CostError("checking this value could take too long")
    return list(compiled.errors(value, steps))


def _finding(code: str, path: str, detail: str) -> Finding:
    return Finding(VALIDATOR, code, "error", path, detail)


class _Extent(NamedTuple):
    depth: int
    nodes: int
    """Values and keys."""
    text: int
    """Characters of all text."""


def _extent(value: Json) -> _Extent:
    deepest, nodes, text, waiting = 1, 0, 0, [(value, 1)]
    while waiting:
        current, depth = waiting.pop()
        nodes += 1
        deepest = max(deepest, depth)
        if isinstance(current, str):
            text += len(current)
        elif isinstance(current, Mapping):
            nodes += len(current)
            text += sum(map(len, current))
            waiting += [(below, depth + 1) for below in current.values()]
        elif isinstance(current, list):
            waiting += [(below, depth + 1) for below in current]
    return _Extent(deepest, nodes, text)


# -- a schema, compiled -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Compiled:
    tree: Any
    validator: Any
    names: frozenset[str] | None
    """Arguments that the top level declares; None when it allows others."""
    more_names: Any
    """Validator of further argument names, by pattern; None when there are no patterns."""
    costs: dict[int, _Steps] = field(default_factory=dict)

    def steps(self, extent: _Extent) -> int:
        """Bound on the work for arguments of this extent, in visits of a schema node."""
        cost = self.costs.get(extent.depth)
        if cost is None:
            cost = self.costs[extent.depth] = _Cost(self.tree).of(extent.depth)
        scanned = cost.patterns * extent.text // CHARACTERS_PER_STEP
        return extent.nodes * (cost.visits + cost.backtracking * STEPS_PER_BACKTRACKING) + scanned

    def errors(self, value: Json, steps: int) -> Iterator[Wrong]:
        if self.validator.is_valid(value):
            return
        if steps > MAX_DETAILED:
            yield Wrong()
            return
        for _, error in zip(range(MAX_FINDINGS), self.validator.iter_errors(value), strict=False):
            yield Wrong(error.instance_path, str(error.kind.name), getattr(error.kind, "value", None))

    def undeclared(self, args: Json) -> Iterator[Finding]:
        if self.names is None or not isinstance(args, Mapping):
            return
        for name in sorted(args.keys() - self.names):
            if self.more_names is None or not self.more_names.is_valid(name):
                said = "an argument that the tool's schema does not declare"
                yield _finding("additional_properties", _path([name]), said)


@functools.lru_cache(maxsize=_CACHED)
def _compiled(schema: bytes) -> _Compiled | str:
    """The compiled schema, or what is wrong with it."""
    try:
        tree = _tree(schema)
        validator = _validator(tree)
        names, patterns = _declared(tree)
        more_names = _validator({"anyOf": [{"pattern": one} for one in patterns]}) if patterns else None
    except SchemaError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - a schema that the library stumbles over cannot be used, however
        return f"not a usable JSON Schema: {_plain(str(error))}"
    return _Compiled(tree, validator, names, more_names)


def _validator(tree: Any) -> Any:
    import jsonschema_rs  # with the first schema: a worker without any does without its 3 MB

    return jsonschema_rs.validator_for(tree, retriever=_refuse, pattern_options=jsonschema_rs.FancyRegexOptions(**_PATTERNS))


def _tree(schema: bytes) -> Any:
    if len(schema) > MAX_SCHEMA_BYTES:
        raise SchemaError(f"the schema is larger than {MAX_SCHEMA_BYTES // 1024} KiB")
    try:
        tree = msgspec.json.decode(schema)
    except (msgspec.DecodeError, RecursionError):
        raise SchemaError("the schema is not JSON, or nested too deeply") from None
    if not isinstance(tree, (dict, bool)):
        raise SchemaError("a schema must be an object or a boolean")
    if _extent(tree).depth > MAX_DEPTH:
        raise SchemaError(f"the schema is nested more than {MAX_DEPTH} levels deep")
    _refuse_moving_references(tree)
    return tree


_MOVING: Final = ("$id", "$dynamicRef", "$recursiveRef")


def _refuse_moving_references(tree: Any) -> None:
    """What changes the meaning of references inside it would make the bound on cost wrong."""
    keys = (*_MOVING, "id") if isinstance(tree, dict) and "draft-04" in str(tree.get("$schema")) else _MOVING
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if any(isinstance(node.get(key), str) and (node is not tree or "Ref" in key) for key in keys):
                raise SchemaError("'$id' inside the schema, and dynamic references, are not followed")
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _refuse(uri: str) -> Any:
    raise SchemaError("references outside the schema are not followed")


def _violation(wrong: Wrong) -> Finding:
    if not wrong.keyword:
        return _finding("schema", "arguments", "the arguments do not satisfy the declared schema")
    code = "additional_properties" if wrong.keyword == "additionalProperties" else "schema"
    return _finding(code, _path(wrong.path), f"does not satisfy '{_plain(wrong.keyword)}' of the declared schema")


_PLAIN = re.compile(r"[^A-Za-z0-9_$/.:,' #()-]+")
_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _plain(text: str) -> str:
    return _PLAIN.sub("", text.split("\n", 1)[0])[:120]


def below(parts: Sequence[str | int]) -> str:
    """`.a[0]`; names that are not plain are not repeated."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" if _KEY.fullmatch(p) else ".(unusual name)" for p in parts)


def _path(parts: Sequence[str | int]) -> str:
    return f"arguments{below(parts)}"


# -- what the top level declares --------------------------------------------------------------------------

_HERE_LISTS: Final = ("allOf", "anyOf", "oneOf")
_HERE_ONES: Final = ("not", "if", "then", "else")
_BELOW_MAPS: Final = ("properties", "patternProperties")
_BELOW_ONES: Final = (
    *("additionalProperties", "unevaluatedProperties", "propertyNames", "items", "additionalItems"),
    *("unevaluatedItems", "contains"),
)
_BELOW_LISTS: Final = ("prefixItems", "items")
_OPEN: Final = ("additionalProperties", "unevaluatedProperties")


def _declared(tree: Any) -> tuple[frozenset[str] | None, tuple[str, ...]]:
    """Names and patterns of arguments that the top level declares, through everything that applies to it."""
    if not isinstance(tree, dict) or "properties" not in tree or any(key in tree for key in _OPEN):
        return None, ()
    names: set[str] = set()
    patterns: list[str] = []
    seen: set[int] = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict) and id(node) not in seen:
            seen.add(id(node))
            names |= _mapping(node, "properties").keys()
            patterns += _mapping(node, "patternProperties")
            waiting += _applied_here(node, tree)
    return frozenset(names), tuple(patterns)


def _mapping(node: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = node.get(key)
    return found if isinstance(found, dict) else {}


def _applied_here(node: Mapping[str, Any], root: Any) -> Iterator[Any]:
    """Schemas applied to the same value."""
    for key in _HERE_LISTS:
        yield from node.get(key) or ()
    for key in _HERE_ONES:
        if key in node:
            yield node[key]
    for key in ("dependentSchemas", "dependencies"):
        yield from _mapping(node, key).values()
    if "$ref" in node:
        yield _target(root, node["$ref"])


def _applied_below(node: Mapping[str, Any]) -> Iterator[Any]:
    """Schemas applied to values inside it."""
    for key in _BELOW_MAPS:
        yield from _mapping(node, key).values()
    for key in _BELOW_LISTS:
        if isinstance(node.get(key), list):
            yield from node[key]
    for key in _BELOW_ONES:
        if isinstance(node.get(key), dict):
            yield node[key]


def _target(root: Any, reference: Any) -> Any:
    """What a `$ref` inside the document points to."""
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        raise SchemaError("references other than '#/…' inside the schema are not followed")
    found = root
    for part in unquote(reference[2:]).split("/") if reference != "#" else ():
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, dict) and key in found:
            found = found[key]
        else:
            raise SchemaError("a reference of the schema points to nothing")
    return found


_BACKTRACKS = re.compile(r"\(\?[=!<>(]|\\[1-9kK]|[*+?}]\+")


class _Steps(NamedTuple):
    """What one value can meet, every alternative and reference followed."""

    visits: int = 1
    patterns: int = 0
    backtracking: int = 0

    def and_also(self, others: Iterable[_Steps]) -> _Steps:
        return _Steps(*map(sum, zip(self, *others, strict=True)))


class _Cost:
    """The steps of a schema for values of a depth, found without looking at any value."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._known: dict[tuple[int, int], _Steps] = {}
        self._open: set[tuple[int, int]] = set()

    def of(self, depth: int) -> _Steps:
        return self._cost(self._root, depth)

    def _cost(self, node: Any, depth: int) -> _Steps:
        if not isinstance(node, dict) or depth <= 0:
            return _Steps()
        key = (id(node), depth)
        if key in self._known:
            return self._known[key]
        if key in self._open or len(self._known) > MAX_EXPANDED or len(self._open) > MAX_CHAIN:
            raise CostError("the schema refers to itself without end, or is too large to bound its cost")
        self._open.add(key)
        here = [self._cost(other, depth) for other in _applied_here(node, self._root)]
        below = [self._cost(other, depth - 1) for other in _applied_below(node)]
        self._open.discard(key)
        self._known[key] = _own_steps(node).and_also([*here, *below])
        return self._known[key]


def _own_steps(node: Mapping[str, Any]) -> _Steps:
    patterns = [*_mapping(node, "patternProperties"), *([str(node["pattern"])] if "pattern" in node else ())]
    return _Steps(1, len(patterns), sum(_BACKTRACKS.search(one) is not None for one in patterns))
