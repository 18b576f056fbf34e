"""Whether code in fenced blocks can be parsed at all.

Nothing is run, imported or resolved: a block that parses may still be wrong. Parsed by what reads the language anyway: Python by its own
parser, JSON strictly, YAML by libyaml, TOML by the standard library, shell by tree-sitter, SQL by sqlglot. Blocks in other languages, and
those that name none, are not looked at.

Nesting: JSON, YAML and SQL are bounded, and Python's and TOML's parsers count their own depth (Python 3.11 and
later end deep code with an error and not with the process); what they give up on is unjudged.
"""

from __future__ import annotations

import ast
import re
import textwrap
import tomllib
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Any, Final, Literal, TypeAlias

import yaml
from pydantic import Field

from gateway import strict_json
from gateway.documents import Section
from gateway.validators.bounds import at_most, utf8
from gateway.validators.fences import fenced
from gateway.validators.sql import SQL, Sql
from gateway.validators.validator import Check, Seen, Subject, Unjudged, Validator

Language: TypeAlias = Literal["python", "json", "yaml", "toml", "bash", "sql"]
MAX_CODE: Final = 100_000
MAX_SHELL: Final = 20_000
"""tree-sitter repairs what it cannot parse, and tries more the more there is."""
MAX_TOML: Final = 10_000
"""Its parser looks at every beginning of a dotted key: half a second for a key as long as this."""
MAX_DEPTH: Final = 64
_CALLED: Final[Mapping[str, Language]] = {
    **dict.fromkeys(("python", "py", "python3"), "python"),
    **dict.fromkeys(("json",), "json"),
    **dict.fromkeys(("yaml", "yml"), "yaml"),
    **dict.fromkeys(("toml",), "toml"),
    **dict.fromkeys(("bash", "sh", "shell", "zsh"), "bash"),
    **dict.fromkeys(("sql", "postgres", "postgresql", "mysql", "sqlite", "duckdb"), "sql"),
}
_LINE: Final = re.compile(r"at line (\d+)")


class Code(Section):
    """Without options: Python, JSON, YAML, TOML and shell."""

    languages: tuple[Language, ...] = Field(("python", "json", "yaml", "toml", "bash"), min_length=1, description="Which are looked at.")
    sql_dialect: str = Field("postgres", description="How `sql` is read, as sqlglot names it.")


Parse: TypeAlias = Callable[[str], str | None]
"""None, or where it does not parse, in words without any of it."""


def _made(options: Code) -> Check:
    parsers: dict[Language, Parse] = {one: _PARSERS[one] for one in options.languages if one != "sql"}
    if "sql" in options.languages:
        parsers["sql"] = _sql(options.sql_dialect)
    return partial(_check, parsers)


def _check(parsers: Mapping[Language, Parse], subject: Subject) -> Iterator[Seen]:
    for block in fenced(subject.text):
        language = _CALLED.get(block.language)
        problem = _problem(parsers, language, block.code) if language else None
        if problem:
            said = f"a block of {language} does not parse ({problem})"
            yield Seen("unparsed", said, path=language or "", start=block.start, end=block.end)


def _problem(parsers: Mapping[Language, Parse], language: Language, code: str) -> str | None:
    parse = parsers.get(language)
    return parse(textwrap.dedent(at_most(code, MAX_CODE))) if parse else None


def _python(code: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of code that is only parsed nobody wants to hear
            compile(code, "code", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except SyntaxError as error:
        return f"line {error.lineno or 1}"
    except ValueError:
        return "a zero, or half of a surrogate pair"
    except (RecursionError, MemoryError):
        raise Unjudged("a block of python is nested too deeply to be parsed") from None
    return None


def _json(code: str) -> str | None:
    try:
        strict_json.parse(code, exact_numbers=False)
    except strict_json.Ambiguous as ambiguous:
        return ambiguous.detail
    return None


def _yaml(code: str) -> str | None:
    depth = 0
    try:
        for event in yaml.parse(code, Loader=yaml.CSafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise Unjudged(f"a block of yaml is nested more than {MAX_DEPTH} levels deep")
    except yaml.YAMLError as error:
        mark: Any = getattr(error, "problem_mark", None)
        return "a character that cannot stand there" if mark is None else f"line {mark.line + 1}"
    except UnicodeEncodeError:
        return "half of a surrogate pair, which is no character"
    return None


def _toml(code: str) -> str | None:
    try:
        tomllib.loads(at_most(code, MAX_TOML))
    except tomllib.TOMLDecodeError as error:
        line = _LINE.search(str(error))
        return f"line {line[1]}" if line else "its end"
    except RecursionError:
        raise Unjudged("a block of toml is nested too deeply to be parsed") from None
    return None


@cache
def _shell_parser() -> Any:
    import tree_sitter_bash
    from tree_sitter import Language as Grammar
    from tree_sitter import Parser

    return Parser(Grammar(tree_sitter_bash.language()))


def _bash(code: str) -> str | None:
    root = _shell_parser().parse(utf8(at_most(code, MAX_SHELL))).root_node
    if not root.has_error:
        return None
    node = root
    while broken := [child for child in node.children if child.has_error or child.is_missing]:
        node = broken[0]
    return f"line {node.start_point[0] + 1}"


def _sql(dialect: str) -> Parse:
    check = SQL.make(Sql.model_validate({"dialect": dialect, "read_only": False, "comments": True}))

    def parse(code: str) -> str | None:
        seen = {one.code for one in check(Subject(code))}
        return f"as {dialect}" if seen & {"unparsed", "ambiguous"} else None

    return parse


_PARSERS: Final[Mapping[Language, Parse]] = {"python": _python, "json": _json, "yaml": _yaml, "toml": _toml, "bash": _bash}

CODE = Validator("code", "1", Code, _made, hooks=frozenset({"output", "tool_result"}), spans=True)
