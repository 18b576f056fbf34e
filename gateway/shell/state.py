"""What a command does to the shell that reads it, as far as it changes which programs run.

1. Variables by which a name comes to mean another program: set in any way (assigned, exported in quotes, read, looped over).
2. Arithmetic. Bash evaluates the value of a variable there as an expression of its own, and runs what stands in a subscript in it:
   `x='a[$(rm y)]'; echo $((x))`. So arithmetic is read only where it is made of numbers, and of variables that this very text sets to
   numbers. It stands in `((…))`, `$((…))`, in subscripts and slices, behind `-eq` and its like in `[[…]]`, and in `declare -i`.
3. Names that are no plain names (`read 'a[$(rm y)]'`, `[[ -v … ]]`, `${!x}`), and prompts that are expanded (`${x@P}`): not read.

Each raises ValueError. Arrays that the text itself declares with `declare -A` have subscripts that are not arithmetic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from gateway.shell.words import Word, command_words, word_of

_CHANGES_MEANING: Final = re.compile(
    r"PATH|IFS|ENV|BASH_(?:ENV|CMDS|ALIASES|FUNC_.*)|SHELLOPTS|BASHOPTS|PROMPT_COMMAND|PS[0-4]|LD_\w+|DYLD_\w+|PYTHON(PATH|STARTUP|HOME)"
    r"|PERL5(LIB|OPT)|RUBY(?:OPT|LIB)|NODE_(?:OPTIONS|PATH)|GIT_(?:\w*(?:COMMAND|SSH|EXEC_PATH)|CONFIG\w*|EXTERNAL_DIFF)"
    r"|\w*(?:EDITOR|PAGER|ASKPASS)|VISUAL|BROWSER|LESS(?:OPEN|CLOSE)"
    r"|f?path|module_path|ZDOTDIR|(?:READ)?NULLCMD|(?:dis_)?(?:[gs]?aliases|functions\w*|commands)"  # in zsh
    r"|(?i:PIP|UV|NPM_CONFIG|YARN|BUN|CARGO|GEM|BUNDLE|CONDA)_\w*(?i:INDEX|REGISTR|SOURCE|LINKS|PROXY|CHANNEL)\w*|GOPROXY|GOFLAGS"
)
"""Variables by which a name comes to mean another program, or another package."""
_NUMBERS: Final = frozenset({"RANDOM", "SECONDS", "UID", "EUID", "PPID", "LINENO", "OPTIND", "BASHPID", "EPOCHSECONDS", "COLUMNS", "LINES"})
"""Variables that the shell itself keeps to numbers."""
_COUNTS = re.compile(r"\$\{#\w+(?:\[[@*]\])?\}|\$[#?$!]")
_VALUE = re.compile(r"\$\{(\w+)\}|\$(\w+)|\$(?=\(\()|\"(?=[^\"\s]*\")|(?<=\w)\"")
_EXPRESSION = re.compile(r"[\w\s#+\-*/%<>=!&|^~?:,()]*")
_ASSIGNED = re.compile(r"(\w+)(?:\[.*?\])?\+?=")
_NAME = re.compile(r"(?<![\w#])[A-Za-z_]\w*")
_SET = re.compile(r"(?<![\w#])([A-Za-z_]\w*)\s*=(?!=)")
_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|[0-9]*)")
_COMPARED: Final = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge"})
_OF_A_NAME: Final = frozenset({"-v", "-R"})
_SLICE = re.compile(r"\$\{#?[\w@*]+(?:\[.*?\])?:(?![-=?+])(.*)\}", re.DOTALL)
_INDIRECT = re.compile(r"\$\{!(?!\w+(?:\[[@*]\]|[@*])\})")
_GIVEN = re.compile(r"\$\{(\w+):?=")
_DECLARING: Final = frozenset({"export", "declare", "typeset", "local", "readonly"})
_GOING_ON: Final = frozenset({"eval", "trap", ".", "source", "alias"})
"""Commands of the shell after which its variables may hold anything."""
_ONLY_THE_RUN: Final = {
    **dict.fromkeys(("coproc", "fc", "setopt", "unsetopt", "zmodload", "autoload", "sched"), ""),
    "hash": r"-\w*p.*",
    "compgen": r"-\w*[CFW].*",
    "complete": r"-\w*[CFW].*",
    "jobs": r"-\w*x.*",
    "enable": r"-\w*f.*",
    "bind": r"-\w*x.*",
    "emulate": r"-\w*c.*",
    "set": r"-\w*k\w*|keyword",
}
"""Commands of the shell that run, or change, what only the run tells: with a word of this form, or with any."""
_BEFORE: Final = frozenset({"command", "builtin", "time", "noglob", "nocorrect"})
"""Words before a command of the shell that leave it what it is."""
_NAMED: Final = frozenset({"read", "mapfile", "readarray", "getopts"})
_SETTING: Final = _NAMED | {"printf", "wait", "test", "["}
"""Commands of the shell that set, or ask about, variables that they are told the names of."""


def changes_meaning(name: str) -> None:
    """Raises ValueError for a variable that may not be set. `IFS= read` is another thing: it lasts for that command."""
    if _CHANGES_MEANING.fullmatch(name):
        raise ValueError(f"the command sets {name}, which changes what names mean")


def check(nodes: Sequence[Any]) -> frozenset[str]:
    """The variables that a text sets. Raises ValueError where the state of the shell decides what runs. `nodes`: all of the tree."""
    names = _Names(nodes)
    for node in nodes:
        for text in _expressions(node, names):
            names.check(text)
    return names.all


class _Names:
    """The variables that a text sets: those that hold numbers, whatever happens."""

    def __init__(self, nodes: Sequence[Any]) -> None:
        self.keyed = {word for node in nodes if node.type == "declaration_command" for word in _keyed(node)}
        numbers, others = set(_NUMBERS), set[str]()
        reading = {child.id for node in nodes if node.type == "command" and _told(node)[0] == "read" for child in node.children}
        for node in nodes:
            for name, number in _sets(node):
                if name != "IFS" or node.id not in reading:
                    changes_meaning(name)
                (numbers if number else others).add(name)
        self.all = frozenset(numbers - _NUMBERS | others)
        apart = any(node.type == "command" and _told(node)[0] in _GOING_ON for node in nodes)
        self._numbers = set[str]() if apart else numbers - others

    def check(self, text: str) -> None:
        """Raises ValueError for an expression that could run something."""
        plain = _VALUE.sub(lambda m: m[1] or m[2] or "", _COUNTS.sub("0", text))
        if not _EXPRESSION.fullmatch(plain) or not self._numbers.issuperset(_NAME.findall(plain)):
            raise ValueError("what an expression of the command comes to, and runs, is known only when the command runs")


def _keyed(node: Any) -> Iterator[str]:
    texts = [child.text.decode() for child in node.children[1:]]
    if any(re.fullmatch(r"-\w*A\w*", text) for text in texts):
        yield from (text.partition("=")[0] for text in texts)


def _sets(node: Any) -> Iterator[tuple[str, bool]]:
    """The variables that a node sets, and whether to a number."""
    match node.type:
        case "variable_assignment":
            held = node.children[-1]
            number = held.type == "arithmetic_expansion" or _NUMBER.fullmatch(word_of(held).text.rpartition("=")[2]) is not None
            yield node.children[0].text.decode().partition("[")[0], number
        case "for_statement":
            values = node.children_by_field_name("value")
            yield node.child_by_field_name("variable").text.decode(), bool(values) and all(_is_number(value) for value in values)
        case "arithmetic_expansion" | "compound_statement" | "c_style_for_statement":
            yield from ((name, True) for text in _arithmetic(node) for name in _SET.findall(text))
        case "expansion" if found := _GIVEN.match(node.text.decode()):
            yield found[1], False
        case "command":
            name, given = _told(node)
            if name in _SETTING:
                yield from ((one.text, False) for one in given if one.text.isidentifier())
            elif name in _DECLARING:
                yield from _assigned(given)
        case "declaration_command":
            plain = ("variable_assignment", "variable_name")
            yield from _assigned([word_of(child) for child in node.children[1:] if child.type not in plain])


def _assigned(words: Sequence[Word]) -> Iterator[tuple[str, bool]]:
    """What stands behind `declare` and its like, otherwise than as a plain assignment."""
    for word in words:
        found = _ASSIGNED.match(word.text)
        if found:
            yield found[1], False
        elif not word.fixed:
            raise ValueError("which variables the command sets is known only when it runs")


def _is_number(value: Any) -> bool:
    return value.type in ("number", "brace_expression") and re.fullmatch(r"[-+0-9.{}]+", value.text.decode()) is not None


def _told(node: Any) -> tuple[str, Sequence[Word]]:
    """The name of a command and the words behind it; of one whose name is not written, an empty one stands for it."""
    words = command_words(node)
    while words and words[0].fixed and words[0].text in _BEFORE:
        words = words[1:]
        while words and words[0].text.startswith("-"):
            words = words[1:]
    return (words[0].text, words[1:]) if words and words[0].fixed else ("", words)


def _quoted(node: Any) -> Iterator[str]:
    """What stands in quotes behind `declare` and its like."""
    return (word_of(child).text for child in node.children[1:] if child.type in ("raw_string", "string", "concatenation", "ansi_c_string"))


def _arithmetic(node: Any) -> Iterator[str]:
    """The expressions that a node of arithmetic is made of."""
    text = node.text.decode()
    if node.type == "c_style_for_statement":
        body = node.child_by_field_name("body")
        yield text[: body.start_byte - node.start_byte].partition("((")[2].rpartition("))")[0].replace(";", ",")
    elif text.startswith(("((", "$((")):
        yield text[text.index("((") + 2 : -2]
    elif text.startswith("$["):
        yield text[2:-1]


def _expressions(node: Any, names: _Names) -> Iterator[str]:
    """What the shell evaluates for a node. Raises ValueError for what can be read in no way."""
    match node.type:
        case "arithmetic_expansion" | "compound_statement" | "c_style_for_statement":
            yield from _arithmetic(node)
        case "subscript" if node.children[0].text.decode() not in names.keyed:
            index = node.text.decode().partition("[")[2][:-1]
            yield from () if index in ("@", "*") else (index,)
        case "variable_assignment" if node.children[-1].type == "array" and node.children[0].text.decode() not in names.keyed:
            yield from (text[1:].partition("]")[0] for text in _texts(node.children[-1]) if text.startswith("["))
        case "expansion":
            yield from _expansion(node.text.decode())
        case "unary_expression" | "binary_expression":
            yield from _tested(node)
        case "declaration_command":
            yield from _declared(node)
        case "unset_command":
            yield from (text.partition("[")[2].removesuffix("]") for text in _texts(node) if "[" in text)
        case "command":
            yield from _of_command(*_told(node))


def _texts(node: Any) -> list[str]:
    return [word_of(child).text for child in node.children]


def _expansion(text: str) -> Iterator[str]:
    if _INDIRECT.match(text) or text.endswith("@P}"):
        raise ValueError("what a variable stands for is known only when the command runs")
    if sliced := _SLICE.fullmatch(text):
        yield sliced[1]


def _tested(node: Any) -> Iterator[str]:
    operator = next((child.text.decode() for child in node.children if child.type == "test_operator"), "")
    operands = [word_of(child).text for child in node.children if child.type != "test_operator"]
    if operator in _COMPARED:
        yield from operands
    elif operator in _OF_A_NAME:
        yield from (text for text in operands if not text.isidentifier())


def _declared(node: Any) -> Iterator[str]:
    """A variable that is declared a number is evaluated whenever it is set; one that stands for another is that."""
    texts = _texts(node)[1:]
    quoted = _quoted(node)
    yield from _declaring(texts, list(quoted))


def _declaring(texts: Sequence[str], quoted: Sequence[str]) -> Iterator[str]:
    flags = "".join(text for text in texts if text.startswith("-"))
    if "n" in flags:
        raise ValueError("what a variable stands for is known only when the command runs")
    yield from (text for text in quoted if not re.match(r"\w+(?:=|$)", text) or set("iaA") & set(flags))
    if "i" in flags:
        yield from (text.partition("=")[0] for text in texts if not text.startswith("-"))


def _of_command(name: str, given: Sequence[Word]) -> Iterator[str]:
    texts = [one.text for one in given]
    if name == "let":
        yield from texts
    elif name in _DECLARING:
        yield from _declaring(texts, [text for text in texts if not text.startswith("-")])
    elif name in _SETTING:
        if name in _NAMED and any(not one.fixed and before[:1] != "-" for before, one in zip(["", *texts], given, strict=False)):
            raise ValueError(f"which variables {name} sets is known only when the command runs")
        yield from (text for text in texts if re.search(r"\w\[", text))
    elif name in _ONLY_THE_RUN:
        form, own = _ONLY_THE_RUN[name], given[: texts.index("--")] if "--" in texts else given
        if not form or any(not one.fixed or re.fullmatch(form, one.text) for one in own):
            raise ValueError(f"what {name} makes of the command is known only when it runs")


def told_to_run(name: str, words: Sequence[Word]) -> Sequence[Word]:
    """What a command of the shell is given to run later: the action of a trap, what an alias stands for, what `mapfile -C` calls."""
    if name == "trap":
        given = [one for one in words if one.text == "-" or not one.text.startswith("-")]
        return [one for one in given[:1] if one.text != "-"]
    if name == "alias":
        return [Word(one.text.partition("=")[2], one.fixed) for one in words if "=" in one.text]
    if name in ("mapfile", "readarray"):
        called = ((re.fullmatch(r"-\w*?C(.*)", one.text), one, behind) for one, behind in zip(words, (*words[1:], None), strict=True))
        return [Word(found[1], one.fixed) if found[1] else behind or Word("", fixed=False) for found, one, behind in called if found]
    return ()
