"""What an answer tells somebody to install: code fences, code in a line, lines that begin with an install command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from gateway.validators.packages.fragments import Line, part
from gateway.validators.packages.installers import begins
from gateway.validators.packages.manifests import manifest, whole
from gateway.validators.packages.patches import is_patch, patched
from gateway.validators.packages.scripts import dockerfile, few, of_pipeline, python, script, yaml
from gateway.validators.packages.wanted import Wanted


class Fence(NamedTuple):
    language: str
    text: str
    before: str
    """The line before it, where a file's name often stands."""


_FENCE: Final = re.compile(r"(?m)^[ \t>]*(`{3,}|~{3,})[ \t]*([^\n`]*)\n(.*?)(?:^[ \t>]*\1[`~]*[ \t]*$|\Z)", re.DOTALL)
_INLINE: Final = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_PROMPT: Final = re.compile(r"(?m)^[ \t>]*(?:\([\w.-]+\)\s*)?(?:[\w.-]+@[\w.-]+[^$#\n]{0,60})?[$#%❯>]\s+(?=\S)")
_SHELLS: Final = frozenset({
    *("", "sh", "bash", "shell", "zsh", "console", "terminal", "shell-session", "shellsession", "text", "txt", "plaintext"),
    *("cmd", "powershell", "ps1"),
})  # fmt: skip
_BULLET: Final = re.compile(r"(?:(?:[-*+$>]|\d{1,4}[.)])\s+)*")
_PROGRAM: Final = re.compile(r"(?:sudo\s+)?(?:python[\d.]*\s+-m\s+)?")
_INSTALLS: Final = re.compile(r"\S+\s+(?:-\S+\s+)*(?:install|add|i|get|require|dlx|exec|run|x)\s|(?:np|uv|bun)x\s")
_FILE_NAME: Final = re.compile(r"[\w./-]*\w+(?:\.\w+)+|\b(?:Dockerfile|Pipfile|Gemfile|Makefile)\b")


def answer(text: str) -> Iterator[Wanted]:
    """Raises ValueError where something names an installer and cannot be read."""
    for fence in few(fences(text)):
        yield from _fence(fence)
    rest = _FENCE.sub("\n", text)
    for code in few(filter(begins, dict.fromkeys(_INLINE.findall(rest)))):
        yield from script(_without_placeholders(code))
    lines = (line.strip() for line in _INLINE.sub("", rest).splitlines())
    for line in few(filter(_is_command, dict.fromkeys(_BULLET.sub("", line, count=1) for line in lines))):
        yield from _bare(line)


def fences(text: str) -> Iterator[Fence]:
    for found in _FENCE.finditer(text):
        before = text[max(0, found.start() - 300) : found.start()].rstrip().rpartition("\n")[2]
        yield Fence(found[2].strip().split(" ")[0].split("{")[0].lower(), found[3], f"{before} {found[2]}")


def _bare(line: str) -> Iterator[Wanted]:
    """A line of prose may look like a command: what does not read as one is none."""
    try:
        yield from list(script(line))
    except ValueError:
        return


def _is_command(line: str) -> bool:
    return begins(line) and _INSTALLS.match(_PROGRAM.sub("", line, count=1)) is not None


def _without_placeholders(text: str) -> str:
    """`<package>` stands for a name that is not there."""
    return re.sub(r"<[\w ./-]+>|\[[\w -]+\](?=\s|$)", "", text)


def _fence(fence: Fence) -> Iterator[Wanted]:
    named = _named(fence)
    if named:
        yield from _manifest(named, fence.text)
    elif is_patch(fence.text):
        yield from patched(fence.text)
    elif fence.language in ("python", "py", "python3", "ipython", "jupyter", "pycon"):
        yield from python(re.sub(r"(?m)^(?:>>>|\.\.\.) ", "", fence.text))
    elif fence.language in ("dockerfile", "docker", "containerfile"):
        yield from dockerfile(fence.text)
    elif fence.language in ("yaml", "yml"):
        yield from _pipeline(fence.text)
    elif fence.language in _SHELLS:
        yield from script(_without_placeholders(_PROMPT.sub("", fence.text)))


def _named(fence: Fence) -> str:
    """The manifest that the fence shows: by a name before it or in its first line, or by what is in it."""
    first = fence.text.lstrip().partition("\n")[0]
    for said in (first if first.startswith(("#", "//", "<!--", ";")) else "", fence.before):
        for name in _FILE_NAME.findall(said):
            if manifest(name):
                return str(name)
    return next((path for languages, pattern, path in _TELLING if fence.language in languages.split() and pattern.search(fence.text)), "")


_TELLING: Final = (
    ("toml", re.compile(r"(?m)^\[+(?:project|build-system|tool|dependency-groups)\b"), "pyproject.toml"),
    ("toml", re.compile(r"(?m)^\[+(?:(?:dev-|build-|workspace\.)?dependencies|package)\b"), "cargo.toml"),
    ("toml", re.compile(r"(?m)^\[+(?:packages|dev-packages|source)\]"), "pipfile"),
    ("json jsonc", re.compile(r'"(?:\w*[dD]ependencies|overrides|resolutions)"\s*:'), "package.json"),
    ("json jsonc", re.compile(r'"require(?:-dev)?"\s*:'), "composer.json"),
    ("yaml yml", re.compile(r"(?m)^dependencies:[ \t]*\n[ \t]*-"), "environment.yml"),
    ("ruby rb", re.compile(r"(?m)^[ \t]*gem\s"), "gemfile"),
    ("go gomod", re.compile(r"(?m)^(?:require|module)\s"), "go.mod"),
    ("xml csproj", re.compile(r"<PackageReference\b"), "x.csproj"),
    ("requirements pip-requirements", re.compile(r""), "requirements.txt"),
    ("text txt", re.compile(r"\A(?:\s*[A-Za-z][\w.-]*(?:\[[\w,-]+\])?\s*[=~<>]=[^\n]*\n)+\s*\Z"), "requirements.txt"),
    ("npmrc", re.compile(r""), ".npmrc"),
)


def _manifest(path: str, text: str) -> Iterator[Wanted]:
    """As a whole, or, where it is a part with dots or comments in it, as one."""
    try:
        yield from list(whole(path, text))
    except ValueError:
        yield from part(path, [Line(line) for line in text.splitlines()])


def _pipeline(text: str) -> Iterator[Wanted]:
    try:
        yield from list(of_pipeline(yaml(text)))
    except ValueError:
        yield from part(".github/workflows/x.yml", [Line(line) for line in text.splitlines()])
