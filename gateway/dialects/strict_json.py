"""Strict JSON, where dialects look for it: `gateway.strict_json`, which validators read by as well."""

from __future__ import annotations

from gateway.strict_json import DEPTH, Ambiguous, Code, encode, one_line, parse

__all__ = ["DEPTH", "Ambiguous", "Code", "encode", "one_line", "parse"]
