"""`tollhouse policy eval`: the verdict over one call or text, from the files alone, without a gateway.

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
from gateway.cli.visible import visible
from gateway.dialects.events import Limits
from gateway.dialects.proposals import name_problem, read_arguments
from gateway.errors import FileProblems, Problem
from gateway.policy import Facts, Policy, PolicySet, decide
from gateway.policy.case_shape import Before, Case
from gateway.policy.cases import facts_of, text_judged
from gateway.policy.expressions import timestamp
from gateway.policy.scene import bystanders
from gateway.policy.why import reasons
from gateway.strict_json import Json
from gateway.verdict import Call, Verdict

WITHHELD = 1


def eval_call(
    agent: Annotated[str, typer.Option("--agent", help="The agent that would make the call.")],
    tool: Annotated[str | None, typer.Option("--tool", help="The tool it would call, or whose result is judged.")] = None,
    args: Annotated[str | None, typer.Option("--args", help="Its arguments, as a JSON object; none when left out.")] = None,
    output: Annotated[str | None, typer.Option("--output", help="Instead of a call: what the model says.")] = None,
    request: Annotated[str | None, typer.Option("--request", help="Instead of a call: what the user says to the model.")] = None,
    result: Annotated[str | None, typer.Option("--result", help="Instead of a call: what the tool answered.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="What the user said before.")] = None,
    history: Annotated[
        Path | None, typer.Option("--history", help="A YAML file with the keys of a test: user, history, caller, session, model, now.")
    ] = None,
    policies: Annotated[Path, typer.Option("--policies", help="A policies folder, or one policy file.")] = Path("policies"),
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Say what would become of one call, or of a text (--output, --request, --result), and why. Needs no gateway.

    Example: tollhouse policy eval --policies policies --agent bank-1 --tool send_money --args '{"amount": 40}'
    """
    about = _about(tool, output, request, result)
    if args is not None and "call" not in about:
        raise typer.BadParameter("a text has no arguments; leave out --args", param_hint="--args")
    found = loaded(files_at(policies), policies)
    before = Before.model_validate({}) if history is None else _before(history)
    case = Case.model_validate({**dict(before), **about, "name": "eval", "agent": agent, "expect": {"effect": "allow"}})
    case = case if user is None else case.model_copy(update={"user": user})
    verdict, left, seen = _call_judged(found, case, args or "{}") if case.call else _text_judged(found, case)
    explained = reasons(found, verdict.hits, tool or "", seen)
    if json:
        data = {"agent": agent, "tool": tool, "hash": found.hash, **verdict_data(verdict, explained), "left": left}
        typer.echo(msgspec.json.encode(data).decode())
    else:
        typer.echo("\n".join([*verdict_lines(verdict, explained), *_left_lines(verdict, left)]))
    if not verdict.released:
        raise typer.Exit(WITHHELD)


def _about(tool: str | None, output: str | None, request: str | None, result: str | None) -> dict[str, Any]:
    """What is to be judged, as a test says it."""
    texts = [text for text in (output, request, result) if text is not None]
    of_a_tool = output is None and request is None
    if len(texts) > 1 or of_a_tool is not (tool is not None):
        said = "name the call (--tool), or one of --output, --request and --result; a result needs the --tool it is from"
        raise typer.BadParameter(said)
    if output is not None:
        return {"output": output}
    if request is not None:
        return {"request": {"text": request}}
    return {"result": {tool: result}} if result is not None else {"call": {tool: {}}}


def _call_judged(policies: PolicySet, case: Case, args: str) -> tuple[Verdict, Json, dict[str, Any]]:
    """The verdict, the arguments as they would be delivered, and what conditions saw."""
    facts = _facts(policies, case, args)
    decided = decide(policies, facts)
    return decided.verdict, decided.call.args, _seen(facts)


def _text_judged(policies: PolicySet, case: Case) -> tuple[Verdict, Json, dict[str, Any]]:
    judged = text_judged(policies, case, _any_policy(policies))
    return judged.verdict, judged.left, judged.seen


def _left_lines(verdict: Verdict, left: Json) -> list[str]:
    if not verdict.released or verdict.effect != "redact":
        return []
    return [f"\npassed on: {visible(left if isinstance(left, str) else msgspec.json.encode(left).decode())}"]


def _any_policy(policies: PolicySet) -> Policy:
    """Where a test says what it leaves out."""
    return (*policies.policies, *policies.libraries)[0]


def _before(path: Path) -> Before:
    """What came before the call, as a test of a policy file says it."""
    try:
        text = path.read_bytes()
    except OSError as error:
        said = f"cannot be read ({error.strerror}); name a YAML file with 'user:' and 'history:'"
        raise FileProblems([Problem(str(path), 1, 1, said)]) from error
    return documents.load(text, str(path), Before)


def _facts(policies: PolicySet, case: Case, arguments: str) -> Facts:
    facts = facts_of(case, _any_policy(policies))
    return msgspec.structs.replace(facts, call=_call(facts.call.name, arguments))


def _call(tool: str, arguments: str) -> Call:
    args, problem, detail = read_arguments(arguments, Limits())
    problem = problem or name_problem(tool)
    return Call("call_eval", tool, arguments, None if problem else args, 0, problem=problem, detail=detail)


def _seen(facts: Facts) -> dict[str, Any]:
    call = facts.call
    return bystanders(facts.caller, facts.session, facts.model, facts.now_us) | {
        "args": call.args or {},
        "call": {"id": call.id, "name": call.name, "type": call.type, "index": call.index, "dialect": facts.dialect},
        "now": timestamp(facts.now_us).isoformat(),
    }
