"""Which programs a shell command would run, read from its syntax tree and not from its text.

`tree-sitter-bash` parses; here words lose their quotes, wrappers (`sudo`, `timeout 60`) give way to what they run, and text that a
shell would read again (`sh -c '…'`, `eval`, a here-document) is parsed in its turn. Everything inside is found: pipes, substitutions,
functions, loops.

Whatever has no one reading raises ValueError, so that the condition that asked fails and the rule has hit: a command that cannot be
parsed, a program whose name is known only when it runs (`$X`, `c?t`), variables that change what a name means (`PATH=…`).

Limits, for people who write policies: programs do what they do (`awk`, `find -delete`, `git -c`); aliases, scripts and files that the
shell reads are not seen; a name with a slash is another name than its last part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any, Final, NamedTuple

from gateway.shell import seen, state
from gateway.shell.words import REDIRECTIONS, Word, command_words, word_of

MAX_TEXT: Final = 16 * 1024
MAX_NESTED: Final = 5
"""Shells within shells."""
MAX_COMMANDS: Final = 1000

SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "ash", "ksh", "fish", "busybox"})
_TAKES_VALUE: Final = {
    "sudo": frozenset({"-u", "-g", "-h", "-p", "-C", "-r", "-t", "-T", "-U", "-D", "-R"}),
    "doas": frozenset({"-u", "-C"}),
    "env": frozenset({"-u", "--unset", "-C", "--chdir"}),
    "timeout": frozenset({"-s", "--signal", "-k", "--kill-after"}),
    "nice": frozenset({"-n", "--adjustment"}),
    "ionice": frozenset({"-c", "-n", "-p"}),
    "stdbuf": frozenset({"-i", "-o", "-e"}),
    "xargs": frozenset({"-I", "-n", "-P", "-L", "-d", "-E", "-s", "-a"}),
    "time": frozenset({"-f", "-o"}),
    "nohup": frozenset[str](),
    "setsid": frozenset[str](),
    "command": frozenset[str](),
    "builtin": frozenset[str](),
    "exec": frozenset({"-a"}),
    "chronic": frozenset[str](),
}
"""Programs that run the program behind their own options; the options among those that take the next word."""
_FIRST_OPERANDS: Final = {"timeout": 1}
"""Words of their own before the program's name."""

class Command(NamedTuple):
    """One program with its arguments."""

    words: tuple[Word, ...]
    reads: bool = False
    """What it reads as input is written in the command or comes from another one."""
    document: str | None = None
    """The here-document or here-string that it reads, where there is one and nothing in it waits for the run."""
    into: tuple[tuple[Word, bool], ...] = ()
    """Files that its output is redirected into, also with others around it; whether it goes to their end."""

    @property
    def program(self) -> str:
        """Its name as written. Raises ValueError when only running it tells."""
        if not self.words or not self.words[0].fixed or not self.words[0].text:
            raise ValueError("the name of a program is known only when the command runs")
        return self.words[0].text

    @property
    def name(self) -> str:
        return self.program.rpartition("/")[2]


def commands(text: str) -> list[str]:
    """Names of all programs that the command would run, as written, in order."""
    return [command.program for command in read(text)]


def read(text: str) -> list[Command]:
    """Every program with its arguments: wrappers and what they run, shells and what they are told."""
    found = list(islice(_read(text, 0), MAX_COMMANDS + 1))
    if len(found) > MAX_COMMANDS:
        raise ValueError(f"the command runs more than {MAX_COMMANDS} programs")
    return found


def of_words(words: Sequence[Word]) -> list[Command]:
    """As `read`, of one program whose words no shell has to find."""
    return [inner for command in _unwrapped(Command(tuple(words))) for inner in (command, *_told_by_words(command))]


def _told_by_words(command: Command) -> Iterator[Command]:
    if command.name in SHELLS:
        yield from _told(command, 0)


@cache
def _parser() -> Any:
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


def _read(text: str, nested: int) -> Iterator[Command]:
    if nested > MAX_NESTED:
        raise ValueError("the command runs shells within shells too deeply")
    if len(text) > MAX_TEXT or "\0" in text:
        raise ValueError(f"the command is longer than {MAX_TEXT} characters, or holds a zero character")
    root = _parser().parse(text.encode("utf-8")).root_node
    if root.has_error:
        raise ValueError("the command cannot be parsed")
    seen.check(root)
    places = list(_places(root))
    state.check([place.node for place in places])
    for place in places:
        if place.node.type == "command":
            for command in _unwrapped(_command(place)):
                yield command
                yield from _inner(command, nested)


class _Place(NamedTuple):
    """A node, and what those say of it that it stands in. Told from above: to ask the tree for what holds a node takes as many steps as
    the node is deep."""

    node: Any
    parent: Any = None
    fed: bool = False
    """Input comes from a pipe, a here-document or a here-string, or a file."""
    into: tuple[tuple[Word, bool], ...] = ()
    """As `Command.into`, for all that it stands in."""


def _places(root: Any) -> Iterator[_Place]:
    """All nodes, in the order in which they stand."""
    waiting = [_Place(root)]
    while waiting:
        place = waiting.pop()
        yield place
        waiting += reversed(list(_within(place)))


def _within(place: _Place) -> Iterator[_Place]:
    node, children = place.node, place.node.children
    piped = node.type == "pipeline"
    fed = place.fed or node.type == "heredoc_redirect" or (node.type == "redirected_statement" and _redirected(children))
    into = (*_own(node), *place.into)
    for at, child in enumerate(children):
        apart = child.type in ("command_substitution", "process_substitution") or (piped and at < len(children) - 1)
        yield _Place(child, node, fed or (piped and at > 0), () if apart else into)


