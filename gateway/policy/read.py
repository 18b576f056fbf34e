"""One policy file to one layer: the model's checks, the compiled conditions, and what this version refuses.

All of it looks at the same parsed document, so one pass reports every problem of the file.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.documents import Document, Path, check, nearest
from gateway.errors import FileProblems, Problem, coded
from gateway.policy.amounts import millionths
from gateway.policy.expressions import Condition, Size, compile_condition
from gateway.policy.hooks import SEES
from gateway.policy.limits import Cap
from gateway.policy.model import Limit, PolicyFile, Rule
from gateway.policy.policy_set import Guard, Layer
from gateway.policy.sought import DetectNationalId, DetectUrls
from gateway.policy.validating import looks_afterwards, uses
from gateway.policy.wording import unknown_placeholders
from gateway.validators.detectors import DETECTORS, Detector, national_ids, urls
from gateway.validators.use import Use
from gateway.verdict import Hook
from gateway.yaml_nodes import FORBIDDEN


@dataclass(frozen=True)
class PolicyDocument:
    """A policy file that is right in itself; what it refers to is for the loader."""

    document: Document
    model: PolicyFile
    layer: Layer
    var_files: tuple[str, ...]
    """Paths of the lists that its vars and validators were made from."""


def read(document: Document, files: Mapping[str, bytes]) -> PolicyDocument:
    """Raises FileProblems with all problems of this file and the lists it names."""
    problems = coded("TH108", _not_supported(document))
    conditions = _conditions(document, problems)
    values, var_files = _vars(document, files, problems)
    try:
        model = check(_without_unsupported(document), PolicyFile)
    except FileProblems as error:
        problems += coded("TH102", _with_yaml_code(error.problems, document))
    if problems:
        raise FileProblems(problems)
    problems += coded("TH106", _repeated_ids(document, model))
    problems += coded("TH104", _placeholders(document, model, values))
    problems += coded("TH102", _unbuffered(model, document, conditions))
    lists = _Lists(document.file, files)
    validators, misused = _validators(model, document, lists)
    problems += coded("TH102", misused)
    if problems:
        raise FileProblems(problems)
    return PolicyDocument(document, model, _layer(document, model, conditions, values, validators), (*var_files, *lists.paths))


class _Lists:
    """The files of the folder as one document names them; knows which were asked for."""

    def __init__(self, file: str, files: Mapping[str, bytes]) -> None:
        self._file = file
        self._files = files
        self.paths: list[str] = []

    def contents(self, names: Sequence[str]) -> dict[str, bytes]:
        """Raises ValueError when one is not there."""
        found = {name: beside(self._file, name) for name in names}
        for name, path in found.items():
            if path not in self._files:
                raise ValueError(f"no file '{name}' in the policies folder{nearest(path, self._files)}")
        self.paths += found.values()
        return {name: self._files[path] for name, path in found.items()}


def _validators(model: PolicyFile, document: Document, lists: _Lists) -> tuple[list[tuple[Use, ...]], list[Problem]]:
    """By rule, and what is wrong with them."""
    problems: list[Problem] = []
    return [uses(rule, ("rules", i), document, lists.contents, problems) for i, rule in enumerate(model.rules)], problems


def _with_yaml_code(problems: Iterable[Problem], document: Document) -> list[Problem]:
    """The model's problems come mixed with those of the YAML itself (duplicate keys, tags)."""
    return [coded("TH101", [one])[0] if one in document.problems else one for one in problems]


def is_policy(document: Document) -> bool:
    """A file is a policy when it says so; one that looks like a policy but does not say so is a problem."""
    top = document.value
    if isinstance(top, list) and any(isinstance(one, dict) and "policy" in one for one in top):
        said = "a policy is the whole of its file, not an entry of a list; remove the '- ', and give each policy a file of its own"
        raise FileProblems(coded("TH102", [document.problem((), said)]))
    if not isinstance(top, dict):
        return False
    if "policy" in top:
        return True
    telling = {"agents", "allow", "rules"} & top.keys()
    if telling or any(len(key) < 8 and nearest(key, ["policy"]) for key in top):
        said = "this looks like a policy but has no 'policy: 1'; add it"
        raise FileProblems(coded("TH102", [document.problem((), said)]))
    return False


# -- what this version does not enforce is refused, never ignored -----------------------------------------

_LATER_KEYS: Final = {"replace": "rewriting ('replace:') is"}


def _not_supported(document: Document) -> Iterator[Problem]:
    for path in _unsupported(document):
        key = str(path[-1])
        yield document.problem(path, f"{_LATER_KEYS[key]} not supported by this version; remove it", key=True)


def _unsupported(document: Document) -> list[Path]:
    top = document.value
    found: list[Path] = []
    rules = top.get("rules")
    for i, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, dict):
            found += [("rules", i, key) for key in rule if key in _LATER_KEYS]
    return found


