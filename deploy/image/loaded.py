"""Loads all that a gateway loads when everything is asked of it, and names the file of each module, one a line.

    python3 -S loaded.py [--without=litellm]

`assemble.py` runs it on what it made, and fails where something is missing that was left out. What code loads only where it is wanted
stands here by name.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys

import gateway

OTLP = "opentelemetry.exporter.otlp.proto"
ASKED_FOR = (
    "boto3", "jinja2.sandbox", "jsonschema_rs", "opentelemetry.exporter.prometheus",
    f"{OTLP}.grpc.metric_exporter", f"{OTLP}.grpc.trace_exporter", f"{OTLP}.http.metric_exporter", f"{OTLP}.http.trace_exporter",
    "rapidfuzz.distance.OSA", "rapidfuzz.process", "redis", "rich.live",
    "rich.markdown", "rich.syntax", "rich.table", "rich.traceback", "site", "sqlglot", "tree_sitter", "tree_sitter_bash",
    "typer.completion", "typer.rich_utils", "uvloop",
)  # fmt: skip
BY = {
    "litellm": (
        "gateway.upstream.litellm_adapter", "litellm.llms.anthropic.completion.transformation",
        "litellm.llms.bedrock.chat.converse_transformation", "litellm.llms.edenai.chat.transformation",
        "litellm.llms.fal_ai.chat.transformation", "litellm.llms.gemini.chat.transformation",
        "litellm.llms.litellm_proxy.chat.transformation", "litellm.llms.openai_like.dynamic_config", "tiktoken",
    ),
}  # fmt: skip
"""What is loaded unless this distribution is said to be left out."""
OF_EXTRAS = ("scipy.integrate", "scipy.optimize", "scipy.stats")
"""What is loaded where it is there."""


def main() -> None:
    missing = {name for given in sys.argv[1:] for name in BY[given.removeprefix("--without=")]}
    asked_for = [found.name for found in pkgutil.walk_packages(gateway.__path__, "gateway.") if found.name not in missing]
    asked_for += [*ASKED_FOR, *(name for names in BY.values() for name in names if name not in missing)]
    asked_for += [name for name in OF_EXTRAS if importlib.util.find_spec(name.partition(".")[0])]
    for name in asked_for:
        importlib.import_module(name)
    import boto3

    boto3.client("s3", region_name="eu-west-1")
    files = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}
    print("\n".join(sorted(file for file in files if file.endswith((".py", ".pyc")))))  # noqa: T201 - a program's output


if __name__ == "__main__":
    main()
