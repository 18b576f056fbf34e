"""`tollhouse packages`: lists are made, looked into and asked."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from gateway.cli.packages import app
from gateway.errors import FileProblems
from gateway.validators.packages import name_list

LOCK = """
[[package]]
name = "requests"
source = {registry = "https://pypi.org/simple"}
[[package]]
name = "own"
source = {editable = "."}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoked(*arguments: str, stdin: str | None = None):
        done = CliRunner().invoke(app, arguments, input=stdin)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    invoked.folder = tmp_path
    return invoked


def made(run, names: str = "requests\nFlask # web\n\n", *options: str):
    run.folder.joinpath("names.txt").write_text(names)
    return run("build", "names.txt", "--ecosystem", "pypi", "-o", "pip.bloom", *options)


def test_a_list_is_built_shown_and_asked(run):
    done = made(run, "requests\nFlask # web\n\n", "--date", "2026-11-20")
    assert done.exit_code == 0
    assert "pip.bloom: 2 names of pip of 2026-11-20" in done.stdout
    assert "one wrong name in 1000000 passes" in done.stdout
    assert "2 names of pip" in run("show", "pip.bloom").stdout
    told = json.loads(run("show", "--json", "pip.bloom").stdout)
    assert (told["ecosystem"], told["made"], told["count"], told["rate"]) == ("pip", "2026-11-20", 2, 1e-6)
    asked = run("check", "pip:requests", "pip:FLASK", "pip:evil", "-k", "pip.bloom")
    assert asked.stdout.splitlines() == ["pip:requests known", "pip:flask known", "pip:evil unknown_package"]
    assert asked.exit_code == 1
    assert run("check", "pypi:requests", "-k", "pip.bloom").exit_code == 0


def test_names_may_come_from_a_pipe(run):
    assert run("build", "-", "-e", "npm", "-o", "npm.bloom", stdin="lodash\n@acme/x\n").exit_code == 0
    assert run("check", "npm:@acme/x", "-k", "npm.bloom").exit_code == 0


def test_two_lists_of_the_same_names_have_salts_of_their_own(run):
    made(run)
    first = run.folder.joinpath("pip.bloom").read_bytes()
    made(run)
    assert first != run.folder.joinpath("pip.bloom").read_bytes()
    assert [path.name for path in run.folder.iterdir() if path.name.startswith(".")] == []


def test_an_old_list_says_so(run):
    day = datetime.now(UTC).date() - timedelta(days=100)
    made(run, "requests", "--date", str(day))
    assert run("check", "requests", "-e", "pypi", "-k", "pip.bloom", "--max-age", "100").exit_code == 0
    asked = run("check", "requests", "-e", "pypi", "-k", "pip.bloom", "--max-age", "99")
    assert (asked.stdout, asked.exit_code) == (f"pip:requests stale_list {day}\n", 1)


def test_lock_files_and_lists_are_known_and_close_names_are_told(run):
    run.folder.joinpath("uv.lock").write_text(LOCK)
    run.folder.joinpath("own.txt").write_text("npm:@acme/*\n# ours\npip:ruff\n")
    assert run("names", "uv.lock", "own.txt").stdout.splitlines() == ["npm:@acme/*", "pip:requests", "pip:ruff"]
    names = ("pip:reqeusts", "npm:@acme/tool", "pip:own", "pip:git+https://x/y", "pip:$X")
    asked = run("check", "--json", *names, "-k", "uv.lock", "-k", "own.txt")
    told = [json.loads(line) for line in asked.stdout.splitlines()]
    assert [(one["package"], one["known"], one["code"], one["near"]) for one in told] == [
        ("pip:reqeusts", False, "typo_of", "requests"),
        ("npm:@acme/tool", True, "", ""),
        ("pip:own", False, "unknown_package", ""),
        ("pip:!direct:git+https://x/y", False, "direct_reference", ""),
        ("pip:!dynamic:$X", False, "unreadable", ""),
    ]
    assert "own.txt: names: 1 pip, 1 npm" in run("show", "own.txt").stdout
    run.folder.joinpath("empty.txt").write_text("")
    assert "names: none" in run("show", "empty.txt").stdout


def test_a_name_that_is_no_reference_is_told_even_when_all_names_are_known(run):
    made(run)
    assert run("check", "pip:requests", "pip:./x", "-k", "pip.bloom").exit_code == 1


def test_what_a_manifest_or_commands_would_install_is_found(run):
    run.folder.joinpath("requirements.txt").write_text("requests\n-r more.txt\n")
    assert run("find", "requirements.txt").stdout.splitlines() == ["pip:requests", "pip:!file:more.txt"]
    assert run("find", "-", stdin="cd x && npm i lodash").stdout == "npm:lodash\n"
    with pytest.raises(FileProblems, match=r"known only when the command runs; a rule .* would not let it pass"):
        run("find", "-", stdin="curl https://x.example | sh")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("build", "names.txt", "-e", "perl", "-o", "x"), "no ecosystem 'perl'"),
        (("build", "names.txt", "-e", "pip", "-o", "x", "--rate", "0.5"), "must lie between"),
        (("build", "names.txt", "-e", "pip", "-o", "x", "--date", "today"), "'today' is no day"),
        (("check", "requests", "-k", "names.txt"), "names no ecosystem; write pip:requests"),
    ],
)
def test_wrong_words_are_told_with_what_to_write(run, arguments, said):
    run.folder.joinpath("names.txt").write_text("pip:requests" if arguments[0] == "check" else "requests")
    done = run(*arguments)
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", "").split())


BUILD = ("build", "names.txt", "-e", "pip", "-o", "x")


@pytest.mark.parametrize(
    ("name", "text", "command", "said"),
    [
        ("names.txt", b"requests\ngit+https://x/y\na b\n", BUILD, r"names.txt:2:1: error: no name(?s:.*)names.txt:3:1"),
        ("names.txt", b"\xff", BUILD, "not UTF-8"),
        ("names.txt", b"requests", ("show", "names.txt"), "'requests' names no ecosystem"),
        ("uv.lock", b"[", ("names", "uv.lock"), "cannot be read as what its name says"),
        ("x.bloom", name_list.MAGIC + b"x" * 99, ("show", "x.bloom"), "damaged or cut off"),
        ("x.bloom", b"\xff\xfe", ("show", "x.bloom"), "neither UTF-8 text nor a list"),
        ("here.txt", b"", ("show", "absent.txt"), r"absent.txt.*cannot be read"),
        ("here.txt", b"x", ("check", "pip:a", "-k", "here.txt", "-k", "here.txt"), "'here.txt': 'x' names no ecosystem"),
    ],
)
def test_files_that_cannot_be_used_are_named(run, name, text, command, said):
    run.folder.joinpath(name).write_bytes(text)
    with pytest.raises(FileProblems, match=said):
        run(*command)


def test_a_dated_list_has_no_names_to_print(run):
    made(run)
    assert "keeps no names" in run("names", "pip.bloom").output
