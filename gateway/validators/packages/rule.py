"""The validator: packages that a call, an answer or a result would have installed, and that nobody knows.

Models invent names of packages (a fifth of those that they suggest, in one large study), and attackers register the names. So a name
passes because somebody said it, never because nothing speaks against it, and what leads around names is said as well.

Limits: code that a known package runs, programs that download by other ways than an installer, text that is encoded, scripts that only
lie on the agent's disk. What a project's own manifest names is judged when it is written, not when it is installed (`npm ci`).
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final, Literal, NamedTuple

import msgspec
from pydantic import Field, field_validator, model_validator

from gateway.documents import Maybe, Section
from gateway.validators.packages import known
from gateway.validators.packages.answers import answer
from gateway.validators.packages.calls import At, in_call, told
from gateway.validators.packages.commands import command
from gateway.validators.packages.scripts import python
from gateway.validators.packages.wanted import ECOSYSTEMS, Wanted, wanted
from gateway.validators.validator import Check, Files, Seen, Subject, Unjudged, Validator

MAX_TEXT: Final = 2 * 1024 * 1024
MAX_SEEN: Final = 20
"""Things said of one text; the rest is counted."""
Ecosystem = Literal["pip", "conda", "npm", "cargo", "gem", "go", "composer", "nuget", "system"]
Form = Literal["auto", "command", "python", "answer", "pip", "conda", "npm", "cargo", "gem", "go", "composer", "nuget", "system"]
_OFFICIAL: Final = frozenset({
    *("https://pypi.org/simple", "https://registry.npmjs.org", "https://rubygems.org", "https://proxy.golang.org"),
    *("https://repo.packagist.org", "https://api.nuget.org/v3/index.json", "conda-forge", "defaults"),
})  # fmt: skip


class Packages(Section):
    """What is known, and what else is taken."""

    allow: tuple[str, ...] = Field((), description="Names: pip:requests, npm:@acme/* for all of a scope.")
    known: tuple[str, ...] = Field(
        (), description="Files beside the policy: lists (pip:requests in each line), lock files, manifests, dated lists (*.bloom)."
    )
    indexes: tuple[str, ...] = Field((), description="Addresses of other indexes that may be installed from.")
    files: tuple[str, ...] = Field((), description="Requirement files that may be installed from unseen, as patterns: requirements*.txt.")
    local: bool = Field(False, description="Relative paths that stay below the working folder may be installed from (pip install -e .).")
    max_age: Maybe[str] = Field(None, pattern=r"^[1-9]\d{0,4}d$", description="How old a dated list may be: 90d.")
    ecosystems: Maybe[tuple[Ecosystem, ...]] = Field(None, description="Those that are judged; all when left out.")
    form: Form = Field("auto", description="What the text is: command, python, answer; pip (or another ecosystem) for names as such.")

    @field_validator("allow")
    @classmethod
    def _entries(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(known.entry, given))

    @model_validator(mode="after")
    def _knows_something(self) -> Packages:
        if not self.allow and not self.known:
            raise ValueError("knows no package, so that every one would be withheld; give allow: [pip:requests] or known: [packages.txt]")
        return self


class _Rule(NamedTuple):
    options: Packages
    names: known.Known
    max_days: int | None


def _made(options: Packages, files: Mapping[str, bytes]) -> Check:
    entries, lists = known.read(files)
    max_days = int(options.max_age[:-1]) if options.max_age else None
    rule = _Rule(options, known.Known([*options.allow, *entries], lists), max_days)
    return lambda subject: _check(rule, subject)


def _check(rule: _Rule, subject: Subject) -> Iterator[Seen]:
    if len(subject.text) > MAX_TEXT:
        raise Unjudged(f"the text is longer than {MAX_TEXT} characters")
    if rule.max_days is not None and not subject.now_us:
        raise Unjudged("the age of the lists cannot be told without the time")
    found = list(_found(rule.options, subject))
    today = datetime.fromtimestamp(subject.now_us / 1e6, UTC).date() if subject.now_us else None
    places = {at.wanted: at.path for at in reversed(found) if at.wanted is not None}
    judged = [one for one in dict.fromkeys(at.wanted for at in found) if one is not None and _is_judged(rule.options, one)]
    said = [Seen(code, detail, places[one]) for one, code, detail in _judged(rule, judged, today)]
    unread = [at.reason for at in found if at.wanted is None] + [_RUN_TIME for one in judged if one.kind == "dynamic"]
    if unread and not said:
        raise Unjudged(unread[0])
    yield from said[:MAX_SEEN]
    if len(said) > MAX_SEEN:
        yield Seen("more", f"{len(said) - MAX_SEEN} more packages, indexes or files are not known")
    yield from (Seen("unreadable", reason) for reason in unread[:1])


def _found(options: Packages, subject: Subject) -> Iterator[At]:
    at, text = subject.path or ("arguments" if subject.hook == "tool_call" else "text"), subject.text
    if options.form == "auto":
        args = _object(text)
        if args is not None:
            return in_call(args, at)
        return told(at, command(text) if subject.hook == "tool_call" else answer(text))
    if options.form in ECOSYSTEMS:
        return told(at, _names(options.form, text))
    return told(at, {"command": command, "python": python, "answer": answer}[options.form](text))


def _object(text: str) -> Mapping[str, object] | None:
    try:
        value = msgspec.json.decode(text) if text.lstrip().startswith("{") else None
    except (msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _names(ecosystem: str, text: str) -> Iterator[Wanted]:
    """Names as such: a JSON list or text, or names with commas or white space between them."""
    try:
        given = msgspec.json.decode(text)
    except msgspec.DecodeError:
        given = re.split(r"[,\s]+", text.strip())
    for one in given if isinstance(given, list) else [given]:
        if not isinstance(one, str):
            raise ValueError("a name of a package is not text")  # noqa: TRY004 - what a text holds, not what a caller passed
        if one.strip():
            yield wanted(ecosystem, one)


def _is_judged(options: Packages, one: Wanted) -> bool:
    return options.ecosystems is None or one.ecosystem in options.ecosystems


# -- what is said ------------------------------------------------------------------------------------------

_RUN_TIME: Final = "which package is installed is known only when it runs; write its name, and put name[extra] into quotes"


def _judged(rule: _Rule, found: Sequence[Wanted], today: date | None) -> Iterator[tuple[Wanted, str, str]]:
    names = [one for one in found if one.kind == "name"]
    for one, judgement in rule.names.judged(names, today, rule.max_days):
        yield one, judgement.code, _told(one, judgement)
    for one in found:
        yield from _around(rule.options, one)


def _told(one: Wanted, judgement: known.Judgement) -> str:
    where = f"{one.ecosystem} ({ECOSYSTEMS[one.ecosystem]})"
    if judgement.code == "typo_of":
        return f"a package of {where} that is not known, but {judgement.near!r} is; if that is meant, write it so"
    if judgement.code == "stale_list":
        return f"a package of {where} that only a list of {judgement.made} knows, which is too old; a new list is needed"
    return f"a package of {where} that is on no list; take a known one, or ask for it to be added to the list"


def _around(options: Packages, one: Wanted) -> Iterator[tuple[Wanted, str, str]]:
    """What is not installed by name from the ecosystem's own index."""
    if one.kind == "index" and one.text.rstrip("/") not in {*_OFFICIAL, *(each.rstrip("/") for each in options.indexes)}:
        yield one, "other_index", f"packages of {one.ecosystem} would come from another index, or settings of it; use the ecosystem's own"
    elif one.kind == "direct" and not (options.local and _stays(one.text)):
        yield one, "direct_reference", f"a package of {one.ecosystem} would come from a URL, repository or path; install it by name"
    elif one.kind == "file" and not any(fnmatch.fnmatchcase(posixpath.normpath(one.text), pattern) for pattern in options.files):
        yield one, "unseen_file", f"packages of {one.ecosystem} would be taken from a file that is not to be seen here; name the packages"


_LOCAL: Final = re.compile(r"\.{0,1}(?:/?[\w][\w.-]*)*/?(?:\[[\w,.-]+\])?")


def _stays(text: str) -> bool:
    """Whether it is a relative path that cannot leave its folder."""
    relative = text.startswith("./") or text.split("[")[0] in (".", "./") or "/" not in text.split("[")[0]
    return relative and _LOCAL.fullmatch(text) is not None and ".." not in text


def _alone(options: Packages) -> Check:
    if options.known:
        raise ValueError("'known' names files, and there is no folder to read them from here; use 'allow'")
    return _made(options, {})


PACKAGES = Validator("packages", "1", Packages, _alone, most=MAX_TEXT, files=Files(lambda options: options.known, _made))
