"""Which programs a shell command would run, read from its syntax tree and not from its text.

`tree-sitter-bash` parses; here words lose their quotes, wrappers (`sudo`, `timeout 60`, `uv run`) give way to what they run, and text that
a shell would read again (`sh -c '…'`, `eval`, a here-document) is parsed in its turn. Everything inside is found: pipes, substitutions,
functions, loops.

Whatever has no one reading in sh, bash and zsh raises ValueError, so that the condition that asked fails and the rule has hit: a command
that cannot be parsed, a program whose name is known only when it runs (`$X`, `c?t`), variables that change what a name means (`PATH=…`),
options of a wrapper that are not known here. Where the shells differ (`[[ x || rm == y ]]`), all that any of them runs is told.

Limits, for people who write policies: programs do what they do (`awk`, `find -delete`, `git -c`, `docker run`); aliases, scripts and files
that the shell reads are not seen; a name with a slash is another name than its last part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any, Final, NamedTuple

from gateway.shell import seen, state, wrappers
from gateway.shell.words import REDIRECTIONS, Word, command_words, word_of

MAX_TEXT: Final = 16 * 1024
MAX_NESTED: Final = 5
"""Shells within shells."""
MAX_COMMANDS: Final = 1000

SHELLS: Final = frozenset({"sh", "bash", "rbash", "dash", "zsh", "ash", "ksh", "ksh93", "mksh", "oksh", "yash", "hush"})
_OTHER_SHELLS: Final = frozenset({"fish", "csh", "tcsh", "nu", "elvish", "xonsh", "rc"})
"""Shells whose language is another one: what they are told is not read."""
_REPLACED: Final = ("I", "i", "replace", "J")
"""Options of xargs that name what stands for its input."""


class Command(NamedTuple):
    """One program with its arguments."""

    words: tuple[Word, ...]
    reads: bool = False
    """What it reads as input is written in the command or comes from another one."""
    document: str | None = None
    """The here-document or here-string that it reads, where there is one and nothing in it waits for the run."""
    into: tuple[tuple[Word, bool], ...] = ()
    """Files that its output is redirected into, also with others around it; whether it goes to their end."""
    redirects: str = ""
    """`<` or `>`: no program, but a file of that redirection, which is its only word."""

    @property
    def program(self) -> str:
        """Its name as written. Raises ValueError when only running it tells."""
        text = self.words[0].text if self.words and self.words[0].fixed else ""
        if not text or text[0] in "={":  # in zsh, `=rm` is a path and `{rm x}` a group
            raise ValueError("the name of a program is known only when the command runs")
        return text

    @property
    def name(self) -> str:
        return self.program.rpartition("/")[2]


def commands(text: str) -> list[str]:
    """Names of all programs that the command would run, as written, in order."""
    return [command.program for command in read(text)]


class Argument(NamedTuple):
    """A word behind a program, or a file behind a redirection."""

    program: str
    """As written; `<` or `>` of a redirection."""
    text: str | None
    """As the program is given it, a pattern as it is written; None where only the run tells."""


def arguments(text: str) -> list[Argument]:
    """All of them, in order. Raises ValueError as `commands` does."""
    found = [
        Argument(one.redirects or one.program, _given(word))
        for one in _all(text)
        for word in (one.words if one.redirects else one.words[1:])
    ]
    if len(found) > MAX_COMMANDS:
        raise ValueError(f"the command has more than {MAX_COMMANDS} words")
    return found


_DOTTED: Final = re.compile(r"(?:^|/)\.[^/]*[*?\[]")


def _given(word: Word) -> str | None:
    """A pattern that begins with a dot may find `..`, so nobody knows what it comes to."""
    return word.text if word.fixed or (word.pattern and not _DOTTED.search(word.text)) else None


def read(text: str) -> list[Command]:
    """Every program with its arguments: wrappers and what they run, shells and what they are told."""
    return [one for one in _all(text) if not one.redirects]


def _all(text: str) -> list[Command]:
    found = list(islice(_read(text, 0), MAX_COMMANDS + 1))
    if len(found) > MAX_COMMANDS:
        raise ValueError(f"the command runs more than {MAX_COMMANDS} programs")
    return found


def of_words(words: Sequence[Word]) -> list[Command]:
    """As `read`, of one program whose words no shell has to find."""
    return [inner for command in _unwrapped(Command(tuple(words))) for inner in (command, *_inner(command, 0))]


@cache
def _parser() -> Any:
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


def _read(text: str, nested: int, *, fed: bool = False) -> Iterator[Command]:
    """`fed`: whoever reads the text has input that is written in the command, or comes from another one."""
    if nested > MAX_NESTED:
        raise ValueError("the command runs shells within shells too deeply")
    if len(text) > MAX_TEXT or "\0" in text:
        raise ValueError(f"the command is longer than {MAX_TEXT} characters, or holds a zero character")
    root = _parser().parse(text.encode("utf-8")).root_node
    if root.has_error:
        raise ValueError("the command cannot be parsed")
    seen.check(root)
    places = list(_places(_Place(root, fed=fed)))
    names = state.check([place.node for place in places])
    for place in places:
        yield from (Command((word,)) for word in seen.by_sh(place.node, names))
        yield from _redirected(place.node)
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
    """Input comes from a pipe, a here-document or a here-string, or a file; in a function, from wherever it is called."""
    into: tuple[tuple[Word, bool], ...] = ()
    """As `Command.into`, for all that it stands in."""
    piped: bool = False
    """Input comes from elsewhere than what is redirected into it."""


def _places(root: _Place) -> Iterator[_Place]:
    """All nodes, in the order in which they stand."""
    waiting = [root]
    while waiting:
        place = waiting.pop()
        yield place
        waiting += reversed(list(_within(place)))


def _within(place: _Place) -> Iterator[_Place]:
    node, children = place.node, place.node.children
    piped = node.type == "pipeline"
    redirected = node.type == "redirected_statement" and any(child.type in REDIRECTIONS for child in children)
    fed = place.fed or redirected or node.type in ("heredoc_redirect", "function_definition")
    into = (*_own(node), *place.into)
    for at, child in enumerate(children):
        apart = child.type in ("command_substitution", "process_substitution") or (piped and at < len(children) - 1)
        outer = place.fed if redirected else fed or (piped and at > 0)
        yield _Place(child, node, fed or (piped and at > 0), () if apart else into, outer)


def _redirected(node: Any) -> Iterator[Command]:
    """The file of a redirection: none where it is another number, or closed."""
    operator = next((part.type for part in node.children if part.type.strip("&|") in ("<", ">", ">>", "<>")), "")
    if node.type == "file_redirect" and operator:
        word = word_of(node.children[-1])
        if not (operator in ("<&", ">&") and re.fullmatch(r"[0-9]*-?", word.text)):
            yield Command((word,), redirects=operator.strip("&|")[-1:] if operator != "<>" else ">")


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


def _is_input(redirect: Any) -> bool:
    return redirect.type in _HERE or any("<" in part.type for part in redirect.children)


def _document(place: _Place) -> str | None:
    """What a here-document or here-string holds, its quotes taken off; None where there is none, or only the run tells."""
    beside = place.parent.children if place.parent.type in _REDIRECTED else ()
    given = [child for child in (*place.node.children, *beside) if child.type in REDIRECTIONS and _is_input(child)]
    if len(given) != 1 or given[0].type not in _HERE or place.piped:  # zsh reads all of several
        return None
    found = given[0]
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
    """The words of the program that it runs, where no shell reads them first."""
    own, behind = _behind(command)
    if own is None or not behind.words or (own.joined and not _whole(behind.options)):
        return ()
    if command.name == "su" or (command.name == "runuser" and not {"u", "user"} & set(behind.options)):
        return ()
    first = behind.words[0].text
    if command.name == "flock" and first in ("-c", "--command"):
        return ()
    if first in seen.GRAMMAR or (first.startswith("-") and first != "-"):
        raise ValueError(f"what {command.name} runs is known only when the command runs")
    return _with_input(behind) if command.name == "xargs" else behind.words


def _whole(options: Iterable[str]) -> bool:
    """Whether the words of `watch` stay words."""
    return not {"x", "exec"}.isdisjoint(options)


_NOTHING: Final = wrappers.Behind((), {})


def _behind(command: Command) -> tuple[wrappers.Wrapper | None, wrappers.Behind]:
    own = wrappers.wrapper(command.name)
    behind = wrappers.read(command.name, own, command.words[1:]) if own else None
    return (own, behind) if behind else (None, _NOTHING)


def _with_input(behind: wrappers.Behind) -> tuple[Word, ...]:
    """The words that xargs runs: its input stands behind them, or in each place of a mark."""
    words = behind.words
    for mark in (mark for name in _REPLACED for mark in behind.options.get(name, ())):
        words = tuple(word if mark.fixed and (mark.text or "{}") not in word.text else Word(word.text, fixed=False) for word in words)
    return (*words, Word("(input)", fixed=False, split=True))


def _found(command: Command, nested: int) -> Iterator[Command]:
    """What `find` runs for each file."""
    rest, unsure = list(command.words[1:]), False
    while rest:
        word = rest.pop(0)
        if word.split or (unsure and word.text in (";", "+")):
            raise ValueError("what find runs is known only when the command runs")
        unsure = unsure or not word.fixed
        if word.text in ("-exec", "-execdir", "-ok", "-okdir"):
            end = next((i for i, word in enumerate(rest) if word.text in (";", "+")), len(rest))
            words = tuple(word if "{}" not in word.text else Word(word.text, fixed=False) for word in rest[:end])
            rest = rest[end + 1 :]
            yield from _unwrapped(Command(words, command.reads), nested + 1)


def _inner(command: Command, nested: int) -> Iterator[Command]:
    """What a shell is told to run."""
    texts = [word.text for word in command.words]
    if command.name == "eval":
        yield from _read(_text(command.words[1:], "eval"), nested + 1, fed=command.reads)
    elif command.name in SHELLS:
        yield from _told(command, nested)
    elif command.name in _OTHER_SHELLS and (command.reads or any(text[:1] == "-" for text in texts[1:])):
        raise ValueError(f"what {command.name} runs is known only when the command runs: its language is not read")
    elif command.name in (".", "source"):
        _refuse_streams(command.words)
        if any(text.startswith(("/dev/", "/proc/")) for text in texts):
            yield from _fed(command, nested)
    for later in (*state.told_to_run(command.name, command.words[1:]), *wrappers.called(command.name, command.words[1:])):
        yield from _read(_text([later], command.name), nested + 1, fed=command.reads)
    yield from _told_behind(command, nested)


def _text(words: Sequence[Word], by: str) -> str:
    """Words that a shell reads as one text."""
    if not all(word.fixed for word in words):
        raise ValueError(f"what {by} runs is known only when the command runs")
    return " ".join(word.text for word in words)


def _told_behind(command: Command, nested: int) -> Iterator[Command]:
    """What a shell reads of the words of a program that runs others: a text, its input, a script."""
    own, (words, options) = _behind(command)
    if own is None:
        return
    wrappers.check(command.name, options)
    told = [text for name in own.told for text in options.get(name, ())]
    if command.name == "flock" and words and words[0].text in ("-c", "--command"):
        told, words = list(words[1:]), ()
    for text in told:
        yield from _read(_text([text], command.name), nested + 1, fed=command.reads)
    if own.joined and words and not _whole(options):
        yield from _read(_text(words, command.name), nested + 1, fed=command.reads)
    yield from (Command((shell,)) for name in ("s", "shell") if own.told for shell in options.get(name, ()))
    alone = not told and (not words or command.name in ("su", "runuser"))
    if own.alone is not None and alone and not (own.alone and own.alone.isdisjoint(options)):
        yield from _told(command._replace(words=(command.words[0], *words)), nested)


def _refuse_streams(words: Sequence[Word]) -> None:
    """Raises ValueError where a script is what another program writes."""
    if any(not word.fixed and word.text.startswith("<(") for word in words):
        raise ValueError("what a shell reads is known only when the command runs")


def _told(command: Command, nested: int) -> Iterator[Command]:
    _refuse_streams(command.words)
    words = command.words[1:]
    at = next((i for i, word in enumerate(words) if "c" in _letters(word) and word.text.startswith("-")), None)
    script = _script(words[:at], last=at is None)
    if at is not None:
        told = next((word for word in _behind_options(words[at:]) if word.text), None)
        if told is None or not told.fixed:
            raise ValueError("what a shell runs is known only when the command runs")
        yield from _read(told.text, nested + 1, fed=command.reads)
    elif command.reads and not script:
        yield from _fed(command, nested)


def _script(words: Sequence[Word], *, last: bool) -> bool:
    """Whether a shell is given a file to run. `last`: nothing stands behind the words. Raises ValueError where a word that is known only
    when the command runs could come to `-c` with a text behind it."""
    rest, reads = list(words), False
    while rest:
        word = rest.pop(0)
        if not word.fixed:  # no option begins with something else, or has a slash behind whatever it begins with
            plain = re.match(r"[^-+$`]", word.text) or re.search(r"/[\w.-]+\Z", word.text)
            if word.split or not (plain or (last and not rest)):
                raise ValueError("what a shell runs is known only when the command runs")
            return False
        if word.text[:1] not in ("-", "+"):
            return not reads and not word.text.startswith(("/dev/", "/proc/"))
        if word.text in ("-", "--"):
            return word.text == "--" and not reads and bool(rest) and not rest[0].text.startswith(("/dev/", "/proc/"))
        reads = reads or "s" in _letters(word)
        rest = rest[_values(word) :]
    return False


_LONG: Final = re.compile(
    r"--.*|-(?:debugger|dump-(?:po-)?strings|help|init-file|login|no(?:editing|profile|rc)|posix|pretty-print|protected|rcfile|restricted"
    r"|verbose|version|wordexp)"
)
"""Options of bash by name: it takes them behind one dash, too."""


def _letters(option: Word) -> str:
    """The letters of a shell's option, if it is one of letters."""
    found = re.fullmatch(r"[-+]([a-zA-Z]+)", option.text)
    return "" if found is None or _LONG.fullmatch(option.text) else found[1]


def _values(option: Word) -> int:
    """How many words behind an option of a shell are values of it."""
    if _LONG.fullmatch(option.text):
        return int(option.text.lstrip("-") in ("rcfile", "init-file"))
    return option.text.count("o") + option.text.count("O")


def _behind_options(words: Sequence[Word]) -> Sequence[Word]:
    """The words behind options of a shell: the first is what it runs."""
    at = 0
    while at < len(words) and words[at].fixed and words[at].text[:1] in ("-", "+"):
        if words[at].text in ("-", "--"):
            return words[at + 1 :]
        at += 1 + _values(words[at])
    return words[at:]


def _fed(command: Command, nested: int) -> Iterator[Command]:
    """What a shell reads from a here-document or a here-string. A pipe's words are known only when it runs."""
    if command.document is None:
        raise ValueError("what a shell reads is known only when the command runs")
    yield from _read(command.document, nested + 1, fed=command.reads)
