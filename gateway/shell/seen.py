"""Whether the syntax tree shows all that a shell would read: where the parser stops looking, nobody says that nothing is there.

1. A line that goes on inside a word (`r\\` and `m` below it are `rm`).
2. A word of the shell's own grammar that is taken for a program's name (`! { rm y; }`).
3. A program that is taken for a file to write into (`>f >f rm ==`).
4. Arithmetic that is taken for a command (`$((…` that does not parse as one), a `#` that begins no comment, and one that does.
5. A program whose words stand in two lines (`ls ==`, `rm y` below it).
6. Substitutions in what the parser takes for plain text: backquotes in a here-document, patterns (`${x#$(rm y)}`).
7. Words in which the parser takes a line end, or another character that ends words, for a part of them (`\\rm` behind a line end).
8. `[` with operators that end it (`[ -f x&rm ]`), and what sh takes for programs where bash has expressions (`[[ x || rm == f ]]`,
   `(( rm - r ))`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import pairwise
from typing import Any, Final

from gateway.shell.words import Word, word_of

_BROKEN_WORD = re.compile(rb"[^\s;&|()<>\\]((?:\\\\)*\\\n)(?:(?=[^\s;&|()<>])|(?<==\\\n))")
GRAMMAR: Final = frozenset({
    *("!", "{", "}", "[[", "]]", "if", "then", "else", "elif", "fi", "case", "esac", "for", "select", "while", "until", "do", "done"),
    *("function", "coproc"),
})  # fmt: skip
_OF_ONE_LINE: Final = frozenset({"command", "declaration_command", "unset_command", "file_redirect", "variable_assignment"})
_TESTS: Final = frozenset({"test_command", "unary_expression", "binary_expression", "parenthesized_expression"})
_NO_COMMENT = re.compile(rb"[^\s;&|()<>]\Z|\\.\Z", re.DOTALL)
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_ENDS_WORDS = re.compile(rb"[\s;&|<>()]")
_PROGRAM = re.compile(rb"(?:\A|[;&|(\n])\s*(?:!\s+)?(?:\w+=\S*\s+)*([A-Za-z_.~/][^\s;&|()<>=]*)(?!=)")
_OPERATORS: Final = frozenset({"&&", "||", "&", "|", "(", ")", "<", ">", "<=", ">="})
_SUBSTITUTED = re.compile(rb"`|\$[({\[]|[<>]\(")
_QUOTED: Final = frozenset({"raw_string", "ansi_c_string", "comment", "heredoc_start", "heredoc_content", "heredoc_body"})
"""Leaves that no shell looks into; here-documents are looked at as wholes."""
_GOES_ON: Final = _QUOTED | {"string", "string_content"}
"""Where a line that goes on is read as it should be."""


def check(root: Any) -> None:
    """Raises ValueError where something is read that no node stands for."""
    text = root.text
    for broken in _BROKEN_WORD.finditer(text) if b"\\\n" in text else ():
        at = broken.start(1)
        if root.descendant_for_byte_range(at, at + 1).type not in _GOES_ON:
            raise ValueError("a word of the command goes on in the next line")
    for node, within in _walked(root):
        one_line = node.type in _OF_ONE_LINE and any(child.type == "regex" for child in node.children)
        if one_line or (node.type in _OF_ONE_LINE | _TESTS and _goes_on(node)):
            raise ValueError("a part of the command cannot be parsed: what is read as one program may be two")
        before = text[max(node.start_byte - 2, 0) : node.start_byte]
        if _misread(node, before) or (node.text.startswith(b"#") and not node.children and _begins_a_comment(node, before)):
            raise ValueError("a part of the command cannot be parsed as shells do")
        plain = _unread(node, within)
        if plain and _SUBSTITUTED.search(_ESCAPED.sub(b"", plain)):
            raise ValueError("a part of the command cannot be parsed: it holds a substitution where none is read")


def by_sh(node: Any, names: Iterable[str]) -> Iterator[Word]:
    """The programs that sh runs where bash has an expression. Raises ValueError for one that a variable of the command names: `names`."""
    if node.type == "compound_statement" and node.text.startswith(b"(("):
        yield from (Word(name.decode()) for name in _PROGRAM.findall(node.text[2:-2]))
    elif node.type == "binary_expression" and node.children[1].type in ("&&", "||"):
        word = word_of(_first(node.children[2]))
        if word.fixed and not word.text.startswith("-"):
            yield word
        elif not word.fixed and ("(" in word.text or "`" in word.text or set(re.findall(r"\w+", word.text)) & set(names)):
            raise ValueError("what sh would run in an expression of the command is known only when it runs")


def _first(node: Any) -> Any:
    """The first word of an expression."""
    while node.type.endswith("_expression") and node.children:
        node = next(child for child in node.children if child.type not in ("!", "("))
    return node


def _goes_on(node: Any) -> bool:
    """Whether a line ends between its parts."""
    text, start, children = node.text, node.start_byte, node.children
    pairs = ((one, other) for one, other in pairwise(children) if one.type not in ("&&", "||"))
    gaps = (text[one.end_byte - start : other.start_byte - start] for one, other in pairs)
    return any(b"\n" in gap and b"\n" in _ESCAPED.sub(b"", gap) for gap in gaps)


def _misread(node: Any, before: bytes) -> bool:
    """Rules 2 to 4, 7 and 8. `before`: the two bytes that it stands behind."""
    match node.type:
        case "command_name":
            return node.text.decode() in GRAMMAR
        case "word":
            return _ENDS_WORDS.search(_ESCAPED.sub(b"", node.text)) is not None
        case "test_command":
            return _operators(node, _OPERATORS if node.children[0].type == "[" else {"&", "|"})
        case "file_redirect":
            return len(node.children_by_field_name("destination")) > 1
        case "comment":
            return _NO_COMMENT.search(before) is not None
        case "parenthesized_expression":
            return before[-1:] in (b"<", b">")
        case "command_substitution":
            return bool(node.text.startswith(b"$(("))
    return False


def _begins_a_comment(node: Any, before: bytes) -> bool:
    return node.type not in _QUOTED and _NO_COMMENT.search(before) is None


def _operators(test: Any, ending: Set[str]) -> bool:
    """Whether there are operators in a test that end it for sh."""
    waiting = list(test.children)
    while waiting:
        node = waiting.pop()
        if node.type in ending:
            return True
        waiting += node.children if node.type.endswith("_expression") else ()
    return False


def _walked(root: Any) -> Iterator[tuple[Any, bool]]:
    """All nodes, each with whether single quotes mean nothing there: in what stands for a variable inside of double quotes or a
    here-document."""
    waiting = [(root, False)]
    while waiting:
        node, within = waiting.pop()
        yield node, within
        within = node.type in ("string", "heredoc_body") or (within and node.type != "command_substitution")
        waiting += [(child, within) for child in node.children]


def _unread(node: Any, within: bool) -> bytes:
    """What the parser takes for plain text, and a shell does not."""
    if node.type == "heredoc_redirect":
        return b"".join(map(_around_substitutions, _bodies(node)))
    plain = node.type not in _QUOTED or (within and node.type == "raw_string")
    return node.text if plain and node.is_named and not node.children else b""


def _bodies(node: Any) -> Sequence[Any]:
    """The here-document in which a shell substitutes: its mark is not quoted."""
    mark = next((child.text for child in node.children if child.type == "heredoc_start"), b"")
    return [] if re.search(rb"[\"'\\]", mark) else [child for child in node.children if child.type == "heredoc_body"]


def _around_substitutions(body: Any) -> bytes:
    """The text of a here-document without what is read of it."""
    text, at = b"", body.start_byte
    for child in body.children:
        if child.type != "heredoc_content":
            text += body.text[at - body.start_byte : child.start_byte - body.start_byte] + b" "
            at = child.end_byte
    return bytes(text + body.text[at - body.start_byte :])
