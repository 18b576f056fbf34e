"""Which packages a shell command would install or run from an index: `pip:requests`, `npm:@scope/name`.

What is not a plain name says so behind the colon: `!index:` another index, `!direct:` a URL or a path, `!file:` a list in a file,
`!dynamic:` known only when it runs. Packages run without being installed (`npx`, `uvx`) count, for their code runs just the same.

An option that is not known here may take the next word, which is then reported as a name: too many names ask too often, too few would
let one through. Lock files (`npm ci`, `pip install` without names) name nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

from gateway.policy import shell
from gateway.policy.shell import Command, Word


class _Way(NamedTuple):
    """One way to install: a program, the words that must follow, and what stands behind them."""

    programs: str
    """Pattern of the program's name."""
    words: tuple[str, ...]
    """Alternatives of each word behind it, `|` between them; options may stand before and between."""
    kind: str
    """Kind of package."""
    takes: Literal["all", "first", "none", "settings"] = "all"
    """Which words behind are packages: all, the first (the rest goes to it), none but those of options; `settings`: what is said there
    changes where packages come from."""
    prefix: str = ""
    """What is put before the name (`npm create x` runs `create-x`)."""


_PIP, _NPM = r"pip[\d.]*", "npm|pnpm|yarn|bun"
_NPM_ADD = "install|i|in|ins|inst|insta|instal|isnt|isnta|isntal|isntall|add|update|up|upgrade"
WAYS: Final = (
    _Way(_PIP, ("install|download|wheel",), "pip"),
    _Way("uv", ("pip", "install"), "pip"),
    _Way("uv", ("add",), "pip"),
    _Way("uv", ("tool", "install|run|upgrade"), "pip", takes="first"),
    _Way("uv", ("run",), "pip", takes="none"),
    _Way("uvx", (), "pip", takes="first"),
    _Way("poetry|pdm|rye|hatch", ("add",), "pip"),
    _Way("pipenv", ("install",), "pip"),
    _Way("pipx", ("install|run|inject|upgrade",), "pip", takes="first"),
    _Way("easy_install[\\d.-]*", (), "pip"),
    _Way("conda|mamba|micromamba", ("install|create",), "conda"),
    _Way(_PIP, ("config", "set"), "pip", takes="settings"),
    _Way(_NPM, ("config", "set"), "npm", takes="settings"),
    _Way(_NPM, (_NPM_ADD,), "npm"),
    _Way("yarn", ("global", "add"), "npm"),
    _Way("npx|pnpx|bunx", (), "npm", takes="first"),
    _Way("npm", ("exec|x",), "npm", takes="first"),
    _Way("pnpm|yarn", ("dlx",), "npm", takes="first"),
    _Way("bun", ("x",), "npm", takes="first"),
    _Way("npm|pnpm|yarn|bun", ("create|init|innit",), "npm", takes="first", prefix="create-"),
    _Way("cargo", ("add|install",), "cargo"),
    _Way("gem", ("install|i",), "gem"),
    _Way("bundle", ("add",), "gem"),
    _Way("go", ("get|install",), "go"),
    _Way("go", ("run",), "go", takes="first"),
    _Way("composer", ("require",), "composer"),
    _Way("apt|apt-get|aptitude|apk|dnf|yum|zypper|pacman|brew|snap", ("install|add|reinstall|-S|-Sy|-Syu",), "system"),
)
_PYTHON = re.compile(r"python[\d.]*|py|pypy[\d.]*")
_MODULE = re.compile(r"-[bBdEhiIOPqsSuvx]*m(.*)")
_INDEX_OPTIONS = frozenset({
    "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--registry", "--index", "--default-index", "--source",
})  # fmt: skip
_FILE_OPTIONS = frozenset({
    "-r", "--requirement", "--requirements", "-c", "--constraint", "-e", "--editable", "--path", "--git", "-p", "--package",
})  # fmt: skip
_PACKAGE_OPTIONS = frozenset({"--with", "--from", "--package", "-p", "--spec"})
"""Options whose value is a package as well, where only one is named."""
_VALUE_OPTIONS = frozenset({
    "-t", "--target", "--prefix", "--root", "--python", "--group", "--extra", "--features", "-F", "--cwd", "--dir", "-C", "--workspace",
    "-w", "--platform", "--python-version", "--implementation", "--abi", "--proxy", "--timeout", "--retries", "--cache-dir", "--log",
    "--version", "-v", "--channel", "-n", "--name", "--tag", "--optional", "--directory",
})  # fmt: skip
_DIRECT = re.compile(
    r"(?:[a-z0-9+.-]+://|git\+|git@|(?:github|gitlab|bitbucket|gist|file|link|npm|git|ssh|https?):|\.{0,2}/|~/|\.{1,2}$)", re.IGNORECASE
)
_ARCHIVE = re.compile(r"\.(?:whl|tar\.gz|tgz|zip|tar\.bz2|gem|crate|deb|rpm|apk)$", re.IGNORECASE)
_NAME = re.compile(r"@?[A-Za-z0-9][A-Za-z0-9._~+/-]*")


