"""A kept prompt: one version of `<name>.md`, read and found usable.

The file is front matter between two lines `---` and, below it, the template of the system prompt. A version is named by what it does: the
hash covers model, parameters, variables and template, and neither the labels, which only point at versions, nor how the YAML is written.

Jinja is loaded with the first prompt: a worker without any does without its 4 MB. Not here: files on disk, which label points where
(`library.py`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from pydantic import Field, field_validator

from gateway.documents import Document, Section, check, parse
from gateway.errors import FileProblems, GatewayError, Problem
from gateway.prompt.variables import NAME, Variable, filled
from gateway.strict_json import Json
from gateway.yaml_nodes import Source, decoded

if TYPE_CHECKING:
    from gateway.prompt.template import Template

PROMPT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
LABEL: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
VERSION: Final = re.compile(r"[0-9a-f]{8,64}")
"""A version's hash or its first digits, at least eight. No label looks like one."""
THIS: Final = "this"
"""In front matter: the version that the file is."""
SUFFIX: Final = ".md"
_HEAD = re.compile(r"---[ \t]*\n(.*?\n)?---[ \t]*(?:\n|\Z)", re.DOTALL)


class Parameters(Section):
    """What the prompt asks of the model, under one name for all dialects. A request's own values count more."""

    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    max_tokens: Annotated[int | None, Field(ge=1, le=10_000_000, description="tokens that the answer may have")] = None
    stop: Annotated[
        list[Annotated[str, Field(min_length=1)]] | None, Field(min_length=1, max_length=4, description="texts that end the answer")
    ] = None

    def said(self) -> dict[str, Json]:
        return {name: value for name, value in self.model_dump().items() if value is not None}


class FrontMatter(Section):
    """The head of a prompt file."""

    description: Annotated[str, Field(description="what it is for; no part of the version")] = ""
    model: Annotated[str | None, Field(min_length=1, max_length=256, description="used where a request names none")] = None
    parameters: Annotated[Parameters, Field(description="used where a request says nothing else")] = Parameters()
    variables: Annotated[
        dict[str, Variable], Field(description="what the template is filled with: name -> {type, default, values, …}")
    ] = Field(default_factory=dict)
    labels: Annotated[
        dict[str, str], Field(description="name -> 'this' (the version this file is) or a version's hash")
    ] = Field(default_factory=dict)

    @field_validator("variables")
    @classmethod
    def names_of_variables(cls, value: dict[str, Variable]) -> dict[str, Variable]:
        for name in value:
            if not re.fullmatch(NAME, name):
                raise ValueError(f"'{name}' is no name for a variable; use lower-case letters, digits and _")
        return value

    @field_validator("labels")
    @classmethod
    def names_of_labels(cls, value: dict[str, str]) -> dict[str, str]:
        for name, version in value.items():
            if said := label_problem(name):
                raise ValueError(said)
            if version != THIS and not VERSION.fullmatch(version):
                raise ValueError(f"the label '{name}' must be '{THIS}' or a version's hash (its first 8 to 64 hex digits)")
        return value


@dataclass(frozen=True)
class Kept:
    """One version of one prompt."""

    name: str
    version: str
    """SHA-256, 64 hex digits."""
    source: str
    """The file's text."""
    head: FrontMatter
    template: Template

    def values(self, given: Mapping[str, Json]) -> dict[str, Json]:
        """Every variable with its value. Raises GatewayError."""
        return filled(self.name, self.head.variables, given)

    def text(self, values: Mapping[str, Json]) -> str:
        """The prompt, filled. Raises GatewayError for one that says nothing, or too much."""
        from gateway.prompt.template import TooLong

        try:
            text = self.template.render(values)
        except TooLong:
            raise _unusable(self.name, "is too long when filled with these variables. Send shorter ones.") from None
        except TypeError:
            said = "compares values that cannot be compared. Send variables of other types, or mend the template."
            raise _unusable(self.name, said) from None
        if not text.strip():
            raise _unusable(self.name, "says nothing when filled with these variables. Send others.")
        return text


def _unusable(name: str, said: str) -> GatewayError:
    return GatewayError("bad_request", "prompt_unusable", f"The prompt '{name}' {said}", param="prompt")


def label_problem(label: str) -> str:
    """Why this is no name for a label."""
    if LABEL.fullmatch(label) and not VERSION.fullmatch(label) and label != THIS:
        return ""
    return f"'{label[:64]}' is no name for a label; use lower-case letters, digits, _ and -, and nothing that looks like a version's hash"


def read(name: str, text: bytes) -> Kept:
    """Raises FileProblems with every problem of the file."""
    file = name + SUFFIX
    source = Source(file, decoded(text, file).replace("\r\n", "\n"))
    if not PROMPT_NAME.fullmatch(name):
        raise FileProblems([Problem(file, 1, 1, f"'{name[:64]}' is no name for a prompt; use lower-case letters, digits and . _ -")])
    found = _HEAD.match(source.text)
    if found is None:
        said = "a prompt begins with a line '---', its front matter in YAML and another line '---'; add them"
        raise FileProblems([Problem(file, 1, 1, said)])
    head = _front_matter(file, found[1] or "")
    return _kept(name, source, head, found.end())


def _front_matter(file: str, yaml: str) -> FrontMatter:
    if not yaml.strip():
        return FrontMatter()
    document = parse(b"\n" + yaml.encode(), file)  # the line '---' was the first
    return check(document, FrontMatter) if isinstance(document.value, dict) else _refuse(document)


def _refuse(document: Document) -> FrontMatter:
    known = ", ".join(FrontMatter.model_fields)
    raise FileProblems([document.problem((), f"front matter is a mapping (of {known}); write 'name: value'")])


def _kept(name: str, source: Source, head: FrontMatter, at: int) -> Kept:
    from gateway.prompt.template import Defect, Template

    body = source.text[at:]
    start = at + len(body) - len(body.lstrip("\n"))
    body = body.strip("\n")
    if not body.strip():
        raise FileProblems([source.problem(min(at, len(source.text)), "the prompt has no text; write it below the front matter")])
    lists = [each for each, variable in head.variables.items() if variable.type == "list"]
    try:
        template = Template(body, head.variables, lists)
    except Defect as defect:
        raise FileProblems([source.problem(start + defect.offset, defect.message)]) from None
    return Kept(name, _version(name, head, body), source.text, head, template)


def _version(name: str, head: FrontMatter, body: str) -> str:
    variables = {each: _declared(variable) for each, variable in head.variables.items()}
    said: dict[str, Any] = {
        "format": 1, "name": name, "model": head.model, "parameters": head.parameters.said(), "variables": variables, "template": body,
    }  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()


def _declared(variable: Variable) -> dict[str, Json]:
    """What a variable is, without what is told to people about it."""
    declared = variable.model_dump(exclude={"description", "default"})
    return declared if variable.required else {**declared, "default": variable.default}