def _value_at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def _without_unsupported(document: Document) -> Document:
    """So that the model does not complain about them a second time."""
    top = dict(document.value)
    if isinstance(top.get("rules"), list):
        top["rules"] = [dict(rule) if isinstance(rule, dict) else rule for rule in top["rules"]]
    for path in _unsupported(document):
        del _value_at(top, path[:-1])[path[-1]]
    return document.with_value(top)


# -- conditions and messages ------------------------------------------------------------------------------


def _conditions(document: Document, problems: list[Problem]) -> dict[int, Condition]:
    """Compiled conditions by rule; those of rules that the model will refuse are checked as well."""
    rules = document.value.get("rules")
    names = document.value.get("vars")
    known = tuple(names) if isinstance(names, dict) else ()
    found: dict[int, Condition] = {}
    defective = {(one.line, one.column) for one in document.problems}
    for i, rule in enumerate(rules if isinstance(rules, list) else ()):
        for key in ("when", "require"):
            if not isinstance(rule, dict) or not isinstance(rule.get(key), str):
                continue
            path = ("rules", i, key)
            if document.place(path) in defective:
                continue
            compiled = compile_condition(rule[key], known, _hook(rule))
            if isinstance(compiled, Condition):
                found[i] = compiled
            else:
                problems += coded("TH103", (document.problem_within(path, d.offset, d.message) for d in compiled))
    return found


def _hook(rule: Mapping[str, Any]) -> Hook:
    """Where a rule judges, as far as it says so in a way the model takes."""
    said = rule.get("at")
    return next((hook for hook in SEES if hook == said), "tool_call")


def _unbuffered(model: PolicyFile, document: Document, conditions: Mapping[int, Condition]) -> Iterator[Problem]:
    """A condition that reads all of an answer cannot be evaluated while the answer streams."""
    for i, rule in enumerate(model.rules):
        condition = conditions.get(i)
        whole = _kept_back(rule) or looks_afterwards(rule)
        if rule.at == "output" and not whole and condition and any(path[0] == "text" for _, path in condition.names):
            said = "this condition looks at the whole answer, so streams must be kept back for it; add 'stream: buffer', or use 'detect'"
            yield document.problem(("rules", i, "when" if rule.when is not None else "require"), said, key=True)


def _kept_back(rule: Rule) -> bool:
    """Whether a streamed answer is whole before the rule looks at it."""
    return rule.stream == "buffer" or rule.effect == "repair"


def restrictions(model: PolicyFile) -> Iterator[tuple[tuple[str, int], Rule | Limit]]:
    """Rules and limits, each with its place: they share one set of ids."""
    yield from ((("rules", i), rule) for i, rule in enumerate(model.rules))
    yield from ((("limits", i), limit) for i, limit in enumerate(model.limits))


def _repeated_ids(document: Document, model: PolicyFile) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for at, rule in restrictions(model):
        path = (*at, "id")
        if rule.id in ("default", "allow"):
            yield document.problem(path, f"'{rule.id}' names the grants in records; choose another id")
        if rule.id in first:
            said = f"duplicate {at[0][:-1]} id '{rule.id}' (first in line {first[rule.id]}); rename it"
            yield document.problem(path, said)
        first.setdefault(rule.id, document.place(path).line)


def _placeholders(document: Document, model: PolicyFile, values: Mapping[str, Any]) -> Iterator[Problem]:
    for at, rule in restrictions(model):
        for offset, said in unknown_placeholders(rule.message or "", values, rule.at if isinstance(rule, Rule) else "tool_call"):
            yield document.problem_within((*at, "message"), offset, said)


# -- vars -------------------------------------------------------------------------------------------------


