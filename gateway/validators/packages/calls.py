"""What a call's arguments would install: commands, files that are written, edits, patches, code; by the names that tools give to them.

Arguments under other names are looked at as well, as far as they read as commands. A tool that takes names of packages as such
needs a rule that says so (`form: pip`), for nothing in the call does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from gateway.strict_json import Json
from gateway.validators.packages.commands import argv, command
from gateway.validators.packages.fragments import Line, part
from gateway.validators.packages.installers import begins
from gateway.validators.packages.manifests import is_lock_file, manifest, whole
from gateway.validators.packages.patches import is_patch, patched
from gateway.validators.packages.scripts import python, script
from gateway.validators.packages.wanted import Wanted

_PATHS: Final = ("path", "file_path", "filepath", "filename", "file", "file_name", "target_file", "relative_path", "absolute_path", "uri",
                 "notebook_path", "target", "destination")  # fmt: skip
_COMMANDS: Final = frozenset({"command", "cmd", "commands", "cmds", "script", "shell", "bash", "shell_command", "bash_command", "argv",
                              "shell_script", "CommandLine", "command_line", "commandLine", "run"})  # fmt: skip
_WHOLE: Final = frozenset({"content", "contents", "file_text", "text", "data", "body", "file_content", "code_content", "CodeContent"})
_PART: Final = frozenset({"new_string", "new_str", "new_text", "insert_text", "replacement", "code_edit", "replace", "newText", "updated",
                          "new_content", "newString", "insert", "ReplacementContent"})  # fmt: skip
_CODE: Final = frozenset({"code", "source", "new_source", "python", "cell", "snippet"})
MAX_DEPTH: Final = 20


class At(NamedTuple):
    path: str
    """Which argument."""
    wanted: Wanted | None
    """None: it cannot be told."""
    reason: str = ""


def in_call(args: Mapping[str, Json], at: str = "arguments") -> Iterator[At]:
    yield from _object(args, "", at, 0)


def _object(args: Mapping[str, Json], path: str, at: str, depth: int) -> Iterator[At]:
    """`path`: the file that the objects around it name."""
    if depth > MAX_DEPTH:
        yield At(at, None, "the arguments are nested too deeply")
        return
    paths = [str(args[key]) for key in _PATHS if isinstance(args.get(key), str)]
    path = next((one for one in paths if manifest(one) or is_lock_file(one)), paths[0] if paths else path)
    for key, value in args.items():
        here = f"{at}.{key}" if key.isidentifier() and len(key) < 40 else at
        if isinstance(value, str):
            yield from told(here, _text(key, value, path))
        elif key in _COMMANDS and _is_words(value):
            yield from told(here, argv(value))
        elif isinstance(value, Mapping):
            yield from _object(value, path, here, depth + 1)
        elif isinstance(value, list):
            yield from _list(key, value, path, here, depth)


def _list(key: str, values: list[Any], path: str, at: str, depth: int) -> Iterator[At]:
    for one in values:
        if isinstance(one, str):
            yield from told(at, _text(key, one, path))
        elif isinstance(one, Mapping):
            yield from _object(one, path, at, depth + 1)
        elif isinstance(one, list):
            yield from _object({key: one}, path, at, depth + 1)


def _is_words(value: Any) -> bool:
    """One command in words, and not several commands: its first word is the name of a program."""
    texts = isinstance(value, list) and value and all(isinstance(word, str) for word in value)
    return bool(texts) and not any(c.isspace() for c in value[0])


def told(at: str, found: Iterator[Wanted]) -> Iterator[At]:
    try:
        for one in found:
            yield At(at, one)
    except (ValueError, RecursionError) as error:
        yield At(at, None, str(error) or "nested too deeply")


def _text(key: str, text: str, path: str) -> Iterator[Wanted]:
    if is_patch(text):
        return patched(text)
    if key in _COMMANDS:
        return command(text)
    if key in _WHOLE and path:
        return whole(path, text)
    if key in _PART and path:
        return part(path, [Line(line) for line in text.splitlines()])
    if key in _CODE:
        return _code(text)
    return script(text) if begins(text) else _perhaps(text)


def _perhaps(text: str) -> Iterator[Wanted]:
    """Words that may be prose: what does not read as commands is none."""
    try:
        yield from list(script(text))
    except ValueError:
        return


def _code(text: str) -> Iterator[Wanted]:
    """Python, or else lines for a shell."""
    try:
        yield from list(python(text))
    except ValueError:
        yield from command(text)
