"""Which programs a shell command would run."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.shell import MAX_COMMANDS, MAX_TEXT, commands

RUNS = {
    "ls -la": ["ls"],
    "ls; rm x && cat y || true": ["ls", "rm", "cat", "true"],
    "ls|wc -l": ["ls", "wc"],
    "ls & rm x": ["ls", "rm"],
    "ls\nrm x": ["ls", "rm"],
    "ls \\\n -la": ["ls"],
    "/usr/bin/git status": ["/usr/bin/git"],
    "'r''m' x": ["rm"],
    'r"m" x': ["rm"],
    "r\\m x": ["rm"],
    '"r\\"m" x': ['r"m'],
    "$'rm' x": ["rm"],
    "echo $(rm x) `cat y` <(ls)": ["echo", "rm", "cat", "ls"],
    'echo "$(rm x)"': ["echo", "rm"],
    "echo ${x:-$(rm y)}": ["echo", "rm"],
    "(cd x && ls)": ["cd", "ls"],
    "{ ls; }": ["ls"],
    "f() { rm x; }; f": ["rm", "f"],
    "if true; then rm x; else ls; fi": ["true", "rm", "ls"],
    "for i in a b; do rm $i; done": ["rm"],
    "while read l; do rm $l; done < f": ["read", "rm"],
    "case $x in a) ls;; *) rm;; esac": ["ls", "rm"],
    "[[ $(rm x) ]]": ["rm"],
    "! ls": ["ls"],
    "ls > /etc/passwd 2>&1": ["ls"],
    "a=b": [],
    "a=b ls": ["ls"],
    "export A=$(rm x)": ["rm"],
    "": [],
    "# rm x": [],
    "echo 'rm x'": ["echo"],
    "grep -r 'pip install evil' .": ["grep"],
    "cat <<EOF\nrm $x\nEOF": ["cat"],
    # wrappers
    "sudo rm x": ["sudo", "rm"],
    "sudo -u root env A=1 nice -n 5 pip3 install x": ["sudo", "env", "nice", "pip3"],
    "timeout -s KILL 60 rm x": ["timeout", "rm"],
    "timeout 60": ["timeout"],
    "time -p ls": ["time", "ls"],
    "nohup setsid stdbuf -o 0 ls": ["nohup", "setsid", "stdbuf", "ls"],
    "command -v rm": ["command", "rm"],
    "env - ls": ["env", "-"],
    "env -u A B=1": ["env"],
    "exec -a name rm": ["exec", "rm"],
    "xargs": ["xargs"],
    "xargs -n1 rm": ["xargs", "rm"],
    "echo x | xargs -I{} rm {}": ["echo", "xargs", "rm"],
    "find . -name x -exec rm {} \\;": ["find", "rm"],
    "find . -exec sudo rm {} + -ok ls \\;": ["find", "sudo", "rm", "ls"],
    "/usr/bin/sudo rm": ["/usr/bin/sudo", "rm"],
    # shells
    "sh -c 'rm x; ls'": ["sh", "rm", "ls"],
    "bash -xec 'rm x'": ["bash", "rm"],
    "sh -c 'bash -c \"rm x\"'": ["sh", "bash", "rm"],
    "sudo bash -c 'rm x'": ["sudo", "bash", "rm"],
    "find . -exec sh -c 'rm x' \\;": ["find", "sh", "rm"],
    "eval 'ls; rm' x": ["eval", "ls", "rm"],
    "bash <<< 'rm x'": ["bash", "rm"],
    "bash <<'EOF'\nrm x; ls\nEOF": ["bash", "rm", "ls"],
    "bash script.sh": ["bash"],
    "bash": ["bash"],
    "bash < script.sh": None,
    "python3 -c 'import os'": ["python3"],
    "source ./x; . ./y": ["source", "."],
    # what cannot be told
    "$CMD x": None,
    "$(which ls) x": None,
    "/bin/c?t x": None,
    "~/bin/x": None,
    "a{b,c} x": None,
    "{a,b} x": None,
    "$'pi\\x70' x": None,
    '$"ls" x': None,
    "ls )": None,
    "'' x": None,
    "curl x | sh": None,
    "curl x | sudo bash": None,
    "curl x | (sh)": None,
    "curl x | { sh; }": None,
    "while read l; do bash; done < f": None,
    "cat <<EOF\n$(rm x)\nEOF": ["cat", "rm"],
    "curl x | bash -s -- y": None,
    "cat <<'E' | sh\nrm\nE": None,
    'bash <<< "rm $x"': None,
    "bash <<EOF\nrm $x\nEOF": None,
    "bash -c": None,
    'bash -c "rm $x"': None,
    "eval $x": None,
    "env -S 'rm x'": None,
    "env -Srm": None,
    "sudo $x": None,
    "PATH=/tmp git status": None,
    "export PATH=/tmp; git status": None,
    "env LD_PRELOAD=x ls": None,
    "GIT_SSH_COMMAND=x git fetch": None,
    "PIP_INDEX_URL=http://x pip install y": None,
    "npm_config_registry=http://x npm i y": None,
}


@pytest.mark.parametrize("text", RUNS)
def test_every_program_is_found_or_nothing_is_told(text: str) -> None:
    if RUNS[text] is None:
        with pytest.raises(ValueError, match=r"the command|known only when|env splits|long"):
            commands(text)
    else:
        assert commands(text) == RUNS[text]


def test_shells_within_shells_have_an_end() -> None:
    text = "ls"
    for _ in range(7):
        text = "sh -c " + "'" + text.replace("'", "'\\''") + "'"
    with pytest.raises(ValueError, match="too deeply"):
        commands(text)


@pytest.mark.parametrize("text", ["x" * (MAX_TEXT + 1), "ls\0rm", "ls;" * (MAX_COMMANDS + 1)])
def test_what_is_too_large_or_seen_in_part_is_not_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"longer than|more than"):
        commands(text)


@given(st.text("lsrm x'\"$(){}`\\;|&<>=!#-c\n*?", max_size=40))
def test_any_text_gives_names_or_a_reason(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert all(commands(text))
