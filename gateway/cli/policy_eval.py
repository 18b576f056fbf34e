"""`tollhouse policy eval`: the verdict over one call, from the files alone, without a gateway.

The call is read as the gateway reads one from a model, so a duplicate key or a bad name is denied here too. What the
gateway checks beside policies (declared tools, their schemas, keys in arguments) is not looked at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from gateway import documents
from gateway.cli.policy_files import files_at, loaded
from gateway.cli.policy_verdict import verdict_data, verdict_lines
from gateway.dialects.events import Limits
from gateway.dialects.proposals import name_problem, read_arguments
from gateway.errors import FileProblems, Problem
from gateway.exchange import Call
from gateway.policy import Facts, PolicySet, evaluate
from gateway.policy.cases import facts_of
from gateway.policy.expressions import timestamp
from gateway.policy.model import Before, Case
from gateway.policy.why import reasons

WITHHELD = 1


def eval_call(
    agent: Annotated[str, typer.Option("--agent", help="The agent that would make the call.")],
    tool: Annotated[str, typer.Option("--tool", help="The tool it would call.")],
    args: Annotated[str, typer.Option("--args", help="The arguments, as a JSON object.")] = "{}",
    user: Annotated[str | None, typer.Option("--user", help="What the user said before.")] = None,
    history: Annotated[
        Path | None, typer.Option("--history", help="A YAML file with the keys of a test: user, history, caller, session, model, now.")
    ] = None,
    policies: Annotated[Path, typer.Option("--policies", help="A policies folder, or one policy file.")] = Path("policies"),
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Say what would become of one call, and why. Needs no gateway."""
    found = loaded(files_at(policies), policies)
    before = Before.model_validate({}) if history is None else _before(history)
    facts = _facts(found, _case(before, agent, tool, user), args)
    verdict = evaluate(found, facts)
    explained = reasons(found, verdict.hits, tool, _seen(facts))
    if json:
        data = {"agent": agent, "tool": tool, "hash": found.hash, **verdict_data(verdict, explained)}
        typer.echo(msgspec.json.encode(data).decode())
    else:
        typer.echo("\n".join(verdict_lines(verdict, explained)))
    if not verdict.released:
        raise typer.Exit(WITHHELD)


def _before(path: Path) -> Before:
    """What came before the call, as a test of a policy file says it."""
    try:
        text = path.read_bytes()
    except OSError as error:
        said = f"cannot be read ({error.strerror}); name a YAML file with 'user:' and 'history:'"
        raise FileProblems([Problem(str(path), 1, 1, said)]) from error
    return documents.load(text, str(path), Before)


def _case(before: Before, agent: str, tool: str, user: str | None) -> Case:
    said = before.user if user is None else user
    call = {"name": "eval", "call": {tool: {}}, "agent": agent, "expect": {"effect": "allow"}}
    return Case.model_validate({**dict(before), **call, "user": said})


def _facts(policies: PolicySet, case: Case, arguments: str) -> Facts:
    facts = facts_of(case, (*policies.policies, *policies.libraries)[0])
    return msgspec.structs.replace(facts, call=_call(facts.call.name, arguments))


def _call(tool: str, arguments: str) -> Call:
    args, problem, detail = read_arguments(arguments, Limits())
    problem = problem or name_problem(tool)
    return Call("call_eval", tool, arguments, None if problem else args, 0, problem=problem, detail=detail)


def _seen(facts: Facts) -> dict[str, Any]:
    caller, call = facts.caller, facts.call
    return {
        "args": call.args or {},
        "call": {"id": call.id, "name": call.name, "type": call.type, "index": call.index, "dialect": facts.dialect},
        "caller": {"agent": caller.agent, "team": caller.team, "user": caller.user, "key": caller.key_id, "labels": dict(caller.labels)},
        "session": dict(facts.session),
        "model": facts.model,
        "now": timestamp(facts.now_us).isoformat(),
    }