def _vars(
    document: Document, files: Mapping[str, bytes], problems: list[Problem]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    given = document.value.get("vars")
    values: dict[str, Any] = {}
    paths: list[str] = []
    for name, value in (given if isinstance(given, dict) else {}).items():
        if isinstance(value, dict) and value.keys() == {"file"} and isinstance(value["file"], str):
            path = beside(document.file, value["file"])
            text, said = _text_of(files, path, value["file"])
            if said:
                problems += coded("TH105", [document.problem(("vars", name, "file"), said)])
            else:
                values[name] = _names(text)
                paths.append(path)
        elif _is_plain(value):
            values[name] = value
        else:
            said = "must be text, a number, true or false, a list of those, or {file: names.txt}"
            problems += coded("TH105", [document.problem(("vars", name), f"'{name}' {said}")])
    return values, tuple(paths)


def beside(file: str, path: str) -> str:
    """A path as written in `file`, relative to the policies folder."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), path))


def _text_of(files: Mapping[str, bytes], path: str, written: str) -> tuple[str, str]:
    """The text, or what is wrong with it."""
    if path not in files:
        return "", f"no file '{written}' in the policies folder{nearest(path, files)}"
    try:
        text = files[path].decode("utf-8")
    except UnicodeDecodeError:
        return "", f"the file '{written}' is not UTF-8 text; save it as UTF-8"
    if unclear := _unclear(text):
        return "", f"the file '{written}' {unclear}"
    return text, ""


_COMMENT_BEHIND = re.compile(r"\S[ \t]+#")


def _unclear(text: str) -> str:
    """What would be part of a name, and is hardly meant to be."""
    if bad := FORBIDDEN.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        return f"has the invisible character U+{ord(bad.group()):04X} in line {line}, which would be part of the name; remove it"
    for number, name in enumerate(text.splitlines(), 1):
        if not name.lstrip().startswith("#") and _COMMENT_BEHIND.search(name):
            return f"has a '#' behind a name in line {number}; a comment has a line of its own, a name with ' #' stands in 'vars' itself"
    return ""


def _names(text: str) -> dict[str, bool]:
    """The lines as a set: CEL's `in` on a mapping is a lookup, on a list a walk over a copy."""
    lines = (line.strip() for line in text.splitlines())
    return {line: True for line in lines if line and not line.startswith("#")}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, (str, int, float)) for item in value)
    return isinstance(value, (str, int, float))


def _size(values: Mapping[str, Any]) -> Size:
    many = [value for value in values.values() if isinstance(value, (list, dict))]
    texts = [text for value in (*many, values.values()) for text in value if isinstance(text, str)]
    return Size(max(map(len, texts), default=0), max(map(len, many), default=0))


# -- the layer --------------------------------------------------------------------------------------------


def _layer(
    document: Document,
    model: PolicyFile,
    conditions: Mapping[int, Condition],
    values: Mapping[str, Any],
    validators: Sequence[tuple[Use, ...]],
) -> Layer:
    grants = None
    if model.allow is not None:
        places = [document.place(("allow", i)).line for i in range(len(model.allow))]
        grants = tuple(zip(model.allow, places, strict=True))
    return Layer(
        policy=model.id,
        file=document.file,
        mode=model.mode,
        default=model.default,
        default_line=document.place(("default",) if model.default else ("allow",), key=True).line,
        grants=grants,
        guards=tuple(
            _guard(rule, conditions.get(i), document.place(("rules", i)).line, validators[i]) for i, rule in enumerate(model.rules)
        ),
        caps=tuple(_cap(limit, model.id, document.place(("limits", i)).line) for i, limit in enumerate(model.limits)),
        vars=values,
        size=_size(values),
        on_deny=model.on_deny,
        end_session_after=model.denials.end_session_after if model.denials else None,
        verify_history=model.verify_history,
        hide_denied=model.hide_denied,
        labels=tuple((label, glob) for glob, notes in model.tools.items() for label in notes.labels),
        tests=tuple(model.tests),
    )


def _guard(rule: Rule, condition: Condition | None, line: int, validators: tuple[Use, ...]) -> Guard:
    return Guard(
        id=rule.id,
        line=line,
        tools=tuple(rule.tools),
        condition=condition,
        hits_when=rule.require is None,
        effect=rule.effect,
        mode=rule.mode,
        ignore_errors=rule.on_error == "ignore",
        four_eyes=rule.four_eyes,
        message=rule.message,
        on_deny=rule.on_deny,
        at=rule.at,
        detectors=tuple(map(_detector, rule.detect or ())),
        buffers=_kept_back(rule),
        uses=tuple(use for use in validators if use.question is None),
        afterwards=next((use for use in validators if use.question is not None), None),
        sample=float(rule.sample.removesuffix("%")) / 100 if rule.sample else None,
        rounds=(rule.rounds or 1) if rule.effect == "repair" else 0,
    )


def _detector(said: str | DetectUrls | DetectNationalId) -> Detector:
    if isinstance(said, str):
        return DETECTORS[said]
    return urls(said.urls.allow) if isinstance(said, DetectUrls) else national_ids(said.national_id.countries)


_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _cap(limit: Limit, policy: str, line: int) -> Cap:
    window = limit.window
    return Cap(
        id=limit.id,
        policy=policy,
        line=line,
        tools=tuple(limit.tools),
        argument=tuple(limit.sum.split(".")[1:]) if limit.sum else (),
        per=limit.per,
        window=window,
        window_us=0 if window == "session" else int(window[:-1]) * _SECONDS[window[-1]] * 1_000_000,
        most=millionths(limit.max) or 0,
        effect=limit.effect,
        four_eyes=limit.four_eyes,
        on_deny=limit.on_deny,
        mode=limit.mode,
        message=limit.message,
    )
