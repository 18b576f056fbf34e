"""However an install command is wrapped, the same packages are found in it."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.validators.packages.commands import command
from gateway.validators.packages.wanted import ECOSYSTEMS

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}(?:-[a-z0-9]{1,5})?", fullmatch=True)
PROGRAMS = st.sampled_from([
    *(("pip install", "pip"), ("pip3 install -U --pre", "pip"), ("python -m pip install -q", "pip"), ("uv pip install", "pip")),
    *(("uv add --dev", "pip"), ("poetry add", "pip"), ("pipx install", "pip"), ("npm i -D", "npm"), ("npm --loglevel x install", "npm")),
    *(("pnpm add -w", "npm"), ("yarn add", "npm"), ("bun add", "npm"), ("cargo add", "cargo"), ("gem install -N", "gem")),
    *(("apt-get install -y", "system"), ("apk add", "system"), ("brew install", "system"), ("conda install -n base -y", "conda")),
])  # fmt: skip
OPTIONS = st.sampled_from(["--unknown", "--unknown=value", "-q"])
QUOTED: list[Callable[[str], str]] = [
    lambda word: word,
    lambda word: f"'{word}'",
    lambda word: f'"{word}"',
    lambda word: f"{word[0]}'{word[1:]}'",
    lambda word: f'"{word[:1]}"{word[1:]}',
    lambda word: f"\\{word}",
]
WRAPPINGS: list[Callable[[str], str]] = [
    lambda said: f"sudo {said}",
    lambda said: f"sudo -u root -H {said}",
    lambda said: f"env A=1 B=2 {said}",
    lambda said: f"env -u A {said}",
    lambda said: f"nice -n 5 {said}",
    lambda said: f"timeout -k 5 60 {said}",
    lambda said: f"nohup {said} &",
    lambda said: f"FOO=bar {said}",
]
AROUND: list[Callable[[str], str]] = [
    lambda said: f"sh -c {shlex.quote(said)}",
    lambda said: f"bash -lc {shlex.quote(said)}",
    lambda said: f"( {said} )",
    lambda said: f"{{ {said}\n}}",
    lambda said: f"cd x && {said}",
    lambda said: f"ls; {said}",
    lambda said: f"true ||\n{said}",
    lambda said: f"{said} 2>&1 | tail -n 5",
    lambda said: f"echo $({said})",
    lambda said: f'echo "`{said}`"' if "`" not in said and '"' not in said and "\\" not in said else said,
    lambda said: f"if true; then {said}\nfi",
    lambda said: f"for i in 1 2; do {said}\ndone",
    lambda said: f"eval {shlex.quote(said)}",
    lambda said: f"bash <<'END'\n{said}\nEND\n" if "END" not in said else said,
    lambda said: f"docker run image sh -c {shlex.quote(said)}",
    lambda said: f"ssh host {shlex.quote(said)}",
    lambda said: f"find . -name x -exec sh -c {shlex.quote(said)} \\;",
]


def found(text: str) -> list[str]:
    return [str(one) for one in command(text)]


@settings(max_examples=80, deadline=None)
@given(PROGRAMS, st.lists(NAMES, min_size=1, max_size=4), st.data())
def test_any_wrapping_of_a_command_finds_the_same_names(way: tuple[str, str], names: list[str], data: st.DataObject) -> None:
    program, ecosystem = way
    words = [data.draw(st.sampled_from(QUOTED))(word) for word in (*program.split(), *names)]
    said = " ".join(words)
    for wrap in data.draw(st.lists(st.sampled_from(WRAPPINGS), max_size=2)):
        said = wrap(said.removesuffix(" &"))
    for wrap in data.draw(st.lists(st.sampled_from(AROUND), max_size=3)):
        said = wrap(said)
    assert set(found(said)) == {f"{ecosystem}:{name}" for name in names}, said


@settings(max_examples=40, deadline=None)
@given(PROGRAMS, st.lists(NAMES, min_size=1, max_size=3), st.lists(OPTIONS, max_size=4), st.data())
def test_no_option_hides_a_name(way: tuple[str, str], names: list[str], options: list[str], data: st.DataObject) -> None:
    program, ecosystem = way
    words = data.draw(st.permutations([*names, *options]))
    assert {f"{ecosystem}:{name}" for name in names} <= set(found(f"{program} {' '.join(words)}"))


@given(st.text("pip install a-$'\"`\\;|&<>(){}\n-r@:/=", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert all(one.ecosystem in ECOSYSTEMS for one in command(text))
