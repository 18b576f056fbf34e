"""What a shell command asks for: what it installs, and what it writes into manifests (`echo x >> requirements.txt`).

A file that the same command has just written, all of it known, is no unseen file for an install command behind it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Final

from gateway import shell
from gateway.shell import Command
from gateway.shell.words import Word
from gateway.validators.packages.fragments import Line, part
from gateway.validators.packages.installs import of_words
from gateway.validators.packages.manifests import is_lock_file, manifest, whole
from gateway.validators.packages.scripts import python
from gateway.validators.packages.wanted import Wanted


def command(text: str) -> Iterator[Wanted]:
    """Raises ValueError where only running it would tell."""
    yield from _commands(shell.read(text))


def argv(words: list[str]) -> Iterator[Wanted]:
    """A command whose words are given one by one."""
    yield from _commands(shell.of_words([Word(word) for word in words]))


def _commands(commands: list[Command]) -> Iterator[Wanted]:
    written: set[str] = set()
    for one in commands:
        for found in of_words(one.words):
            if found.kind != "file" or posixpath.normpath(found.text) not in written:
                yield found
        yield from _code(one)
        text = _text(one)
        for path, appended in _files(one):
            yield from _written(path, text, appended=appended)
            if text is None or not path.fixed:
                written.clear()
            elif not appended:
                written.add(posixpath.normpath(path.text))


def _written(path: Word, text: str | None, *, appended: bool) -> Iterator[Wanted]:
    kind = manifest(path.text) if path.fixed else None
    if is_lock_file(path.text):
        yield from whole(path.text, "")
    elif kind is not None and text is None:
        yield Wanted(kind.ecosystem or "system", "file", path.text)
    elif text is not None and path.fixed:
        yield from part(path.text, [Line(line) for line in text.splitlines()]) if appended else whole(path.text, text)


_PYTHON: Final = re.compile(r"python[\d.]*|pypy[\d.]*")


def _code(one: Command) -> Iterator[Wanted]:
    """Python that is given to Python in the command itself."""
    if one.words and one.words[0].fixed and _PYTHON.fullmatch(one.name):
        texts = [word.text for word in one.words]
        if "-c" in texts[:-1]:
            yield from python(texts[texts.index("-c") + 1])
        elif len(texts) == 1 or texts[1] == "-":
            yield from python(one.document or "")


def _files(one: Command) -> Iterator[tuple[Word, bool]]:
    """Files that the command writes, as far as its words tell; whether it writes at their end."""
    yield from one.into
    words = [word for word in one.words[1:] if not word.text.startswith("-")]
    options = [word.text for word in one.words[1:] if word.text.startswith("-")]
    name = one.name if one.words and one.words[0].fixed else ""
    if name == "tee":
        yield from ((word, bool({"-a", "--append"} & set(options))) for word in words)
    elif name in ("cp", "mv", "ln", "install", "rsync", "scp"):
        yield from ((word, False) for word in words[-1:])
    elif name in ("sed", "perl", "ruby") and any(re.match(r"-\w*i|--in-place", option) for option in options):
        yield from ((word, False) for word in words)
    elif name in ("curl", "wget", "dd", "sponge", "patch", "truncate", "jq", "yq"):
        yield from ((Word(re.sub(r"^(?:of|--output)=", "", word.text), word.fixed), False) for word in one.words[1:])


def _text(one: Command) -> str | None:
    """What the command writes, where its words and its document tell."""
    texts = [word.text for word in one.words[1:]]
    if one.name in ("cat", "tee") and one.document is not None:
        return one.document if one.name == "tee" or all(text.startswith("-") for text in texts) else None
    if one.name not in ("echo", "printf") or not all(word.fixed for word in one.words):
        return None
    if one.name == "printf":
        return "\n".join(re.sub(r"%[sb]|\\n", "\n", text) for text in texts)
    return re.sub(r"\\n", "\n", " ".join(text for text in texts if text not in ("-e", "-n", "-E", "-en", "-ne")))
