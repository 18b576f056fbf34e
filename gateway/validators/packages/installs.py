"""Which packages shell commands would install or fetch to run: `pip:requests`, `npm:@scope/name`.

What is not a plain name says so behind the colon: `!index:` another index, `!direct:` a URL or a path, `!file:` a list in a file,
`!dynamic:` known only when it runs. Packages run without being installed (`npx`, `uvx`) count, for their code runs just the same.

Too many names ask too often, too few would let one through: a word behind an option that is not known here is reported. Commands that
install what a project's own manifest or lock file says (`npm ci`, `pip install` without names) name nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from gateway import shell
from gateway.shell import Command
from gateway.shell.words import Word
from gateway.validators.packages.installers import RUNNERS, Options, Role, Way, mentions, ways
from gateway.validators.packages.wanted import Wanted, wanted

_PYTHON: Final = re.compile(r"python[\d.]*|py|pypy[\d.]*")
_MODULE: Final = re.compile(r"-[bBdEhiIOPqsSuvx]*m(.*)")
_MAX_RUN: Final = 200
"""Words behind a runner that are tried as the beginning of a command."""


def installs(text: str) -> list[str]:
    """`<ecosystem>:<name>` of every package, each once, in order. Raises ValueError where only running the command would tell."""
    return list(dict.fromkeys(str(one) for one in wanted_by(shell.read(text))))


def wanted_by(commands: Sequence[Command]) -> Iterator[Wanted]:
    for command in commands:
        yield from of_words(command.words)


def of_words(words: Sequence[Word]) -> Iterator[Wanted]:
    """What one program would install, also when it stands behind a program that runs others."""
    if not words or not words[0].fixed:
        return
    name = words[0].text.rpartition("/")[2].lower().removesuffix(".exe")
    if _PYTHON.fullmatch(name):
        name, words = _module(words)
    yield from _by_name(name, words)
    if name in RUNNERS:
        yield from _behind_runner(words[1 : _MAX_RUN + 1])


def _by_name(name: str, words: Sequence[Word]) -> Iterator[Wanted]:
    for way in ways(name):
        behind = _behind(words[1:], way)
        if behind is not None:
            unsure = [word for word in words[1 : len(words) - len(behind)] if not word.fixed and not word.text.startswith("-")]
            yield from (Wanted(way.ecosystem, "dynamic", word.text) for word in unsure)
            yield from _Reading(way, behind).packages()
            return


def _behind_runner(words: Sequence[Word]) -> Iterator[Wanted]:
    for at, word in enumerate(words):
        name = word.text.rpartition("/")[2]
        if any(c.isspace() for c in word.text):
            yield from _told(word)
        elif name in shell.SHELLS:
            yield from wanted_by(shell.of_words(words[at:]))
        elif word.fixed and _PYTHON.fullmatch(name):
            yield from _by_name(*_module(words[at:]))
        elif word.fixed:
            yield from _by_name(name, words[at:])


def _told(word: Word) -> Iterator[Wanted]:
    """What a text comes to that a shell may be told to run. One that cannot be read and names no installer may be anything else."""
    try:
        commands = shell.read(word.text) if word.fixed else None
    except ValueError:
        commands = None
    if commands is not None:
        yield from wanted_by(commands)
    elif mentions(word.text):
        raise ValueError("what a program is told to run is known only when the command runs")


def _module(words: Sequence[Word]) -> tuple[str, Sequence[Word]]:
    """The module that `python -m` runs, and its own words."""
    for at, word in enumerate(words):
        found = _MODULE.fullmatch(word.text)
        if found and found[1]:
            return found[1], words[at:]
        if found:
            rest = words[at + 1 :]
            return (rest[0].text if rest else ""), rest
    return "", ()


def _behind(words: Sequence[Word], way: Way) -> Sequence[Word] | None:
    """The words behind the wanted ones; None when they are not there. A word that is known only when it runs may be a wanted one."""
    rest = list(words)
    for alternatives in way.words:
        known = alternatives.split("|")
        while rest and not _is_wanted(rest[0], known):
            option = rest.pop(0)
            if not option.fixed or not option.text.startswith("-"):
                return None
            if "=" in option.text or not rest or way.options.role(option.text) == "flags":
                continue
            if way.options.role(option.text) is not None or not (_is_wanted(rest[0], known) or rest[0].text.startswith("-")):
                rest.pop(0)  # the option's value, as far as anyone can tell
        if not rest or (way.takes == "settings" and not rest[0].fixed):
            return None
        rest.pop(0)
    return rest


def _is_wanted(word: Word, known: Sequence[str]) -> bool:
    if known == ["*"]:
        return not word.text.startswith("-")
    return word.text in known if word.fixed else not word.text.startswith("-")


class _Reading:
    """Reads the words behind an install command."""

    def __init__(self, way: Way, words: Sequence[Word]) -> None:
        self.way = way
        self.options: Options = way.options
        self.rest = list(words)

    def packages(self) -> Iterator[Wanted]:
        if self.way.takes == "settings":
            yield from self._settings()
            return
        unsure = False
        while self.rest:
            word = self.rest.pop(0)
            if word.text == "--":
                unsure = False
            elif word.text.startswith("-") and word.text != "-":
                unsure = False
                for found in self._option(word):
                    if found is None:
                        unsure = True
                    else:
                        yield found
            else:
                if self.way.takes != "none" or unsure:
                    yield self._package(word)
                if self.way.takes != "all" and not unsure:
                    return
                unsure = False

    def _settings(self) -> Iterator[Wanted]:
        said = [word.text for word in self.rest if self.options.role(word.text) != "flags"]
        if said:
            yield Wanted(self.way.ecosystem, "index", " ".join(said))

    def _option(self, word: Word) -> Iterator[Wanted | None]:
        """What an option brings in; takes its value from the rest. None: the next word may be its value, or not."""
        option, equals, given = word.text.partition("=")
        if not word.fixed and not equals:
            yield Wanted(self.way.ecosystem, "dynamic", word.text)
            return
        if not self.options.clusters:
            option = option.replace("--", "-") if self.options.role(option) is None else option
        role = self.options.role(option)
        value = Word(given, word.fixed) if equals else None
        if role is None and self.options.clusters and not option.startswith("--"):
            role, value = self._cluster(word)
            if role is None and len(option) > 2:  # behind a letter that is not known may be one that takes the rest
                yield Wanted(self.way.ecosystem, "dynamic", word.text)
        if role is None:
            if value is None:
                yield None
        elif role != "flags":
            value = value or (self.rest.pop(0) if self.rest else Word("", fixed=False))
            yield from self._valued(role, value)

    def _cluster(self, word: Word) -> tuple[Role | None, Word | None]:
        """The first of the letters written together that takes a value, and what is written behind it."""
        for at, letter in enumerate(word.text[1:], 1):
            role = self.options.roles.get(f"-{letter}")
            if role is None:
                return None, None
            if role != "flags":
                behind = word.text[at + 1 :].removeprefix("=")
                return role, Word(behind, word.fixed) if behind else None
        return "flags", None

    def _valued(self, role: Role, value: Word) -> Iterator[Wanted]:
        if role == "command":
            if not value.fixed:
                raise ValueError("a command behind an option is known only when it runs")
            yield from wanted_by(shell.read(value.text))
        elif role == "package":
            for one in value.text.split(",") if self.way.ecosystem == "pip" and "[" not in value.text else [value.text]:
                yield self._package(Word(one, value.fixed))
        elif role in ("index", "file", "direct"):
            yield Wanted(self.way.ecosystem, role if value.fixed or not value.text else "dynamic", value.text)

    def _package(self, word: Word) -> Wanted:
        if not word.fixed:
            return Wanted(self.way.ecosystem, "dynamic", word.text)
        found = wanted(self.way.ecosystem, word.text)
        return found._replace(text=_prefixed(self.way.prefix, found.text)) if found.kind == "name" else found


def _prefixed(prefix: str, name: str) -> str:
    """`create-x` for `x`, `@scope/create-x` for `@scope/x`."""
    if not prefix or not name.startswith("@"):
        return prefix + name
    scope, _, inner = name.partition("/")
    return f"{scope}/{prefix}{inner}" if inner else f"{scope}/{prefix.rstrip('-')}"
