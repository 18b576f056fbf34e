"""`tollhouse`: the table of verbs, and how their failures are told.

A verb's module is imported only when that verb runs, so that `tollhouse --help` or `tollhouse policy check` never pay for DuckDB, litellm
or a server. Help texts stand in the table for the same reason. Exit codes: 0 ok, 1 findings, 2 usage, 3 cannot load the configuration or
refuses to start, 4 failed while running, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from gateway.errors import FileProblems, GatewayError, JournalUnavailable, StartError
from gateway.importing import imported

CANNOT_START = 3
FAILED = 4
INTERNAL_HINT = "hint: this is a fault of tollhouse itself; run it again as 'tollhouse --debug …' for the traceback"


class Verb(NamedTuple):
    """Where a verb lives (`module:attribute`, a function or a Typer app) and its line in `--help`."""

    target: str
    help: str


VERBS: dict[str, Verb] = {
    "demo": Verb("gateway.cli.demo:demo", "See it work in ten seconds: no key, no configuration, no network."),
    "init": Verb("gateway.cli.init:init", "Write a commented configuration and a starter policy."),
    "up": Verb("gateway.cli.up:up", "Start the gateway."),
    "status": Verb("gateway.cli.status:status", "Show whether the gateway runs and is healthy."),
    "doctor": Verb("gateway.cli.doctor:doctor", "Look at settings, keys, disk, clock, providers and packages; say what to do."),
    "connect": Verb("gateway.cli.connect:connect", "Print the settings that point a client at this gateway."),
    "keys": Verb("gateway.cli.keys:app", "Create, list, rotate and revoke the keys that agents use."),
    "people": Verb("gateway.cli.people:app", "Add people to the admin plane, and say what they may do."),
    "approvals": Verb("gateway.cli.approvals:app", "List and decide the calls that wait for a person."),
    "sessions": Verb("gateway.cli.sessions:app", "List stopped sessions and paused agents; pause and resume."),
    "budgets": Verb("gateway.cli.budgets:app", "Show what was taken of budgets, and let one begin at zero again."),
    "policy": Verb("gateway.cli.policy:app", "Check, test, explain and measure policies."),
    "prompts": Verb("gateway.cli.prompts:app", "List, show, compare, fill in and check kept prompts; move their labels."),
    "experiments": Verb("gateway.cli.experiments:app", "Show what experiments on prompts came to; halt or promote their arms."),
    "validate": Verb("gateway.cli.validate:validate", "Say what validators see in a text, without a gateway."),
    "packages": Verb("gateway.cli.packages:app", "Make and look into lists of packages that agents may install."),
    "coverage": Verb("gateway.cli.coverage:coverage", "Show what was judged, and what was not."),
    "show": Verb("gateway.cli.show:show", "Show one exchange with what was said; that is put on record."),
    "feedback": Verb("gateway.cli.feedback:app", "Say, and see, how good an answer or a decision was."),
    "export": Verb("gateway.cli.export:app", "Take rows, traces and datasets out of the book."),
    "erase": Verb("gateway.cli.erase:erase", "Make content of a tenant or user unreadable for good."),
    "encryption": Verb("gateway.cli.encryption:app", "Make and change the master keys of encrypted content."),
    "sql": Verb("gateway.cli.sql:sql", "Ask the book a question in SQL, read-only."),
    "snapshot": Verb("gateway.cli.snapshot:snapshot", "Copy the book into a file that other tools can open."),
    "queries": Verb("gateway.cli.queries:queries", "List the saved questions."),
    "reprice": Verb("gateway.cli.reprice:reprice", "Price exchanges again under the prices of now."),
    "rebuild": Verb("gateway.cli.rebuild:rebuild", "Build the ledger again from the journal."),
    "tail": Verb("gateway.cli.tail:tail", "Follow exchanges and decisions as they happen."),
    "verify": Verb("gateway.cli.verify:verify", "Check that the journal is what was written."),
    "rehearse": Verb("gateway.cli.rehearse:rehearse", "Run a provider that plays a script, for tests."),
    "version": Verb("gateway.cli.main:version", "Print the version."),
}


class LazyVerbs(TyperGroup):
    """A group whose commands are names and help lines until one of them is called."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = {name: TyperCommand(name, help=verb.help) for name, verb in VERBS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, found, rest = super().resolve_command(ctx, args)
        return name, (load_command(name) if name else found), rest

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Each verb with all of its line."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.help) for name, verb in VERBS.items()])


def load_command(name: str) -> Any:
    """The real command behind a verb: imports its module."""
    module, _, attribute = VERBS[name].target.partition(":")
    found = getattr(imported(module), attribute)
    command: Any
    if isinstance(found, typer.Typer):
        command = typer.main.get_group(found)
    else:
        alone = typer.Typer(add_completion=False)
        alone.command(name)(found)
        command = typer.main.get_command(alone)
    command.name = name
    return command


app = typer.Typer(
    name="tollhouse",
    cls=LazyVerbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # boxes around the verbs would cost more than half of the time of --help
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def tollhouse(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    shown: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """The gateway between AI agents and model providers: judges every tool call, counts the cost, keeps the book."""


def version() -> None:
    """Print the version.

    Example: tollhouse version
    """
    from gateway import __version__

    typer.echo(f"tollhouse {__version__}")


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script: runs a verb and turns what it raises into one message and an exit code."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # nobody else's code is searched for, or sees settings and policies
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that has not all characters shows what they are
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        typer.main.get_command(app).main(arguments, prog_name="tollhouse")
    except Exception as error:
        if arguments and arguments[0] == "--debug":
            raise
        told, code = explain(error)
        typer.echo(told, err=True)
        sys.exit(code)
    sys.exit(0)


def explain(error: Exception) -> tuple[str, int]:
    """What people read instead of a traceback, and the exit code."""
    match error:
        case FileProblems():
            count = len(error.problems)
            return f"{error}\n{count} problem{'' if count == 1 else 's'}; nothing was started or changed", CANNOT_START
        case StartError():
            return f"tollhouse: {error}", CANNOT_START
        case GatewayError():
            first, newline, rest = error.message.partition("\n")
            return f"tollhouse: {first} [{error.code}]{newline}{rest}", FAILED
        case JournalUnavailable():
            return f"tollhouse: the journal cannot be written: {error}; free disk space or fix permissions", FAILED
        case OSError(filename=str() | bytes() as file, strerror=str() as reason):
            return f"tollhouse: {os.fsdecode(file)}: {reason}", FAILED
        case OSError():
            return f"tollhouse: {error}", FAILED
        case _:
            told = f"tollhouse: internal error: {type(error).__name__}: {error}\n{INTERNAL_HINT}"
            return told, FAILED


if __name__ == "__main__":
    run()
