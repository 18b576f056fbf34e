"""Clients that are set up by a file: what is written into it, and how it is taken out again.

Rules: what else stands in the file keeps its bytes (text formats) or its values (JSON); what stood where we write is remembered beside the
file and put back; a value that somebody changed since is left alone and named; a file is replaced as a whole or not at all.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from gateway.errors import StartError

BEGIN, END = "# >>> tollhouse", "# <<< tollhouse"
ABSENT = "tollhouse:absent"
"""Stands in the memory for a value that was not there."""


class Blocks(NamedTuple):
    """Lines for the beginning and the end of a text file (TOML knows no way back from a table to the top)."""

    top: str
    bottom: str


class Values(NamedTuple):
    """Values in a JSON file, by the path of their keys."""

    values: dict[tuple[str, ...], Any]


def put(file: Path, change: Blocks | Values) -> bool:
    """Writes the change; False when the file has it already. Raises StartError for a file that cannot be edited safely."""
    before = _text(file)
    after = _with_blocks(before, change) if isinstance(change, Blocks) else _with_values(file, before, change)
    if after == before:
        return False
    _replace(file, after)
    return True


def take_back(file: Path, *, blocks: bool) -> list[str]:
    """Takes out what `put` wrote; names what was left because somebody changed it. Raises StartError, also where nothing was written."""
    before = _text(file)
    after, left = (_without_blocks(before), list[str]()) if blocks else _values_back(file, before)
    if blocks and after == before:
        raise StartError(f"nothing of tollhouse is in {file}; nothing was changed")
    if not after and before:
        file.resolve().unlink()
    elif after != before:
        _replace(file, after)
    return left


def _text(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            return opened.read()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"{file} cannot be read as text ({error}); edit it by hand") from error


def _with_blocks(text: str, change: Blocks) -> str:
    text = _without_blocks(text)
    top = f"{BEGIN}\n{change.top}\n{END}\n" if change.top else ""
    gap = "" if not text or text.endswith("\n") else "\n"
    note = "" if not gap else f"{BEGIN} (no newline before)\n"
    bottom = f"{gap}{note or BEGIN + chr(10)}{change.bottom}\n{END}\n" if change.bottom else ""
    return top + text + bottom


def _without_blocks(text: str) -> str:
    while (start := text.find(BEGIN)) >= 0 and (end := text.find(END, start)) >= 0:
        after = text[end + len(END) :].removeprefix("\n")
        head = text[:start]
        if text.startswith(f"{BEGIN} (no newline before)", start):
            head = head.removesuffix("\n")
        text = head + after
    return text


def _parsed(file: Path, text: str) -> dict[str, Any]:
    try:
        tree = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise StartError(f"{file} is not plain JSON ({error}), so it is left alone; add the values by hand") from error
    if not isinstance(tree, dict):
        raise StartError(f"{file} does not hold a JSON object; add the values by hand")
    return tree


def _memory(file: Path) -> Path:
    return file.with_name(file.name + ".tollhouse-undo.json")


def _with_values(file: Path, text: str, change: Values) -> str:
    tree = _parsed(file, text)
    memory = json.loads(_text(_memory(file)) or "{}")
    if not memory:
        memory = {"text": text, "before": {json.dumps(path): _at(tree, path) for path in change.values}}
    memory["after"] = {json.dumps(path): value for path, value in change.values.items()}
    for path, value in change.values.items():
        _set(tree, path, value)
    written = _dumped(tree, text)
    if written != text:
        _replace(_memory(file), json.dumps(memory), secret=True)
    return written


def _values_back(file: Path, text: str) -> tuple[str, list[str]]:
    memory = json.loads(_text(_memory(file)) or "{}")
    if not memory:
        raise StartError(f"nothing is remembered beside {file}: it was not written by 'tollhouse connect --write'")
    tree = _parsed(file, text)
    before = {tuple(json.loads(path)): value for path, value in memory["before"].items()}
    change = Values({tuple(json.loads(path)): value for path, value in memory["after"].items()})
    left = [".".join(path) for path, value in change.values.items() if _at(tree, path) != value]
    if not left and _dumped(_applied(_parsed(file, memory["text"]), change), memory["text"]) == text:
        _memory(file).unlink()
        return memory["text"], []
    for path, value in before.items():
        if ".".join(path) not in left:
            _drop(tree, path) if value == ABSENT else _set(tree, path, value)
    _memory(file).unlink()
    return _dumped(tree, text), left


def _applied(tree: dict[str, Any], change: Values) -> dict[str, Any]:
    for path, value in change.values.items():
        _set(tree, path, value)
    return tree


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(tree, dict) or key not in tree:
            return ABSENT
        tree = tree[key]
    return tree


def _set(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        inner = tree.setdefault(key, {})
        if not isinstance(inner, dict):
            raise StartError(f"'{key}' is not an object in this file; add the values by hand")
        tree = inner
    tree[path[-1]] = value


def _drop(tree: dict[str, Any], path: tuple[str, ...]) -> None:
    holders = [tree]
    for key in path[:-1]:
        inner = holders[-1].get(key)
        if not isinstance(inner, dict):
            return
        holders.append(inner)
    holders[-1].pop(path[-1], None)
    for holder, key in zip(reversed(holders[:-1]), reversed(path[:-1]), strict=True):
        if not holder[key]:
            del holder[key]


def _dumped(tree: dict[str, Any], like: str) -> str:
    """With the indentation and the last newline of the text it replaces."""
    lines = like.splitlines()
    indent = len(lines[1]) - len(lines[1].lstrip()) if len(lines) > 1 else 2
    end = "" if like and not like.endswith("\n") else "\n"
    return json.dumps(tree, indent=indent or 2, ensure_ascii=False) + end


def _replace(file: Path, text: str, *, secret: bool = False) -> None:
    """The whole new content or the old one. A new file, and one that holds a key, is its owner's alone; links are followed."""
    target = file.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = 0o600 if secret or not target.exists() else stat.S_IMODE(target.stat().st_mode) & 0o700
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        Path(name).chmod(mode)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
