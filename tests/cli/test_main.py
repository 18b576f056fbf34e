"""The command line itself: what it loads, what it suggests, how failures are told."""

import os
import subprocess
import sys

import pytest
import typer

from gateway.cli import main
from gateway.errors import FileProblems, GatewayError, JournalUnavailable, Problem, StartError

HEAVY = {
    "duckdb",
    "litellm",
    "uvicorn",
    "starlette",
    "aiohttp",
    "nanoarrow",
    "opentelemetry",
    "httpx",
    "anthropic",
    "openai",
}


def tollhouse(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"} | variables
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli.main", *arguments], capture_output=True, text=True, env=environment
    )


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["--version"], ["init", "--help"], ["nonsense"]])
def test_light_verbs_load_nothing_heavy(arguments):
    code = (
        "import sys\nfrom gateway.cli import main\n"
        f"try:\n    main.run({arguments!r})\nexcept SystemExit:\n"
        f"    sys.stderr.write(repr(sorted({HEAVY!r} & set(sys.modules))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.endswith("[]")


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["nonsense"]])
def test_the_table_of_verbs_is_told_without_what_draws_tables(arguments):
    code = f"import sys\nfrom gateway.cli import main\ntry:\n    main.run({arguments!r})\nexcept SystemExit:\n    "
    code += "sys.stderr.write(repr(sorted({'rich', 'markdown_it', 'pygments'} & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.endswith("[]")


def test_help_lists_every_verb_with_its_line():
    shown = tollhouse("--help").stdout
    for name, verb in main.VERBS.items():
        assert f" {name} " in shown
        assert verb.help in shown


@pytest.mark.parametrize("name", main.VERBS)
def test_every_verb_in_the_table_exists_and_explains_itself(name):
    command = main.load_command(name)
    assert command.name == name
    assert command.help


@pytest.mark.parametrize(("typed", "meant"), [("rehears", "rehearse"), ("demos", "demo"), ("statu", "status")])
def test_a_mistyped_verb_is_a_usage_error_with_the_nearest_name(typed, meant):
    done = tollhouse(typed)
    assert done.returncode == 2
    assert f"Did you mean '{meant}'" in done.stderr


def test_an_unknown_option_is_a_usage_error():
    assert tollhouse("init", "--nonsense").returncode == 2


@pytest.mark.parametrize(("encoding", "arrow"), [("ascii", "→"), ("latin-1", "\\u2192")])  # click takes ASCII for a mistake
def test_a_terminal_without_all_characters_shows_what_they_are(tmp_path, encoding, arrow):
    (tmp_path / "tollhouse.yaml").write_text("tollhouse: 1\n")
    there = ["--config", str(tmp_path / "tollhouse.yaml"), "--data", str(tmp_path / "data"), "--offline"]
    done = tollhouse("doctor", *there, PYTHONIOENCODING=encoding)
    assert done.returncode == 1
    assert f"{arrow} set OPENAI_API_KEY" in done.stdout
    assert done.stderr == ""


def test_no_arguments_show_the_help():
    done = tollhouse()
    assert "Commands" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("error", "told", "code"),
    [
        (FileProblems([Problem("a.yaml", 3, 2, "unknown key 'x'", "x: 1")]), "a.yaml:3:2: error: unknown key 'x'", 3),
        (StartError("the port is taken; choose another"), "the port is taken; choose another", 3),
        (GatewayError("unavailable", "no_book", "No book runs here."), "No book runs here. [no_book]", 4),
        (JournalUnavailable("disk full"), "disk full", 4),
        (PermissionError(13, "Permission denied", "x.yaml"), "tollhouse: x.yaml: Permission denied", 4),
        (ZeroDivisionError("division by zero"), "internal error: ZeroDivisionError", 4),
    ],
)
def test_every_kind_of_failure_has_one_message_and_its_exit_code(error, told, code):
    text, exit_code = main.explain(error)
    assert told in text
    assert "Traceback" not in text
    assert exit_code == code


def test_the_number_of_problems_is_told():
    one, two = [Problem("a", 1, 1, "m")], [Problem("a", 1, 1, "m"), Problem("b", 2, 2, "n")]
    assert "\n1 problem; " in main.explain(FileProblems(one))[0]
    assert "\n2 problems; " in main.explain(FileProblems(two))[0]


def fail() -> None:
    raise StartError("cannot go on; do something else")


def leave() -> None:
    raise typer.Exit(1)


def stop() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("verb", "code"), [(fail, 3), (leave, 1), (stop, 130), (main.version, 0)])
def test_what_a_verb_raises_becomes_an_exit_code(monkeypatch, capsys, verb, code):
    monkeypatch.setattr(main, "version", verb)
    with pytest.raises(SystemExit) as ended:
        main.run(["version"])
    assert ended.value.code == code
    assert "Traceback" not in capsys.readouterr().err


def test_debug_lets_the_traceback_through(monkeypatch):
    monkeypatch.setattr(main, "version", fail)
    with pytest.raises(StartError):
        main.run(["--debug", "version"])


def test_a_rehearsal_script_with_mistakes_exits_with_3_and_the_place(tmp_path):
    (tmp_path / "s.yaml").write_text("rehearsal: 1\nscenes:\n- turns: [{txet: a}]\n")
    done = tollhouse("rehearse", str(tmp_path / "s.yaml"))
    assert done.returncode == 3
    assert "s.yaml:3:12: error:" in done.stderr
    assert "did you mean 'text'" in done.stderr