def installs(text: str) -> list[str]:
    """`<kind>:<name>` of every package, each once, in order."""
    return list(dict.fromkeys(name for command in shell.read(text) for name in _installed(command)))


def _installed(command: Command) -> Iterator[str]:
    words = list(command.words)
    name = command.name
    if _PYTHON.fullmatch(name):
        name, words = _module(words)
    for way in WAYS:
        if re.fullmatch(way.programs, name):
            behind = _behind(words[1:], way.words)
            if behind is not None:
                yield from _packages(way, behind)
                return


def _module(words: list[Word]) -> tuple[str, list[Word]]:
    """The module that `python -m` runs, and its own words."""
    for at, word in enumerate(words):
        found = _MODULE.fullmatch(word.text)
        if found and found[1]:
            return found[1], words[at:]
        if found:
            rest = words[at + 1 :]
            return (rest[0].text if rest else ""), rest
    return "", []


def _behind(words: Sequence[Word], wanted: Sequence[str]) -> Sequence[Word] | None:
    """The words behind the wanted ones; None when they are not there. A word that is known only when it runs may be a wanted one."""
    for alternatives in wanted:
        known = alternatives.split("|")
        while words and words[0].fixed and words[0].text.startswith("-") and words[0].text not in known:
            words = words[1:] if "=" in words[0].text or words[0].text not in _VALUE_OPTIONS | _INDEX_OPTIONS else words[2:]
        if not words or (words[0].fixed and words[0].text not in known):
            return None
        words = words[1:]
    return words


def _packages(way: _Way, words: Sequence[Word]) -> Iterator[str]:
    if way.takes == "settings":
        yield f"{way.kind}:!index:{' '.join(word.text for word in words)}"
        return
    rest, taken = list(words), 0
    while rest:
        word = rest.pop(0)
        option, equals, value = word.text.partition("=")
        if word.text.startswith("-") and word.text != "-":
            yield from _option(way, option, Word(value, word.fixed) if equals else None, rest)
        elif way.takes == "all" or (way.takes == "first" and not taken):
            taken += 1
            yield _package(way, word)


def _option(way: _Way, option: str, value: Word | None, rest: list[Word]) -> Iterator[str]:
    """What an option brings in; takes its value from the rest."""
    if value is None and option in _INDEX_OPTIONS | _FILE_OPTIONS | _PACKAGE_OPTIONS | _VALUE_OPTIONS and rest:
        value = rest.pop(0)
    if value is None:
        return
    if option in _INDEX_OPTIONS:
        yield f"{way.kind}:!index:{value.text}"
    elif way.takes != "all" and option in _PACKAGE_OPTIONS:
        yield _package(way, value)
    elif option in _FILE_OPTIONS:
        yield f"{way.kind}:!file:{value.text}"


def _package(way: _Way, word: Word) -> str:
    text = word.text
    if not word.fixed:
        return f"{way.kind}:!dynamic:{text}"
    if way.kind == "pip" and re.match(r"[\w.\[\],-]+\s*@\s*\S", text):
        return f"{way.kind}:!direct:{text}"
    path = way.kind == "npm" and "/" in text and not text.startswith("@")
    if path or _ARCHIVE.search(text) or (way.kind != "go" and _DIRECT.match(text)):
        return f"{way.kind}:!direct:{text}"
    name = _bare(way.kind, text)
    if not _NAME.fullmatch(name):
        return f"{way.kind}:!dynamic:{text}"
    return f"{way.kind}:{_prefixed(way.prefix, name)}"


def _bare(kind: str, text: str) -> str:
    """The name without version, extras and marker, in the index's own spelling."""
    if kind in ("pip", "conda"):
        name = re.split(r"[\[<>=!~;@ ]", text, maxsplit=1)[0]
        return re.sub(r"[-_.]+", "-", name).lower() if kind == "pip" else name.lower()
    scoped = text.startswith("@")
    name = ("@" if scoped else "") + text[scoped:].partition("@")[0]
    if kind == "npm":
        return name.lower()
    return re.split(r"[:=]", name, maxsplit=1)[0] if kind in ("gem", "composer", "system") else name


def _prefixed(prefix: str, name: str) -> str:
    """`create-x` for `x`, `@scope/create-x` for `@scope/x`."""
    if not prefix or not name.startswith("@"):
        return prefix + name
    scope, _, inner = name.partition("/")
    return f"{scope}/{prefix}{inner}" if inner else f"{scope}/{prefix.rstrip('-')}"
