"""Loads all that a gateway loads when everything is asked of it, and names the file of each module, one a line.

`assemble.py` runs it to know what is worth compiling, and fails where something is missing that was left out. What code loads only where it
is wanted stands here by name.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import gateway

OTLP = "opentelemetry.exporter.otlp.proto"
ASKED_FOR = (
    "boto3", "gateway.upstream.litellm_adapter", "jinja2.sandbox", "jsonschema_rs", "opentelemetry.exporter.prometheus",
    f"{OTLP}.grpc.metric_exporter", f"{OTLP}.grpc.trace_exporter", f"{OTLP}.http.metric_exporter", f"{OTLP}.http.trace_exporter",
    "rapidfuzz.distance.OSA", "rapidfuzz.process", "redis", "rich.live",
    "rich.table", "site", "sqlglot", "tiktoken", "tree_sitter", "tree_sitter_bash", "typer.completion", "uvloop",
)  # fmt: skip


def main() -> None:
    for found in pkgutil.walk_packages(gateway.__path__, "gateway."):
        importlib.import_module(found.name)
    for name in ASKED_FOR:
        importlib.import_module(name)
    import boto3

    boto3.client("s3", region_name="eu-west-1")
    files = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}
    print("\n".join(sorted(file for file in files if file.endswith(".py"))))  # noqa: T201 - a program's output


if __name__ == "__main__":
    main()
