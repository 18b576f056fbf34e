"""Install commands inside text that something else will run: scripts, Dockerfiles, pipelines, answers.

Such text is full of what only running it would tell, so other than a call's own command it is not refused for that: a text in which no
installer is named is passed over, and of one that cannot be read as a whole each line that names one must be readable by itself.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from gateway import shell
from gateway.documents import parse
from gateway.errors import FileProblems
from gateway.shell.words import Word
from gateway.validators.packages.installers import begins, mentions
from gateway.validators.packages.installs import of_words, wanted_by
from gateway.validators.packages.wanted import Wanted

MAX_COMMANDS: Final = 2000
T = TypeVar("T")


def script(text: str) -> Iterator[Wanted]:
    """Raises ValueError where a line names an installer and cannot be read."""
    if not mentions(text):
        return
    try:
        yield from list(wanted_by(shell.read(text)))
    except ValueError:
        yield from _by_line(text)


def _by_line(text: str) -> Iterator[Wanted]:
    for line in few(line for line in together(text) if mentions(line) and not line.lstrip().startswith("#")):
        try:
            yield from wanted_by(shell.read(line.strip()))
        except ValueError as error:
            raise ValueError(f"a line names an installer and cannot be read: {error}") from None


def together(text: str) -> Iterator[str]:
    """The lines, those that go on in the next put together; and by itself what stands below a line in which a comment may begin, for a
    comment goes on nowhere."""
    begun, below = "", ""
    for line in text.splitlines():
        goes_on = line.endswith("\\")
        begun, below = (joined + line[: len(line) - goes_on] for joined in (begun, below))
        if goes_on and "#" in line:
            below = ""
        elif not goes_on:
            yield from dict.fromkeys((begun, below))
            begun = below = ""
    yield from dict.fromkeys((begun, below))


def few(given: Iterable[T]) -> Iterator[T]:
    """So many commands of a text are read, at some 0.1 ms each."""
    for number, one in enumerate(given):
        if number >= MAX_COMMANDS:
            raise ValueError(f"the text holds more than {MAX_COMMANDS} commands")
        yield one


# -- Dockerfile -------------------------------------------------------------------------------------------

_INSTRUCTION: Final = re.compile(r"^\s*(?:ONBUILD\s+)?(RUN|CMD|ENTRYPOINT)\s+(?:--[\w-]+=\S+\s+)*", re.IGNORECASE)
_ESCAPE: Final = re.compile(r"(?im)\A(?:\s*#.*\n)*\s*#\s*escape\s*=\s*[^\\\s]")
_HEREDOC: Final = re.compile(r"<<-?\s*[\"']?(\w+)[\"']?")


def dockerfile(text: str) -> Iterator[Wanted]:
    if _ESCAPE.search(text):
        raise ValueError("the file says that its lines go on behind another character than a backslash")
    lines, count = iter(re.sub(r"(?m)^[ \t]*#.*\n?", "", text).splitlines()), 0
    for line in lines:
        found = _INSTRUCTION.match(line)
        if found:
            count += 1
            if count > MAX_COMMANDS:
                raise ValueError(f"the file runs more than {MAX_COMMANDS} commands")
            parts = [line[found.end() :].rstrip()]
            while parts[-1].endswith("\\"):
                parts[-1] = parts[-1][:-1]
                parts.append(next(lines, "").rstrip())
            yield from _run("".join(parts), lines)


def _run(command: str, lines: Iterator[str]) -> Iterator[Wanted]:
    document = _HEREDOC.search(command)
    if document:
        body = []
        for line in lines:
            if line.strip() == document[1]:
                break
            body.append(line)
        before = command[: document.start()].strip()
        yield from script("\n".join([command, *body, document[1]] if before else body))
        return
    try:
        words = msgspec.json.decode(command, type=list[str])
    except msgspec.MsgspecError:
        yield from script(command)
    else:
        yield from wanted_by(shell.of_words([Word(word) for word in words]))


# -- pipelines --------------------------------------------------------------------------------------------

_COMMANDS: Final = frozenset({"run", "script", "before_script", "after_script", "command", "commands", "cmd", "cmds", "postCreateCommand",
                              "onCreateCommand", "updateContentCommand", "postStartCommand", "sh", "bash", "entry"})  # fmt: skip
_EXPRESSION: Final = re.compile(r"\$\{\{[^{}]{0,500}\}\}|\$\(\w[\w.]*\)")
MAX_DEPTH: Final = 60


def pipeline(text: str) -> Iterator[Wanted]:
    """The commands of a workflow in YAML or JSON, under the keys that such files have for them."""
    yield from of_pipeline(yaml(text))


def of_pipeline(value: Any) -> Iterator[Wanted]:
    waiting = [value]
    while waiting:
        current = waiting.pop(0)
        if isinstance(current, Mapping):
            for key, below in current.items():
                if key in _COMMANDS:
                    for one in _texts(below):
                        yield from script(_EXPRESSION.sub("${EXPRESSION}", one))
                if key == "additional_dependencies" and isinstance(below, list):
                    yield from of_words([Word(word) for word in ("pip", "install", *map(str, below))])
                waiting.append(below)
        elif isinstance(current, list):
            waiting += current


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (one for one in value if isinstance(one, str))


def yaml(text: str) -> Any:
    """Raises ValueError when the text is no YAML of one meaning."""
    try:
        return parse(text.encode(), "").value
    except FileProblems as error:
        raise ValueError(f"not YAML of one meaning: {error.problems[0].message}") from None


# -- Python -----------------------------------------------------------------------------------------------


def python(text: str) -> Iterator[Wanted]:
    """Commands that Python code would start, as far as they stand in it: `!pip install x` of a notebook, texts and lists of words."""
    lines: list[str] = []
    code: list[str] = []
    for line in text.splitlines():
        magic = re.match(r"\s*(?:\w+\s*=\s*)?[!%]{1,2}(.*)", line)
        (lines if magic else code).append(magic[1] if magic else line)
    yield from script("\n".join(re.sub(r"^(?:bash|sh|system|sx)\s", "", line) for line in lines))
    try:
        tree = syntax("\n".join(code))
    except ValueError:
        if mentions("\n".join(code)):
            raise ValueError("Python code that names an installer cannot be read") from None
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and begins(node.value):
            yield from script(node.value)
        elif isinstance(node, (ast.List, ast.Tuple)):
            said = [_word(item) for item in node.elts]
            to_pip = bool(said) and said[0] == Word("install")  # pip.main(["install", …])
            yield from of_words([Word("pip"), *said] if to_pip else said)


def syntax(text: str) -> ast.Module:
    """Raises ValueError when it is not Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a stranger's code is warned of is nobody's here
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError("not Python") from None


def _word(node: ast.expr) -> Word:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return Word(node.value)
    if isinstance(node, ast.Attribute) and node.attr == "executable":
        return Word("python")
    return Word(ast.unparse(node), fixed=False)


# -- recipes ----------------------------------------------------------------------------------------------


def recipes(text: str) -> Iterator[Wanted]:
    """Shell scripts, and files whose lines are handed to a shell (make, just)."""
    yield from script(re.sub(r"(?m)^(?:\t[@+-]*|[ \t]*[@+-]+(?=\w))", "", text))
