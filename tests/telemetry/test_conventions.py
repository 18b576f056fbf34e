"""What is told is the conventions' of today: no name that was replaced or removed, their own values where they list some, one version
that code and documents state.

The registry is OpenTelemetry's own, generated (`opentelemetry-semantic-conventions`). It marks all `gen_ai` names as moved to a repository
of their own, under the same names; of names that were replaced or removed it says so.
"""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
from opentelemetry.semconv._incubating.attributes import (
    error_attributes,
    gen_ai_attributes,
    http_attributes,
    user_attributes,
)

from gateway.dialects import DIALECTS
from gateway.telemetry import metrics
from gateway.trace import otel

ROOT = Path(__file__).parents[2]
MODULES = (gen_ai_attributes, error_attributes, http_attributes, user_attributes)
NAME = re.compile(r"(?:gen_ai|error|http|user)\.[a-z_.]+")
METRICS = re.compile(r"gen_ai\.client\..*")


def standing() -> dict[str, str]:
    """Name → what the registry says of it."""
    found: dict[str, str] = {}
    for module in MODULES:
        last = ""
        for node in ast.parse(inspect.getsource(module)).body:
            match node:
                case ast.AnnAssign(value=ast.Constant(value=str(last))):
                    found[last] = ""
                case ast.Expr(value=ast.Constant(value=str(said))) if last:
                    found[last] = " ".join(said.split())
    return found


def sent() -> set[str]:
    """Every name outside our own that the code writes, from its source: no row has them all."""
    texts = {
        node.value
        for module in (otel, metrics)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in texts if NAME.fullmatch(text) and not METRICS.fullmatch(text)} - {"gen_ai.evaluation.result"}


def test_no_name_that_is_sent_was_replaced_or_removed():
    registry = standing()
    assert len(registry) > 60
    assert len(sent()) > 20
    assert sent() - registry.keys() == set()
    gone = {name for name in sent() if re.match(r"Deprecated: (?!Moved to)", registry[name])}
    assert gone == set()


def test_the_registry_does_tell_what_was_replaced():
    assert standing()["gen_ai.system"].startswith("Deprecated: Replaced by `gen_ai.provider.name`")


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_provider_has_the_name_that_the_conventions_list(dialect):
    assert dialect.PROVIDER in {each.value for each in gen_ai_attributes.GenAiProviderNameValues}


def test_operations_of_models_and_of_agents_have_the_names_that_the_conventions_list():
    assert {*otel.INFERENCE, "execute_tool", "invoke_agent"} <= {each.value for each in gen_ai_attributes.GenAiOperationNameValues}


def test_code_and_documents_state_one_version():
    (version,) = re.findall(r"/(\d+\.\d+\.\d+)-dev$", otel.SCHEMA_URL)
    guide = (ROOT / "deploy" / "README.md").read_text()
    assert f"GenAI conventions {version}" in guide
    assert f"semantic-conventions-genai {version}" in (metrics.__doc__ or "")
    assert f"semantic-conventions-genai {version}" in (otel.__doc__ or "")
