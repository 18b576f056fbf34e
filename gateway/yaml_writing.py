"""YAML for people to keep, which `documents` reads as the very value that was written.

A library's writer quotes what a reader by YAML 1.1 would not take for text. `documents` reads in one way of its own: `1e5` is a number
there, and what cannot be seen is refused unless it is escaped.
"""

from __future__ import annotations

import yaml

from gateway.documents import reads_as_text
from gateway.strict_json import Json
from gateway.yaml_nodes import FORBIDDEN

WIDTH = 120


class _Writer(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(writer: _Writer, text: str) -> yaml.ScalarNode:
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style=None if reads_as_text(text) else "'")


_Writer.add_representer(str, _text)


def written(value: Json, *, sort_keys: bool = False) -> str:
    """In blocks, the characters of all languages as they are where nothing invisible stands among them."""
    text = _dumped(value, sort_keys=sort_keys, as_they_are=True)
    return _dumped(value, sort_keys=sort_keys, as_they_are=False) if FORBIDDEN.search(text) else text


def _dumped(value: Json, *, sort_keys: bool, as_they_are: bool) -> str:
    text: str = yaml.dump(value, Dumper=_Writer, sort_keys=sort_keys, default_flow_style=False, allow_unicode=as_they_are, width=WIDTH)
    return text
