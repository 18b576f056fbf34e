"""Which programs a shell command would run."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.shell import MAX_COMMANDS, MAX_TEXT, arguments, commands

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
    "env - ls": ["env", "ls"],
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
    # options of wrappers
    "sudo --user root rm x": ["sudo", "rm"],
    "sudo --us=root rm x": ["sudo", "rm"],
    "sudo -nu root rm x": ["sudo", "rm"],
    "sudo -u root -- rm x": ["sudo", "rm"],
    "sudo FOO=1 rm x": ["sudo", "rm"],
    "sudo --chdir /x --prompt y -C 3 rm": ["sudo", "rm"],
    "sudo -u \"$USER\" ls": ["sudo", "ls"],
    "sudo -iu postgres psql": ["sudo", "psql"],
    "sudo -v; sudo -i": ["sudo", "sudo"],
    "echo pw | sudo -S ls": ["echo", "sudo", "ls"],
    "doas -nu root rm x": ["doas", "rm"],
    "env -iu A -C /x --unset B a~=1 rm": ["env", "rm"],
    "env A=\"$x\" rm": ["env", "rm"],
    "timeout -vk 5 --signal KILL 60 rm x": ["timeout", "rm"],
    "nice -5 rm; nice --5 rm; nice --adjustment 5 rm": ["nice", "rm", "nice", "rm", "nice", "rm"],
    "ionice --class 3 -tn 4 rm x": ["ionice", "rm"],
    "stdbuf --output 0 -eL rm x": ["stdbuf", "rm"],
    "xargs --max-args 1 --delimiter '\\n' -rP 4 rm": ["xargs", "rm"],
    "xargs --replace rm {}": ["xargs", "rm"],
    "xargs -I{} sh -c 'echo \"$1\"' _ {}": ["xargs", "sh", "echo"],
    "time -ao f --format x rm": ["time", "rm"],
    "time A=1 rm x": ["time", "rm"],
    "exec -ca name rm": ["exec", "rm"],
    "command -p -- rm x": ["command", "rm"],
    "flock -w 5 f rm x; flock f -c 'ls; rm x'": ["flock", "rm", "flock", "ls", "rm"],
    "taskset -c 0-3 rm x; chrt -f 10 rm x": ["taskset", "rm", "chrt", "rm"],
    "setarch x86_64 -R rm x; linux32 rm; setarch -R ./x": ["setarch", "x86_64", "rm", "linux32", "rm", "setarch", "./x"],
    "chroot --userspec a:b /x rm y; unshare -mr rm; nsenter -t 1 -m rm": ["chroot", "rm", "unshare", "rm", "nsenter", "rm"],
    "gosu app rm x; pkexec --user a rm; setpriv --reuid 1 rm": ["gosu", "rm", "pkexec", "rm", "setpriv", "rm"],
    "busybox rm x; busybox sh -c 'ls; rm'": ["busybox", "rm", "busybox", "sh", "ls", "rm"],
    "noglob rm x; nocorrect rm; - rm; repeat 3 rm": ["noglob", "rm", "nocorrect", "rm", "-", "rm", "repeat", "rm"],
    # texts that wrappers have a shell read
    "su -c 'ls; rm x' root; su - root -c rm; su -c'rm x'": ["su", "ls", "rm", "su", "rm", "su", "rm"],
    "su root -- -c 'rm x'; su -s /bin/rm root; su root x.sh": ["su", "rm", "su", "/bin/rm", "su"],
    "runuser -u app -- rm x; runuser -l app -c 'rm x'": ["runuser", "rm", "runuser", "rm"],
    "watch -n 2 'ls | rm'; watch -d rm x; watch -x rm": ["watch", "ls", "rm", "watch", "rm", "watch", "rm"],
    "watch 'ls": None,
    "script -qc 'rm x' /dev/null; script -q /dev/null rm x": ["script", "rm", "script", "rm"],
    "ssh -p 22 host -l root 'cd x && rm y'; ssh host": ["ssh", "cd", "rm", "ssh"],
    "npx -yc 'rm x'; npm exec --call='rm x'; npm i --cache x": ["npx", "rm", "npm", "rm", "npm"],
    "npx tsc; npm run build; docker run x rm": ["npx", "npm", "docker"],
    # programs that run what is in their environments
    "uv run --frozen --group dev pytest; uv --directory x run -m rm": ["uv", "pytest", "uv", "rm"],
    "uv sync --new; uv pip install run": ["uv", "uv"],
    "poetry -C x run rm; poetry install; pipenv run rm; pdm run -p x rm": ["poetry", "rm", "poetry", "pipenv", "rm", "pdm", "rm"],
    "hatch -e x run rm; bundle exec rake; pnpm -r exec rm; yarn exec rm; yarn add x": [
        "hatch", "rm", "bundle", "rake", "pnpm", "rm", "yarn", "rm", "yarn",
    ],
    # what cannot be told
    "sudo --new root rm": None,
    "sudo -Y rm": None,
    "sudo -u $USER rm": None,
    "sudo --preserve rm": None,
    "timeout --new 5 rm": None,
    "uv run --new rm": None,
    "env -P /x rm": None,
    "sudo PATH=/x rm": None,
    "time PATH=/x rm": None,
    "env 'BASH_FUNC_ls%%=() { rm x; }' bash -c ls": None,
    "chrt -i rm x": None,
    "timeout 5 -k 5 rm": None,
    "xargs -i {}": None,
    "echo 'x; rm y' | xargs -I% sh -c 'echo %'": None,
    "xargs -I \"$m\" sh -c 'echo x'": None,
    "find . -exec sh -c 'echo {}' \\;": None,
    "find . $a": None,
    "d=-exec; find . \"$d\" rm {} +": None,
    "find . {-exec,rm,{},+}": None,
    "r{m,{}} x": None,
    "set -- -exec rm {} +; find . \"$@\"": None,
    "echo rm | sudo -s": None,
    "echo rm | su": None,
    "echo rm | chroot /x": None,
    "echo rm | ssh host": None,
    "ssh -o ProxyCommand='rm x' host ls": None,
    "ssh host \"ls $x\"": None,
    "ssh \"$host\" ls": None,
    "a='-c rm'; sh $a": None,
    "a=-c; bash \"$a\" 'rm x'": None,
    "a=-c; bash --rcfile f \"$a\" 'rm x'": None,
    "a=-c; bash -s \"$a\" git; sh -c ls": None,
    "a=-c; bash -posix \"$a\" git": None,
    "set -- -c rm; sh \"$@\"": None,
    "echo rm | sh -c sh": None,
    "echo rm | eval bash": None,
    "f() { bash; }; echo rm | f": None,
    "echo 'rm x' | source /dev/stdin": None,
    "echo 'rm x' | bash /dev/fd/0": None,
    "echo rm | bash -s x": None,
    "fish -c 'ls; and rm x'": None,
    "csh -c 'rm x'": None,
    "echo rm | bash <<< x": None,
    "echo rm | bash -s <<'E'\nx\nE": None,
    "bash <<< x <<< rm": None,
    "{ bash <<< x; } < f": None,
    "time ! rm": None,
    "time { rm x }": None,
    "time {rm x}": None,
    "=rm x": None,
    "command export PATH=/x; ls": None,
    "\\export PATH=/x; ls": None,
    "'export' 'PATH+=:/x'; ls": None,
    "export 'PATH+=:/x'; ls": None,
    "a=PATH=/x; export $a; ls": None,
    "declare \"$a=x\"; ls": None,
    "export $(cat f)": None,
    "builtin let 'a[$(rm x)]'": None,
    "command printf -v 'a[$(rm x)]' y": None,
    "command read PATH; ls": None,
    "read $a; ls": None,
    "\\declare -i 'a=b[$(rm x)]'": None,
    "n=1; eval 'n=\"a[$(rm y)]\"'; echo $((n))": None,
    "n=1; . ./f; echo $((n))": None,
    "compgen -C 'rm x'": None,
    "compgen -W '$(rm x)'": None,
    "jobs -x rm x": None,
    "enable -f ./x.so y": None,
    "set -k; ls PATH=/x": None,
    "setopt rcquotes; echo 'a''rm'": None,
    "path=/x; ls": None,
    "commands[ls]=/x/rm; ls": None,
    "LESSOPEN='|rm x' less f": None,
    "GIT_CONFIG_COUNT=1 git log": None,
    "IFS=x; read a": None,
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
    "env --split-string='rm x'": None,
    "timeout --foreground=1 rm x": None,
    "sudo $x": None,
    "PATH=/tmp git status": None,
    "export PATH=/tmp; git status": None,
    "env LD_PRELOAD=x ls": None,
    "GIT_SSH_COMMAND=x git fetch": None,
    "PIP_INDEX_URL=http://x pip install y": None,
    "npm_config_registry=http://x npm i y": None,
    # what a shell goes on to read
    "bash -commit errexit -c 'rm x'": ["bash", "rm"],
    "bash -c -euo pipefail 'rm x'": ["bash", "rm"],
    "bash -rcfile f -c 'rm x'; bash -norc x.sh; bash --posix -c ls": ["bash", "rm", "bash", "bash", "ls"],
    "cat f | bash ./x.sh $a": ["cat", "bash"],
    "bash \"$DIR/x.sh\" $a; sh \"$x\"; bash -o pipefail x $a": ["bash", "sh", "bash"],
    "eval ls x; eval": ["eval", "ls", "eval"],
    "mapfile -Crm a; mapfile -tC rm a": ["mapfile", "rm", "mapfile", "rm"],
    "find \"$d\" *.d -newer \"$f\" -exec ls {} + -o -ok rm {} \\;": ["find", "ls", "rm"],
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
    # lines that begin with an escape, operators in a test
    "ls\n\\rm x", "ls \n\\rm x", "[ -f x&rm ]", "[ x || rm == f ]", "[ x <rm ]", "[ \n rm ]", "[[ x \n rm ]]", "a=rm; [[ x || $a == f ]]",
    "[[ x && $(ls) == f ]]", "a=rm; [[ x |ok| $a == f ]]", "[[ x & rm ]]", "[ x #\\\n rm ]", "[ x #y\n rm ]",
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


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What of a command a shell runs: its programs leave their names and do nothing, but for some that run others."""
    folder, log = tmp_path_factory.mktemp("programs"), tmp_path_factory.mktemp("log") / "ran"
    for name in ("rm", "ls", "cat", "wc", "x", "y", "git", "psql", "make", "pip3"):
        folder.joinpath(name).write_text(f"#!/bin/sh\necho {name} >> {log}\n")
        folder.joinpath(name).chmod(0o755)
    for name in ("sh", "bash", "env", "nice", "timeout", "nohup", "stdbuf", "setsid", "xargs", "find", "flock", "taskset", "setarch"):
        folder.joinpath(name).symlink_to(shutil.which(name))

    def run(shell, text):
        log.write_text("")
        work = tmp_path_factory.mktemp("work")
        work.joinpath("f").touch()
        command = [shutil.which(shell), "-c", text]
        subprocess.run(command, env={"PATH": str(folder)}, cwd=work, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
        return set(log.read_text().split())

    return run


@pytest.mark.unmeasured
@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("text", [text for text in [*RUNS, *MISREAD] if re.fullmatch(r"[^/>~&]+", text) and "setsid" not in text])
def test_a_real_shell_runs_nothing_that_is_not_told(runs, shell: str, text: str) -> None:
    """Texts without a path, a redirection or the background: nothing but the programs of the fixture can be met."""
    try:
        told = {name.rpartition("/")[2] for name in commands(text)}
    except ValueError:
        return
    assert runs(shell, text) <= told


@pytest.mark.parametrize(
    ("text", "found"),
    {
        "for ((i=0; i<5; i++)); do ls $((i * 2)) ${a[i]}; done": ["ls"],
        "for i in 1 2 {3..5}; do [[ $i -eq 2 || $# -gt 1 ]] && ls $((i+1)); done": ["ls"],
        "n=0; while (( n < 0x1f )); do ls; n=$((n + ${#x} + ${#a[@]} + RANDOM)); done": ["n", "ls"],
        "(( k = 16#ff, k += 2 )); echo $(( ($k + ${k}) * 2 ))": ["k", "echo"],
        "declare -i n=1; declare -A m=([a]=1); m[key]=1; echo ${m[key]} ${m[@]} ${x:0:2} ${x: -1} ${!m[@]} ${x@Q} ${x:-y}": ["echo"],
        'export "A=$x" B=1 \'C=2\'; a=([0]=x y); unset x a[0]; [[ -v x && -n "$x" && ! -R y ]] && test -v x': ["test"],
        "while IFS=, read -r a b; do ls; done < f; set -euo pipefail; set -- $x; wait $!": ["read", "ls", "set", "set", "wait"],
        "export A; readonly B; local c=$1 d; export -f f; unset x": [],
        "read -r line < f; [[ $line == [a-z]* && \"$#\" -gt 1 ]]; printf '%s' \"$line\"": ["read", "printf"],
        "ls && \\\n  cat x \\\n  | wc; echo 'a\\\nb' \"a\\\nb\" # c \\": ["ls", "cat", "wc", "echo"],
        "cat <<E\nx \\`x\\`\nE\n": ["cat"],
        "cat <<'E'\n`x` $(y)\nE\n": ["cat"],
        "cat <<E\n$(ls)\n${x:-$(wc)}\nE\n": ["cat", "ls", "wc"],
        "echo \"$(echo '$(x)')\" 'a`b`' \\`x\\`": ["echo", "echo"],
        "[[ x || rm == f && ! -f y ]] && [ -f x -a \"$a\" = b ]": ["rm"],
        "[[ -n $a &&\n $b == c ]] && ls": ["ls"],
        "rm=1 r=1; (( rm - r ))": ["rm"],
        "a=1; (( a=1|rm ))": None,
        "f() { $y; }": None,
    }.items(),
)  # fmt: skip
def test_what_has_one_reading_is_told(text: str, found: list[str] | None) -> None:
    if found is None:
        with pytest.raises(ValueError, match="known only when"):
            commands(text)
    else:
        assert commands(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    {
        "cat \"/etc/passwd\" a\\ b '' .\"\"./x": [("cat", "/etc/passwd"), ("cat", "a b"), ("cat", ""), ("cat", "../x")],
        "cat *.py [a]/b ~/x 'a*' .*/x a/.?": [("cat", "*.py"), ("cat", "[a]/b"), ("cat", "~/x"), ("cat", "a*"), *[("cat", None)] * 2],
        "cat $x \"$x/y\" $(ls a) {b,c}": [("cat", None), ("cat", None), ("cat", None), ("cat", None), ("ls", "a")],
        "cat <f >>\"g h\" 2>&1 >|i": [("<", "f"), (">", "g h"), (">", "i")],
        "( ls ) > $x; > y": [(">", None), (">", "y")],
        "sh -c 'cat a'; find . -exec rm {} +": [
            ("sh", "-c"), ("sh", "cat a"), ("cat", "a"),
            ("find", "."), ("find", "-exec"), ("find", "rm"), ("find", "{}"), ("find", "+"), ("rm", None),
        ],
        "sudo -u a cat b": [("sudo", "-u"), ("sudo", "a"), ("sudo", "cat"), ("sudo", "b"), ("cat", "b")],
        "cat <<E\n/etc\nE\nA=/etc ls": [],
    }.items(),
)  # fmt: skip
def test_words_are_given_as_the_programs_get_them(text: str, found: list[tuple[str, str | None]]) -> None:
    assert [tuple(one) for one in arguments(text)] == found


@pytest.mark.parametrize("text", ["$x a", "ls 'a", "ls" + " a" * (MAX_COMMANDS + 1)])
def test_words_of_what_cannot_be_read_are_not_given(text: str) -> None:
    with pytest.raises(ValueError, match="command"):
        arguments(text)


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
