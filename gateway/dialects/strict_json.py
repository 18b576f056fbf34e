"""Strict JSON, where dialects look for it: `gateway.strict_json`, which validators read by as well."""

from __future__ import annotations

from gateway.strict_json import Ambiguous, Code, encode, one_line, parse

__all__ = ["Ambiguous", "Code", "encode", "one_line", "parse"]
