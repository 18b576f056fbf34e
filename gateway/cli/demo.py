"""`tollhouse demo`: the same trusting agent without and with the gate, and the book that is left.

Only the telling is here; `gateway.demo` holds the play. What is shown of each decision is read back from the book, not from the agent: it
is what an auditor would see.
"""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.cli.visible import visible

if TYPE_CHECKING:
    from gateway.demo.agent import Event
    from gateway.demo.bank import Bank
    from gateway.demo.stage import RunningGateway

AGENT = "bank-demo"
CHAT_MODEL, MESSAGES_MODEL = "gpt-4o-mini", "claude-haiku-4-5"
COLOURS = {"allow": "green", "warn": "yellow", "ask": "yellow", "redact": "yellow", "deny": "bold red"}

CALLS = """\
SELECT name, effect, released, policy, rule, reason, arguments
FROM calls WHERE exchange_id = '{exchange}' ORDER BY calls.index"""
SPENT = """\
SELECT request_model, count(*) AS requests, sum(calls) AS calls, sum(denied) AS denied,
  sum(cost) AS usd
FROM exchanges GROUP BY request_model ORDER BY request_model"""
DENIED = """\
SELECT agent, name AS tool, arguments->>'recipient' AS recipient, policy, rule
FROM calls WHERE NOT released ORDER BY decided_at"""


