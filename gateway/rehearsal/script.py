"""The script of a rehearsal: scenes, turns, and which turn a request gets.

Models for the YAML file plus the choice of the turn; no sockets, no wire format. A turn is one of four kinds: an answer that is *spoken*
(`text`, `thinking`, `calls`), an *error* (`status`), *raw* bytes (`raw`, `raw_file`), or a spoken answer that breaks off (`cut_after`,
`stall_after` fit every kind). Mixing kinds is refused at load, because one of them would be ignored in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.documents import load as load_document
from gateway.documents import positions
from gateway.errors import FileProblems, Problem

_SPOKEN = frozenset({"text", "thinking", "calls", "usage", "finish", "interleave"})
_ERROR = frozenset({"error"})
_RAW = frozenset({"raw", "raw_file"})


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class ScriptedCall(_Strict):
    """A tool call the rehearsed model proposes."""

    name: str = Field(description="Name of the tool.")
    args: dict[str, Any] | None = Field(default=None, description="Arguments; written as compact JSON.")
    arguments: str | None = Field(default=None, description="Argument text exactly as sent, for broken JSON.")
    input: str | None = Field(default=None, description="Input of a custom (free text) tool; OpenAI only.")
    id: str | None = Field(default=None, description="Call id; made from the request's number when left out.")

    @model_validator(mode="after")
    def _one_form(self) -> ScriptedCall:
        given = [n for n in ("args", "arguments", "input") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(f"a call has one form of arguments: keep one of {', '.join(given)}")
        return self


class ScriptedUsage(_Strict):
    """Token counts in disjoint classes; each wire format adds them up in its own way."""

    input: int = Field(default=0, ge=0, description="Read at the full price.")
    output: int = Field(default=0, ge=0, description="Written, reasoning left out.")
    cache_read: int = Field(default=0, ge=0)
    cache_write: int = Field(default=0, ge=0, description="Written to a five-minute cache; Anthropic only.")
    cache_write_1h: int = Field(default=0, ge=0, description="Written to a one-hour cache; Anthropic only.")
    reasoning: int = Field(default=0, ge=0)


class Turn(_Strict):
    """What the provider does with one request."""

    text: str = Field(default="", description="What the model writes.")
    thinking: str = Field(default="", description="Thinking before the text; Anthropic only.")
    calls: list[ScriptedCall] = Field(default_factory=list, description="Tool calls, in parallel.")
    usage: ScriptedUsage | None = Field(
        default=None, description="Token counts; estimated from the request when left out, not sent when null."
    )
    finish: str | None = Field(default=None, description="Finish or stop reason in the provider's own word.")
    interleave: bool = Field(
        default=False, description="Mix the argument pieces of parallel calls in the stream; OpenAI only."
    )
    status: int | None = Field(default=None, ge=200, le=599, description="HTTP status.")
    headers: dict[str, str] = Field(default_factory=dict, description="Headers added to the answer.")
    error: str | None = Field(default=None, description="Message of the error body, in the provider's form.")
    raw: str | None = Field(default=None, description="The answer's exact text.")
    raw_file: str | None = Field(default=None, description="File with the answer's exact bytes, beside the script.")
    delay_ms: int = Field(default=0, ge=0, description="Wait before the answer's head.")
    gap_ms: int = Field(default=0, ge=0, description="Wait between the pieces of the answer.")
    chunk: int = Field(default=24, ge=1, description="Characters per text or argument delta; bytes per piece of raw.")
    cut_after: int | None = Field(
        default=None, ge=0, description="Reset the connection after so many body bytes; 0 = before the head."
    )
    stall_after: int | None = Field(
        default=None, ge=0, description="Fall silent after so many body bytes, the connection left open."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Turn:
        given = self.model_fields_set
        if not given:
            raise ValueError("an empty turn does nothing: give it text, calls, status, raw or cut_after")
        kinds = [sorted(given & kind) for kind in (_SPOKEN, _ERROR, _RAW) if given & kind]
        if len(kinds) > 1:
            raise ValueError(f"{kinds[0][0]!r} and {kinds[1][0]!r} are different kinds of turn: write two turns")
        if self.raw is not None and self.raw_file is not None:
            raise ValueError("give raw or raw_file, not both")
        if self.error is not None and (self.status or 0) < 400:
            raise ValueError("an error needs a status of 400 or more, such as 429")
        if given & _SPOKEN and (self.status or 200) != 200:
            raise ValueError("a spoken turn is answered with 200: use error or raw with another status")
        return self

    @property
    def is_error(self) -> bool:
        return (self.status or 200) >= 400 and not self.is_raw

    @property
    def is_raw(self) -> bool:
        return self.raw is not None or self.raw_file is not None

    @property
    def hides_usage(self) -> bool:
        return self.usage is None and "usage" in self.model_fields_set


class When(_Strict):
    """Further conditions of a scene; all that are given must hold."""

    user_contains: str | None = Field(default=None, description="Some user message holds this text.")
    header: dict[str, str] = Field(default_factory=dict, description="Header name to a glob its value matches.")
    dialect: Literal["openai.chat", "anthropic.messages"] | None = None


class Scene(_Strict):
    """A conversation: the turn played is the number of assistant messages that the request already holds."""

    model: str = Field(default="*", description="Glob on the request's model.")
    when: When = Field(default_factory=When)
    turns: list[Turn] = Field(min_length=1, description="Played in order; the last one repeats.")


class ScriptFile(_Strict):
    """The YAML file."""

    rehearsal: Literal[1] = Field(description="Version of this file's form.")
    scenes: list[Scene] = Field(min_length=1, description="The first scene that matches is played.")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a wire format read in a request, as far as a scene looks at it."""

    dialect: str
    model: str
    stream: bool
    body: Mapping[str, Any]
    user_texts: tuple[str, ...]
    assistant_messages: int
    number: int
    """Which request of the rehearsal this is, from 1: makes ids unique."""
    headers: Mapping[str, str] = field(default_factory=dict)
    size: int = 0
    """Bytes of the body: the ground for estimated usage."""


