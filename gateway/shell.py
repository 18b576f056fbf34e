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
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, NamedTuple

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
_CHANGES_MEANING: Final = re.compile(
    r"PATH|IFS|ENV|BASH_ENV|SHELLOPTS|BASHOPTS|PROMPT_COMMAND|PS[0-4]|LD_\w+|DYLD_\w+|PYTHON(PATH|STARTUP|HOME)|PERL5(LIB|OPT)|RUBYOPT"
    r"|NODE_OPTIONS|GIT_\w*(COMMAND|EDITOR|PAGER|SSH|ASKPASS|EXEC_PATH)|EDITOR|PAGER|VISUAL|BROWSER"
    r"|(?i:PIP|UV|NPM_CONFIG|YARN|BUN|CARGO|GEM|BUNDLE|CONDA)_\w*(?i:INDEX|REGISTR|SOURCE|LINKS|PROXY|CHANNEL)\w*|GOPROXY|GOFLAGS"
)
"""Variables by which a name comes to mean another program, or another package."""
_PATTERN = re.compile(r"[*?\[\]]|^~|\{[^{}]*(?:,|\.\.)[^{}]*\}")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_QUOTED_ESCAPE = re.compile(r'\\([$`"\\\n])')


class Word(NamedTuple):
    text: str
    fixed: bool = True
    """Known before it runs: no variable, substitution or pattern in it."""


class Command(NamedTuple):
    """One program with its arguments."""

    words: tuple[Word, ...]
    reads: bool = False
    """What it reads as input is written in the command or comes from another one."""

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
    found = list(_read(text, 0))
    if len(found) > MAX_COMMANDS:
        raise ValueError(f"the command runs more than {MAX_COMMANDS} programs")
    return found


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
    for node in _nodes(root):
        if node.type == "variable_assignment":
            _check_assignment(node)
        elif node.type == "command":
            for command in _unwrapped(_command(node)):
                yield command
                yield from _inner(command, node, nested)


def _nodes(root: Any) -> Iterator[Any]:
    """All nodes, in the order in which they stand."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(node.children)


def _check_assignment(node: Any) -> None:
    name = node.children[0].text.decode()
    if _CHANGES_MEANING.fullmatch(name):
        raise ValueError(f"the command sets {name}, which changes what names mean")


_REDIRECTIONS = frozenset({"file_redirect", "herestring_redirect", "heredoc_redirect"})


def _command(node: Any) -> Command:
    parts = [child for child in node.children if child.type not in _REDIRECTIONS and child.type != "variable_assignment"]
    words = tuple(_word(part.children[0] if part.type == "command_name" and part.child_count else part) for part in parts)
    return Command(words, reads=_is_fed(node))


def _is_fed(node: Any) -> bool:
    """Whether input comes from a pipe, a here-document or a here-string."""
    if any(child.type in ("herestring_redirect", "heredoc_redirect") for child in node.children):
        return True
    while node.parent is not None:
        siblings = node.parent.children
        redirected = node.parent.type == "redirected_statement" and any(child.type in _REDIRECTIONS for child in siblings)
        if redirected or node.parent.type == "heredoc_redirect" or (node.parent.type == "pipeline" and siblings[0] != node):
            return True
        node = node.parent
    return False


def _word(node: Any) -> Word:
    """A word without its quotes. What a node of another kind comes to is not known before it runs."""
    text = node.text.decode()
    match node.type:
        case "word" | "number" | "file_descriptor":
            return Word(_ESCAPE.sub(r"\1", text), _PATTERN.search(_ESCAPE.sub("", text)) is None)
        case "raw_string":
            return Word(text[1:-1])
        case "string":
            inner = [child for child in node.children if child.type != '"']
            fixed = all(child.type == "string_content" for child in inner)
            return Word(_QUOTED_ESCAPE.sub(lambda m: "" if m[1] == "\n" else m[1], text[1:-1]), fixed)
        case "ansi_c_string" if "\\" not in text:
            return Word(text[2:-1])
        case "concatenation":
            words = [_word(child) for child in node.children]
            joined = "".join(word.text for word in words)
            braces = any(child.type == "word" and child.text in (b"{", b"}") for child in node.children) and _PATTERN.search(joined)
            return Word(joined, all(word.fixed for word in words) and not braces)
    return Word(text, fixed=False)


def _unwrapped(command: Command) -> Iterator[Command]:
    """The command, and what it runs when it is a wrapper."""
    while True:
        yield command
        if command.name == "find":
            yield from _found(command)
        rest = _wrapped(command)
        if not rest:
            return
        command = Command(rest, command.reads)


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
            if _CHANGES_MEANING.fullmatch(assigned[1]):
                raise ValueError(f"the command sets {assigned[1]}, which changes what names mean")
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


def _found(command: Command) -> Iterator[Command]:
    """What `find` runs for each file."""
    texts = [word.text for word in command.words]
    for at, text in enumerate(texts):
        if text in ("-exec", "-execdir", "-ok", "-okdir"):
            rest = command.words[at + 1 :]
            end = next((i for i, word in enumerate(rest) if word.text in (";", "+")), len(rest))
            yield from _unwrapped(Command(tuple(word if word.text != "{}" else Word("{}", fixed=False) for word in rest[:end])))


def _inner(command: Command, node: Any, nested: int) -> Iterator[Command]:
    """What a shell is told to run."""
    texts = [word.text for word in command.words]
    if command.name == "eval":
        if not all(word.fixed for word in command.words):
            raise ValueError("what eval runs is known only when the command runs")
        yield from _read(" ".join(texts[1:]), nested + 1)
    elif command.name in SHELLS:
        yield from _told(command, node, nested)


def _told(command: Command, node: Any, nested: int) -> Iterator[Command]:
    at = next((i for i, word in enumerate(command.words[1:], 1) if re.fullmatch(r"-[a-zA-Z]*c[a-zA-Z]*", word.text)), None)
    if at is not None:
        if at + 1 >= len(command.words) or not command.words[at + 1].fixed:
            raise ValueError("what a shell runs is known only when the command runs")
        yield from _read(command.words[at + 1].text, nested + 1)
    elif command.reads:
        yield from _fed(node, nested)


def _fed(node: Any, nested: int) -> Iterator[Command]:
    """What a shell reads from a here-document or a here-string. A pipe's words are known only when it runs."""
    beside = node.parent.children if node.parent else ()
    document = next((child for child in (*node.children, *beside) if child.type in _REDIRECTIONS), None)
    if document is not None and document.type == "herestring_redirect":
        word = _word(document.children[-1])
        if word.fixed:
            yield from _read(word.text, nested + 1)
            return
    if document is not None and document.type == "heredoc_redirect":
        body = next((child for child in document.children if child.type == "heredoc_body"), None)
        if body is not None and not any(child.type != "heredoc_content" for child in body.children):
            yield from _read(body.text.decode(), nested + 1)
            return
    raise ValueError("what a shell reads is known only when the command runs")
