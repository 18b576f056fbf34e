"""`--help` of every command: a sentence that says what it does, an example that the command itself understands, a line for each option."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest
import typer
from typer.core import TyperGroup

from gateway.cli import main


def walked(command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    yield path, command
    if isinstance(command, TyperGroup):
        for name, below in command.commands.items():
            yield from walked(below, (*path, name))


COMMANDS = [pair for name in main.VERBS for pair in walked(main.load_command(name), (name,))]
DOING = [(path, command) for path, command in COMMANDS if not isinstance(command, TyperGroup) or command.invoke_without_command]
"""All but those that only hold others."""


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[" ".join(path) for path, _ in COMMANDS])
def test_a_command_says_what_it_does_in_a_sentence(path, command):
    first = command.help.strip().partition("\n\n")[0]
    assert re.match(r"[A-Z].*[.?]$", first, re.DOTALL), first
    assert re.search(r"[.?] |[.?]$", first)


@pytest.mark.parametrize(("path", "command"), DOING, ids=[" ".join(path) for path, _ in DOING])
def test_a_command_has_an_example_that_it_understands(path, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"^Example: (.*)$", command.help, re.MULTILINE)
    lines = [one.removeprefix('eval "$(').removesuffix(')"') for one in re.split(r" && |, or: ", example)]
    for line in lines:
        understood(line)
    assert any(line.split()[1 : 1 + len(path)] == list(path) for line in lines)


def understood(line: str) -> None:
    """Raises what the command says of a word that it does not know."""
    words = shlex.split(line.partition(" >")[0])[1:]
    name, rest = words[0], words[1:]
    command = main.load_command(name)
    while isinstance(command, TyperGroup) and rest and rest[0] in command.commands:
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context(name, rest)


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[" ".join(path) for path, _ in COMMANDS])
def test_every_option_is_explained(path, command):
    assert [option.name for option in command.params if not (getattr(option, "help", None) or "").strip()] == []


STARTING = {("up",), ("doctor",), ("encryption", "rewrap")}
"""They take a settings file by name, which --data stands over."""


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[" ".join(path) for path, _ in COMMANDS])
def test_the_data_folder_is_found_in_one_way(path, command):
    told = {option.help for option in command.params if option.name == "data" and path not in STARTING}
    assert told <= {"Data folder. Default: TOLLHOUSE_DATA, the settings file's, or .tollhouse."}


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[" ".join(path) for path, _ in COMMANDS])
def test_the_shell_is_told_of_the_whole_program_alone(path, command):
    assert not {"install_completion", "show_completion"} & {option.name for option in command.params}


def test_an_example_with_an_unknown_option_would_not_pass():
    with pytest.raises(typer.BadParameter.__base__, match="--nonsense"):
        understood("tollhouse tail --nonsense")