@dataclass(frozen=True, slots=True)
class Script:
    """A loaded script; `files` holds the bytes of every `raw_file`."""

    scenes: tuple[Scene, ...]
    files: Mapping[str, bytes]

    def turn_for(self, asked: Asked) -> Turn | None:
        for scene in self.scenes:
            if _fits(scene, asked):
                return scene.turns[min(asked.assistant_messages, len(scene.turns) - 1)]
        return None

    @property
    def models(self) -> list[str]:
        """Model names the script spells out (globs cannot be listed), in order, once each."""
        return list(dict.fromkeys(s.model for s in self.scenes if not set(s.model) & set("*?[")))


def _fits(scene: Scene, asked: Asked) -> bool:
    when = scene.when
    return (
        fnmatchcase(asked.model, scene.model)
        and when.dialect in (None, asked.dialect)
        and (when.user_contains is None or any(when.user_contains in t for t in asked.user_texts))
        and all(fnmatchcase(asked.headers.get(k.lower(), ""), v) for k, v in when.header.items())
    )


def load(text: bytes, file: str = "script", folder: Path | None = None) -> Script:
    """Raises FileProblems. `folder` is where `raw_file` names are looked up; without one they are refused."""
    document = load_document(text, file, ScriptFile)
    files: dict[str, bytes] = {}
    problems = []
    for s, scene in enumerate(document.scenes):
        for t, turn in enumerate(scene.turns):
            if turn.raw_file is None:
                continue
            found = _read_beside(folder, turn.raw_file)
            if isinstance(found, bytes):
                files[turn.raw_file] = found
            else:
                problems.append(_problem(text, file, ("scenes", s, "turns", t, "raw_file"), found))
    if problems:
        raise FileProblems(problems)
    return Script(tuple(document.scenes), files)


def load_file(path: Path) -> Script:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise FileProblems([Problem(str(path), 1, 1, f"cannot read the script: {error.strerror}")]) from error
    return load(text, str(path), path.parent)


def _read_beside(folder: Path | None, name: str) -> bytes | str:
    """The bytes, or what is wrong."""
    if folder is None:
        return "raw_file needs a script that is a file; write the bytes with raw instead"
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        return f"cannot read {name}: {error.strerror}; the name is relative to the script's folder"


def _problem(text: bytes, file: str, path: tuple[str | int, ...], message: str) -> Problem:
    line, column = positions(text).get(path, (1, 1))
    lines = text.decode().splitlines()
    return Problem(file, line, column, message, lines[line - 1] if line <= len(lines) else "")