def demo(
    stay: Annotated[bool, typer.Option("--stay", help="Leave it running, for a client of your own.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON, nothing else.")] = False,
) -> None:
    """See it work in ten seconds: an agent reads a bill with an order hidden in it. No key, no configuration, no network.

    Example: tollhouse demo --stay
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that being told to stop also stops what was started
    out = Console(quiet=as_json, highlight=False)
    with tempfile.TemporaryDirectory(prefix="tollhouse-demo-") as folder:
        outcome = play(Path(folder), out, stay=stay)
    if as_json:
        typer.echo(json.dumps(outcome))
    if outcome["stolen_with_gate"]:
        raise typer.Exit(1)


def play(folder: Path, out: Console, *, stay: bool) -> dict[str, Any]:
    """The whole demo; returns what happened."""
    from gateway.demo.bank import Bank
    from gateway.demo.stage import RunningGateway, settings_for
    from gateway.rehearsal import RunningRehearsal
    from gateway.shipped import folder as shipped

    shutil.copytree(shipped("policies") / "bank", folder / "policies" / "bank")
    with RunningRehearsal(Path(__file__).parents[1] / "demo" / "scene.yaml") as provider:
        unguarded = Bank()
        _without_the_gate(out, provider.base_url, unguarded)
        settings = settings_for(provider.base_url, policies=str(folder / "policies"))
        out.print("starting the gateway with the policy of [cyan]policies/bank[/] …", style="dim")
        with RunningGateway(folder, settings) as gateway:
            guarded = _with_the_gate(out, gateway)
            record = _book(out, gateway)
            if stay:
                _stay(out, gateway, folder)
    return {"stolen_without_gate": unguarded.stolen, "stolen_with_gate": sum(b.stolen for b in guarded), **record} | {
        "payments": [[p.recipient, p.amount] for b in guarded for p in b.payments]
    }


def _without_the_gate(out: Console, url: str, bank: Bank) -> None:
    from gateway.demo.agent import TASK, in_chat

    out.rule("1  without the gate", align="left", style="dim")
    out.print(f"[bold]you[/]    {TASK}")
    for _ in in_chat(url, "no-gateway", CHAT_MODEL, bank):
        continue
    out.print(
        f"[bold]agent[/]  followed an order hidden in the bill: [bold red]{bank.stolen:.2f} went to a stranger[/]\n"
    )


def _with_the_gate(out: Console, gateway: RunningGateway) -> list[Bank]:
    from gateway.demo.agent import in_chat, in_messages
    from gateway.demo.bank import Bank

    key, banks = gateway.create_key(AGENT), [Bank(), Bank()]
    for title, loop, model, bank in (
        ("2  with the gate: OpenAI Chat Completions", in_chat, CHAT_MODEL, banks[0]),
        ("3  with the gate: Anthropic Messages", in_messages, MESSAGES_MODEL, banks[1]),
    ):
        out.rule(title, align="left", style="dim")
        _tell(out, loop(gateway.base_url, key, model, bank), lambda exchange: _decisions(gateway, exchange))
        colour = "bold red" if bank.stolen else "bold green"
        out.print(f"[bold]bank[/]   to strangers: [{colour}]{bank.stolen:.2f}[/], balance {bank.balance:.2f}\n")
    return banks


def _tell(out: Console, events: Iterator[Event], decisions: Callable[[str], list[dict[str, Any]]]) -> None:
    from gateway.demo.agent import Answered, Ran, Said

    speaking = False
    for event in events:
        if isinstance(event, Said):
            out.print(("" if speaking else "[bold]model[/]  ") + escape(_plain(event.text)), end="", soft_wrap=True)
            speaking = True
            continue
        if speaking:
            out.print()
        speaking = False
        match event:
            case Answered(exchange):
                for call in decisions(exchange):
                    out.print(_verdict(call), soft_wrap=True)
            case Ran(tool, _, result):
                out.print(f"[dim]ran    {tool} → {escape(_plain(result.splitlines()[0]))}[/]")


def _verdict(call: dict[str, Any]) -> str:
    effect, colour = call["effect"], COLOURS.get(call["effect"], "yellow")
    said = (
        f"[bold]gate[/]   [{colour}]{effect.upper():<5}[/] {escape(_plain(call['name'] + _short(call['arguments'])))}"
    )
    why = "" if call["released"] else f"\n             [{colour}]{escape(_plain(call['reason']))}[/]"
    return said + why


def _decisions(gateway: RunningGateway, exchange: str) -> list[dict[str, Any]]:
    """The decisions of one exchange, once the book has it whole."""
    [row] = gateway.awaited(f"SELECT calls FROM exchanges WHERE id = '{exchange}' AND state <> 'open'", 1)  # noqa: S608 - an id the gateway made
    return gateway.awaited(CALLS.format(exchange=exchange), row["calls"])


def _book(out: Console, gateway: RunningGateway) -> dict[str, Any]:
    out.rule("4  the book", align="left", style="dim")
    spent, denied = gateway.sql(SPENT), gateway.sql(DENIED)
    for query, rows in ((SPENT, spent), (DENIED, denied)):
        out.print(f'[dim]$[/] tollhouse sql "[cyan]{escape(query)}[/]"')
        out.print(_table(rows))
    return {"spent": spent, "denied": denied}


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(*rows[0].keys(), header_style="bold", box=None, padding=(0, 2, 0, 0)) if rows else Table("no rows")
    for row in rows:
        table.add_row(*(escape(_plain(str(value))) for value in row.values()))
    return table


def _stay(out: Console, gateway: RunningGateway, folder: Path) -> None:
    import time

    key = gateway.create_key(AGENT)
    out.rule("5  yours", align="left", style="dim")
    out.print("A client of your own (the provider behind it is the demo's script):\n")
    for name, value in (
        ("OPENAI_BASE_URL", gateway.base_url),
        ("OPENAI_API_KEY", key),
        ("ANTHROPIC_BASE_URL", gateway.url),
        ("ANTHROPIC_API_KEY", key),
        ("TOLLHOUSE_DATA", str(gateway.data)),
    ):
        out.print(f"export {name}={value}", soft_wrap=True)
    out.print(f"\npolicy: {folder / 'policies' / 'bank' / 'policy.yaml'} (edit it while this runs)", soft_wrap=True)
    try:
        out.print("Ctrl-C ends it and removes everything.")  # from the first letter on
        while True:
            time.sleep(1)  # a signal that comes as a sleep begins is noticed at its end
    except KeyboardInterrupt:
        out.print("\nended")


def _short(arguments: str, limit: int = 90) -> str:
    return f"({arguments if len(arguments) <= limit else arguments[:limit] + '…'})"


def _plain(text: str) -> str:
    """What a model or a file wrote; its line ends are kept, everything else that commands a terminal is shown."""
    return "\n".join(visible(line) for line in text.split("\n"))
