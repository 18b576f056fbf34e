"""Which programs a shell command would run."""

from __future__ import annotations

import contextlib
import time

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
    # what a shell goes on to read
    "bash -c -- 'rm x'": ["bash", "rm"],
    "bash -c -e +x -o pipefail 'rm x'": ["bash", "rm"],
    "bash -c -o": None,
    "sh <(echo rm)": None,
    "source <(echo rm)": None,
    "trap 'rm x' EXIT; ls": ["trap", "rm", "ls"],
    "trap -- rm EXIT": ["trap", "rm"],
    "trap - EXIT": ["trap"],
    "trap -l": ["trap"],
    'trap "$x" EXIT': None,
    "mapfile -C rm -c 1 a < f": ["mapfile", "rm"],
    "readarray -t a < f": ["readarray"],
    "alias ls='rm x'; alias l": ["alias", "rm", "alias"],
    "coproc rm x": None,
    "hash -p /tmp/rm ls": None,
    "hash -r": ["hash"],
    "find . -exec find . -exec find . -exec find . -exec find . -exec find . -exec find . -exec rm {} +": None,
}
MISREAD = [
    # words that go on, words of the grammar, files that are programs
    "r\\\nm x", "\"r\"\\\n\"m\"", "y=a\\\nb ls", "y=\\\n rm x", "! { rm x; }", "! ! rm x", "! if rm x; then ls; fi", ">f >f rm ==",
    "ls ==\nrm x", "ls == || f() { rm x; }; f", "ls \\ # \"'$(rm x)'\"", "ls $(('a[$(rm x)]'+1))", "[[ -n a=1<(rm x) ]]",
    # substitutions where none is read
    "cat <<E\n`rm x`\nE\n", "cat <<-E\n\t`rm x`\n\tE\n", "cat <<E\n$y ${x:-`rm x`} $y\nE\n", "cat <<E\n$y\n`rm x`\nE\n",
    "cat <<E\n${y='$(rm x)'}\nE\n", "echo ${y#$(rm x)}", "echo \"${y%`rm x`}\"", "echo ${y^$(rm x)}", "echo \"${y:-'$(rm x)'}\"",
    # expressions, which run what stands in a subscript
    "y='a[$(rm x)]'; echo $((y))", "y='a[$(rm x)]'; (( y > 1 ))", "y='a[$(rm x)]'; echo ${z[y]}", "y='a[$(rm x)]'; echo ${z:y}",
    "echo $[y]", "(( 'a[$(rm x)]' ))", "let 'a[$(rm x)]'", ">o let 'a[$(rm x)]'", "declare -i y='a[$(rm x)]'",
    "declare -i 'y=a[$(rm x)]'", "declare -a 'y=([$(rm x)]=1)'", "declare 'a[$(rm x)]=1'", "y=([$(rm x)]=1)", "a['$(rm x)']=1",
    "printf -v 'a[$(rm x)]' y", "read 'a[$(rm x)]'", "test -v 'a[$(rm x)]'", "[ -v 'a[$(rm x)]' ]", "[[ -v 'a[$(rm x)]' ]]",
    "[[ 'a[$(rm x)]' -eq 0 ]]", "unset 'a[$(rm x)]'", "y='a[$(rm x)]'; echo ${!y}", "y='$(rm x)'; echo ${y@P}",
    "declare -n r='a[$(rm x)]'; echo $r", "for y in 'a[$(rm x)]'; do echo $((y)); done", "read y; echo $((y))",
    "n=1; n=$(cat f); echo $((n))", "for ((i='a[$(rm x)]';i<1;)); do ls; done", "declare 'y=a[$(rm x)]'; echo $((y))",
    "echo ${y:=z} $((y))", "y=1; y+='a[$(rm x)]'; (( y ))", "for i in $y; do (( i )); done",
    # names that come to mean other programs
    "export 'PATH=/x'; ls", "PATH[0]=/x ls", "BASH_CMDS[ls]=/x/rm; ls", "read PATH; ls", "for PATH in /x; do ls; done",
    "echo ${PATH:=/x}; ls", "printf -v PATH /x; ls",
]  # fmt: skip
"""bash runs another program in each of them than the parser shows, or one that only the run tells."""


@pytest.mark.parametrize("text", RUNS)
def test_every_program_is_found_or_nothing_is_told(text: str) -> None:
    if RUNS[text] is None:
        with pytest.raises(ValueError, match=r"the command|known only when|env splits|long"):
            commands(text)
    else:
        assert commands(text) == RUNS[text]


@pytest.mark.parametrize("text", MISREAD)
def test_what_a_shell_reads_otherwise_than_the_parser_is_not_told(text: str) -> None:
    with pytest.raises(ValueError, match="command"):
        commands(text)


@pytest.mark.parametrize(
    ("text", "found"),
    {
        "for ((i=0; i<5; i++)); do ls $((i * 2)) ${a[i]}; done": ["ls"],
        "for i in 1 2 {3..5}; do [[ $i -eq 2 || $# -gt 1 ]] && ls $((i+1)); done": ["ls"],
        "n=0; while (( n < 0x1f )); do ls; n=$((n + ${#x} + ${#a[@]} + RANDOM)); done": ["ls"],
        "(( k = 16#ff, k += 2 )); echo $(( ($k + ${k}) * 2 ))": ["echo"],
        "declare -i n=1; declare -A m=([a]=1); m[key]=1; echo ${m[key]} ${m[@]} ${x:0:2} ${x: -1} ${!m[@]} ${x@Q} ${x:-y}": ["echo"],
        'export "A=$x" B=1 \'C=2\'; a=([0]=x y); unset x a[0]; [[ -v x && -n "$x" && ! -R y ]] && test -v x': ["test"],
        "read -r line < f; [[ $line == [a-z]* && \"$#\" -gt 1 ]]; printf '%s' \"$line\"": ["read", "printf"],
        "ls && \\\n  cat x \\\n  | wc; echo 'a\\\nb' \"a\\\nb\" # c \\": ["ls", "cat", "wc", "echo"],
        "cat <<E\n\\`x\\`\nE\n": ["cat"],
        "cat <<'E'\n`x` $(y)\nE\n": ["cat"],
        "cat <<E\n$(ls)\n${x:-$(wc)}\nE\n": ["cat", "ls", "wc"],
        "echo \"$(echo '$(x)')\" 'a`b`' \\`x\\`": ["echo", "echo"],
        "f() { $y; }": None,
    }.items(),
)  # fmt: skip
def test_what_has_one_reading_is_told(text: str, found: list[str] | None) -> None:
    if found is None:
        with pytest.raises(ValueError, match="known only when"):
            commands(text)
    else:
        assert commands(text) == found


@pytest.mark.parametrize("text", ["{ " * 2000 + "ls;" * 50 + "}; " * 2000, 'echo "$(echo ' * 900 + ')"' * 900])
def test_a_command_that_is_deep_is_read_in_time_that_grows_with_it(text: str) -> None:
    began = time.process_time()
    assert len(commands(text)) >= 50
    assert time.process_time() - began < 2


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