def _redirected(children: Sequence[Any]) -> bool:
    return any(child.type in REDIRECTIONS for child in children)


_REDIRECTED = frozenset({"command", "redirected_statement", "heredoc_redirect"})
_HERE = ("herestring_redirect", "heredoc_redirect")


def _command(place: _Place) -> Command:
    node = place.node
    fed = place.fed or any(child.type in _HERE for child in node.children)
    return Command(command_words(node), fed, _document(place), (*_own(node), *place.into))


def _own(node: Any) -> Iterator[tuple[Word, bool]]:
    """The files into which this node itself is redirected."""
    for child in node.children if node.type in _REDIRECTED else ():
        inner = child.children if child.type == "heredoc_redirect" else ()
        for redirect in (child, *inner):
            operator = next((part.type for part in redirect.children if ">" in part.type), "")
            if redirect.type == "file_redirect" and operator not in ("", ">&"):
                yield word_of(redirect.children[-1]), ">>" in operator


def _document(place: _Place) -> str | None:
    """What a here-document or here-string holds, its quotes taken off; None where there is none, or only the run tells."""
    beside = place.parent.children if place.parent.type in _REDIRECTED else ()
    found = next((child for child in (*place.node.children, *beside) if child.type in _HERE), None)
    if found is None:
        return None
    if found.type == "herestring_redirect":
        word = word_of(found.children[-1])
        return word.text if word.fixed else None
    body = next((child for child in found.children if child.type == "heredoc_body"), None)
    if body is None or any(child.type != "heredoc_content" for child in body.children):
        return None
    return str(body.text.decode())


def _unwrapped(command: Command, nested: int = 0) -> Iterator[Command]:
    """The command, and what it runs when it is a wrapper."""
    if nested > MAX_NESTED:
        raise ValueError("the command runs programs within programs too deeply")
    while True:
        yield command
        if command.name == "find":
            yield from _found(command, nested)
        rest = _wrapped(command)
        if not rest:
            return
        command = command._replace(words=rest)


def _wrapped(command: Command) -> tuple[Word, ...]:
    options = _TAKES_VALUE.get(command.name)
    if options is None:
        return ()
    words, operands = list(command.words[1:]), _FIRST_OPERANDS.get(command.name, 0)
    while words:
        word = words[0]
        if not word.fixed:
            raise ValueError(f"what {command.name} runs is known only when the command runs")
        if word.text in ("-S", "--split-string") or (command.name == "env" and word.text.startswith("-S")):
            raise ValueError("env splits a text into a command")
        assigned = command.name == "env" and re.match(r"(\w+)=", word.text)
        if assigned:
            state.changes_meaning(assigned[1])
            words.pop(0)
        elif word.text.startswith("-") and word.text != "-":
            words = words[2:] if word.text in options else words[1:]
        elif operands:
            operands -= 1
            words.pop(0)
        else:
            break
    fed = (Word("(input)", fixed=False),) if command.name == "xargs" and words else ()
    return (*words, *fed)


def _found(command: Command, nested: int) -> Iterator[Command]:
    """What `find` runs for each file."""
    texts = [word.text for word in command.words]
    for at, text in enumerate(texts):
        if text in ("-exec", "-execdir", "-ok", "-okdir"):
            rest = command.words[at + 1 :]
            end = next((i for i, word in enumerate(rest) if word.text in (";", "+")), len(rest))
            words = tuple(word if word.text != "{}" else Word("{}", fixed=False) for word in rest[:end])
            yield from _unwrapped(Command(words), nested + 1)


def _inner(command: Command, nested: int) -> Iterator[Command]:
    """What a shell is told to run."""
    texts = [word.text for word in command.words]
    if command.name == "eval":
        if not all(word.fixed for word in command.words):
            raise ValueError("what eval runs is known only when the command runs")
        yield from _read(" ".join(texts[1:]), nested + 1)
    elif command.name in SHELLS:
        yield from _told(command, nested)
    elif command.name in (".", "source"):
        _refuse_streams(command.words)
    for later in state.told_to_run(command.name, command.words[1:]):
        if not later.fixed:
            raise ValueError(f"what {command.name} runs is known only when the command runs")
        yield from _read(later.text, nested + 1)


def _refuse_streams(words: Sequence[Word]) -> None:
    """Raises ValueError where a script is what another program writes."""
    if any(not word.fixed and word.text.startswith("<(") for word in words):
        raise ValueError("what a shell reads is known only when the command runs")


def _told(command: Command, nested: int) -> Iterator[Command]:
    _refuse_streams(command.words)
    at = next((i for i, word in enumerate(command.words[1:], 1) if re.fullmatch(r"-[a-zA-Z]*c[a-zA-Z]*", word.text)), None)
    if at is not None:
        told = next((word for word in _behind_options(command.words[at + 1 :]) if word.text), None)
        if told is None or not told.fixed:
            raise ValueError("what a shell runs is known only when the command runs")
        yield from _read(told.text, nested + 1)
    elif command.reads:
        yield from _fed(command, nested)


def _behind_options(words: Sequence[Word]) -> Sequence[Word]:
    """The words behind more options of a shell: the first is what it runs."""
    at = 0
    while at < len(words) and words[at].fixed and words[at].text[:1] in ("-", "+"):
        if words[at].text in ("-", "--"):
            return words[at + 1 :]
        at += 2 if words[at].text[1:] in ("o", "O") else 1
    return words[at:]


def _fed(command: Command, nested: int) -> Iterator[Command]:
    """What a shell reads from a here-document or a here-string. A pipe's words are known only when it runs."""
    if command.document is None:
        raise ValueError("what a shell reads is known only when the command runs")
    yield from _read(command.document, nested + 1)
