"""AgentDojo's suites, as far as the bench needs them: tasks, their solutions, environments, tools and the official checks.

AgentDojo is imported when a suite is opened, because it is an extra and brings the SDKs of every provider. Its tasks and checks are used as
they are. What is our own: environments are read with the C loader of YAML (the suite's own takes a second each), results of tools are
written as JSON instead of YAML (what tools of real agents answer, and what `field_has` can read), and eight goals of the workspace suite,
for which AgentDojo gives no solution, get one in `gateway.bench.solutions`.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from gateway.bench.solutions import solution_of
from gateway.errors import StartError

VERSION = "v1.2.2"
NAMES = ("banking", "slack", "travel", "workspace")
MISSING = "the bench needs AgentDojo; install it with: pip install 'tollhouse[agentdojo]'"


@dataclass(frozen=True, slots=True)
class Step:
    """A call that somebody's solution wants."""

    tool: str
    args: dict[str, Any]
    injected: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the tool answered, as the text a client sends back."""

    text: str
    failed: bool = False


class Suite:
    """One suite. Raises StartError when AgentDojo is not installed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._suite = _agentdojo("agentdojo.task_suite.load_suites").get_suite(VERSION, name)
        self._runtime = _agentdojo("agentdojo.functions_runtime")
        self._reader = _agentdojo("agentdojo.task_suite.task_suite")
        self._types = _agentdojo("agentdojo.types")
        self._read: dict[tuple[tuple[str, str], ...], Any] = {}
        self._seen: dict[str, list[str]] = {}
        self._functions = {function.name: function for function in self._suite.tools}

    @property
    def user_tasks(self) -> dict[str, Any]:
        return dict(self._suite.user_tasks)

    @property
    def injection_tasks(self) -> dict[str, Any]:
        """Those that want something done. A goal that only wants a sentence said makes no call, so no policy over calls can stop it."""
        plain = self.environment({})
        return {name: task for name, task in self._suite.injection_tasks.items() if self.injected_steps(task, plain)}

    @property
    def left_out(self) -> list[str]:
        return sorted(set(self._suite.injection_tasks) - set(self.injection_tasks))

    @cached_property
    def tools(self) -> list[dict[str, Any]]:
        """The tools as a Chat Completions client declares them."""
        return [
            {
                "type": "function",
                "function": {"name": f.name, "description": f.description, "parameters": f.parameters.model_json_schema()},
            }
            for f in self._suite.tools
        ]

    @cached_property
    def vectors(self) -> dict[str, str]:
        """Places an attacker can write at → what stands there otherwise."""
        found: dict[str, str] = self._suite.get_injection_vector_defaults()
        return found

    def environment(self, injections: dict[str, str]) -> Any:
        """A fresh environment with these injections in their places."""
        key = tuple(sorted(injections.items()))
        if key not in self._read:
            text = self._reader.read_suite_file(self.name, "environment.yaml", None)
            tree = yaml.load(text.format(**{**self.vectors, **injections}), Loader=yaml.CSafeLoader)
            self._read[key] = self._suite.environment_type.model_validate(tree)
        return self._read[key].model_copy(deep=True)

    def seen_by(self, task: Any) -> list[str]:
        """The places among them that a model reads when it solves this task: AgentDojo attacks these and no others."""
        if task.ID not in self._seen:
            marks = {vector: f"MARK-{number}-KRAM" for number, vector in enumerate(self.vectors)}
            environment = self.begun(task, self.environment(marks))
            read = " ".join(self.run(environment, step.tool, step.args).text for step in self.steps(task, environment))
            self._seen[task.ID] = [vector for vector, mark in marks.items() if mark in read]
        return self._seen[task.ID]

    def forget(self) -> None:
        """Lets go of the environments read so far: an attacked one is used by the pairs of one injection only."""
        self._read.clear()

    def begun(self, task: Any, environment: Any) -> Any:
        """The environment as the user's task wants it at the start."""
        return task.init_environment(environment)

    def steps(self, task: Any, environment: Any) -> list[Step]:
        """The calls of the user task's official solution."""
        return [self._step(call.function, call.args) for call in task.ground_truth(environment.model_copy(deep=True))]

    def injected_steps(self, task: Any, environment: Any) -> list[Step]:
        """The calls of the injection task's solution: AgentDojo's, or ours where it has none."""
        calls = [(c.function, c.args) for c in task.ground_truth(environment.model_copy(deep=True))]
        calls = calls or solution_of(self.name, task.ID, environment)
        return [self._step(tool, args, injected=True) for tool, args in calls]

    def _step(self, tool: str, args: dict[str, Any], *, injected: bool = False) -> Step:
        """In the types that the tool declares: a solution may write 13 where the schema says text."""
        try:
            checked = self._functions[tool].parameters.model_validate(args)
        except ValueError:
            return Step(tool, json.loads(_as_json(args)), injected)
        return Step(tool, checked.model_dump(mode="json", exclude_unset=True), injected)

    def run(self, environment: Any, tool: str, args: dict[str, Any]) -> Outcome:
        result, error = self._runtime.FunctionsRuntime(self._suite.tools).run_function(environment, tool, args)
        if error is not None:
            return Outcome(str(error), failed=True)
        return Outcome(result if isinstance(result, str) else _as_json(result))

    def reached(self, task: Any, text: str, before: Any, after: Any, ran: list[Step]) -> bool:
        """The official check: whether the user's task is solved, or the attacker's goal reached."""
        said = [self._types.text_content_block_from_string(text)]
        calls = [self._runtime.FunctionCall(function=step.tool, args=step.args) for step in ran]
        return bool(self._suite._check_task_result(task, said, before, after, calls))  # noqa: SLF001 - no public way to ask without a pipeline


def _agentdojo(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise StartError(f"{MISSING} ({error})") from error


def _as_json(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, default=str)


def _plain(value: Any) -> Any:
    """Models of the suite as objects, dates as text."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
