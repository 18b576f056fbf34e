"""The functions that conditions may call beside CEL's own: small, and bounded in what they make.

CEL's string extension is left out on purpose: its `replace`, `join` and `format` can grow a few kilobytes of
arguments into gigabytes. What is here never returns more than it was given. A function that cannot answer in
exactly one way raises; the condition that called it then fails, and a failed guard is a hit.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from gateway import shell
from gateway.policy.looked import Looked
from gateway.policy.provenance import Conversation, looked_at, spend
from gateway.strict_json import Json
from gateway.validators.detectors import DETECTORS, named_texts
from gateway.validators.packages import installs as packages

MAX_PIECES: Final = 1000

_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_LOOK_ALIKES = re.compile("[\u2044\u2215\u29f8\u2216\u29f5\u29f9\u00a5\u20a9]")
"""Signs that no normal form folds into a slash or backslash, but that code pages do: best-fit conversion, or the font's picture of it."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def normpath(path: str) -> str:
    """The POSIX path with `.`, `..` and doubled slashes resolved, links not followed; no slash at the end.

    Refuses what a tool could read as another path than it looks: percent-encoding, backslashes, `~`, control
    characters, characters that some tools fold into `/` or `.`, the empty path. A relative path stays
    relative and keeps leading `..`, so a comparison with an absolute prefix fails.
    """
    if not path or path.startswith("~") or "\\" in path:
        raise ValueError("the path is empty, begins with ~ or holds a backslash")
    if _ENCODED.search(path) or _CONTROL.search(path):
        raise ValueError("the path holds percent-encoding or control characters")
    if not path.isascii() and (_LOOK_ALIKES.search(path) or _folds(path)):
        raise ValueError("the path holds characters that look like / or .")
    normal = posixpath.normpath(path)
    return normal[1:] if normal.startswith("//") else normal


def _folds(path: str) -> bool:
    return _separators(unicodedata.normalize("NFKC", path)) != _separators(path)


def _separators(path: str) -> tuple[int, int, int, int]:
    return path.count("/"), path.count("."), path.count("\\"), path.count("~")


def split(text: str, separator: str) -> list[str]:
    """At most MAX_PIECES pieces: a condition that loops over more would cost too much."""
    if not separator:
        raise ValueError("split needs a separator")
    pieces = text.split(separator, MAX_PIECES)
    if len(pieces) > MAX_PIECES:
        raise ValueError(f"split gives more than {MAX_PIECES} pieces")
    return pieces


def lower_ascii(text: str) -> str:
    return re.sub(r"[A-Z]+", lambda m: m.group().lower(), text)


def upper_ascii(text: str) -> str:
    return re.sub(r"[a-z]+", lambda m: m.group().upper(), text)


# -- about names -------------------------------------------------------------------------------------------

MAX_KNOWN: Final = 50_000
"""Names that one `near` compares with."""
_URL = re.compile(r"""\bhttps?://[^\s<>"'`{}|\\^]+""", re.IGNORECASE)
_AUTHORITY = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_NAME_BEFORE = re.compile(r"[^\s/?#]*@[^\s<>\"'`{}|\\^]*")
_CLOSING: Final = {'"': '"', "'": "'", "`": "`", "<": ">", "(": ")", "[": "]", "{": "}"}
_NUMERIC = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)")
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}")
_PORTED = re.compile(r"(?:\[[^\[\]]*\]|[^:\[\]]*)(?::[0-9]{0,5})?")
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?|\[[0-9a-f:.]+\]")


def urls(text: str) -> list[str]:
    """The http and https addresses in a text, as they stand there, without the punctuation behind them. A name before the host belongs to
    its address whatever signs it holds (`https://a|@b`): clients read over them."""
    found = [_with_name(text, match).rstrip(".,;:!?)]") for match in _URL.finditer(text)]
    if len(found) > MAX_PIECES:
        raise ValueError(f"the text holds more than {MAX_PIECES} addresses")
    return found


def _with_name(text: str, match: re.Match[str]) -> str:
    """The address, where it ends before its path, with what stands up to an `@`, unless the quote that it stands in ends before that."""
    start, end = match.span()
    more = _NAME_BEFORE.match(text, end) if _AUTHORITY.fullmatch(match[0]) else None
    closing = _CLOSING.get(text[start - 1 : start]) if start else None
    return match[0] + (more[0] if more and not (closing and closing in more[0]) else "")


def host(url: str) -> str:
    """The host that an address leads to, in lower case, international names in their ASCII form, version 6 addresses in their short form.
    Refuses what clients read in different ways: other schemes, names and passwords before the host, backslashes, white space, control
    characters, empty labels, numbers for addresses (`http://2130706433`, `0x7f.1`), ports that are none, letters that one version of the
    standard for international names keeps and another one replaces (`ß`)."""
    if _CONTROL.search(url) or "\\" in url or any(c.isspace() for c in url):
        raise ValueError("the address holds a backslash, white space or control characters")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or not parts.hostname:
        raise ValueError("the address is not http or https, has no host, or has a name before it")
    name = parts.hostname.removesuffix(".").lower()
    if not _PORTED.fullmatch(parts.netloc.lower()):
        raise ValueError("the address has a port that is none")
    name = _short(name) if parts.netloc.startswith("[") else _ascii(name)
    if not _HOST.fullmatch(name) or (_NUMERIC.fullmatch(name.rpartition(".")[2]) and not _IPV4.fullmatch(name)):
        raise ValueError("the host's name is not one, or a number that clients read in different ways")
    return name


def _short(name: str) -> str:
    """A version 6 address. One that holds a version 4 address leads there, and is read as either."""
    address = ipaddress.IPv6Address(name)
    if address.ipv4_mapped or address.sixtofour or address.scope_id:
        raise ValueError("the host's address stands for another one")
    return f"[{address.compressed}]"


def _ascii(name: str) -> str:
    if name.isascii():
        return name
    try:
        ascii_name = name.encode("idna").decode()
        kept = ascii_name.encode().decode("idna")
    except UnicodeError:
        raise ValueError("the host's name has no ASCII form") from None
    if kept != unicodedata.normalize("NFC", name):
        raise ValueError("the host's name is read as different names")
    return ascii_name


def near(name: str, known: Mapping[str, Any] | Sequence[str]) -> bool:
    """Whether the name is one slip away from another known name: a letter more, less, changed, or two of them swapped; two slips where it
    has eight letters or more."""
    if len(known) > MAX_KNOWN:
        raise ValueError(f"more than {MAX_KNOWN} names to compare with")
    spend(200 * len(known))
    most = 2 if len(name) >= 8 else 1
    wanted = name.lower()
    candidates = (other.lower() for other in known if abs(len(other) - len(name)) <= most)
    from rapidfuzz.distance import OSA  # 2 MiB that few policies need

    return any(other != wanted and OSA.distance(wanted, other, score_cutoff=most) <= most for other in candidates)


_DETECTION_WORK: Final = 20
"""Units of work for each character and detector."""


def detect(value: Json, names: str | Sequence[str]) -> list[str]:
    """Which of the named detectors find something in a text or number of the value, keys included."""
    wanted = [names] if isinstance(names, str) else list(names)
    unknown = [name for name in wanted if name not in DETECTORS]
    if unknown:
        raise ValueError(f"there is no detector {unknown[0]!r}")
    texts = [Looked(text) for text in texts_of(value)]
    spend(_DETECTION_WORK * len(wanted) * sum(len(one.text) for one in texts))
    return [name for name in wanted if any(_any(one.spans([DETECTORS[name]])) for one in texts)]


def _any(spans: Iterable[Any]) -> bool:
    return next(iter(spans), None) is not None


def texts_of(value: Json) -> Iterator[str]:
    """Every text of a value, keys and numbers too, and those that their names may call a secret once more with these."""
    yield from named_texts(value)
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, Mapping):
            yield from current
            waiting += current.values()
        elif isinstance(current, (list, tuple)):
            waiting += current
        elif isinstance(current, float) and current.is_integer():
            yield str(int(current))
        elif current is not None and not isinstance(current, bool):
            yield str(current)


def all_text(value: Json) -> str:
    """Every text in a value, and every name of a field, a line each, however deep they stand."""
    found, waiting = list[str](), [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, str):
            found.append(current)
        elif isinstance(current, Mapping):
            found += current
            waiting += reversed(list(current.values()))
        elif isinstance(current, (list, tuple)):
            waiting += reversed(current)
    joined = "\n".join(found)
    spend(len(joined))
    return joined


# -- about shell commands ---------------------------------------------------------------------------------

_PARSING: Final = 1500
"""Units of work for each character of a command."""


def commands(text: str) -> list[str]:
    """Names of all programs that the command would run, as written, in order."""
    spend(_PARSING * len(text))
    return shell.commands(text)


def arguments(text: str) -> list[dict[str, Json]]:
    """The words behind the programs that the command would run, and the files of its redirections. One that only the run tells has no
    `text`, so that a condition that asks for it fails."""
    spend(_PARSING * len(text))
    return [_argument(one) for one in shell.arguments(text)]


def _argument(one: shell.Argument) -> dict[str, Json]:
    known: dict[str, Json] = {} if one.text is None else {"text": one.text}
    return {"program": one.program, "known": bool(known), **known}


def installs(text: str) -> list[str]:
    """`<ecosystem>:<name>` of every package that the command would install."""
    spend(_PARSING * len(text))
    return packages.installs(text)


# -- about the conversation: who said a value, what came before -------------------------------------------


def read_from(label: str) -> bool:
    """Whether a result of a tool with this label was read in the conversation."""
    view = looked_at()
    return view.conversation.read_from(view.labels.get(label, ()))


def _asked(method: Callable[..., Any]) -> Callable[..., Any]:
    """The conversation's method, as a function of its other arguments."""
    return lambda *given: method(looked_at().conversation, *given)


class Function(NamedTuple):
    """A function of the language."""

    implementation: Callable[..., Any]
    parameters: tuple[str, ...]
    """Types, by name; `ANY` stands for each type that a value can have, `NAMES` for a list or the list that a file holds."""
    result: str
    member: bool = False
    """Called on its first argument (`x.trim()`)."""


FUNCTIONS: Final[dict[str, Function]] = {
    "normpath": Function(normpath, ("STRING",), "STRING"),
    "split": Function(split, ("STRING", "STRING"), "LIST", member=True),
    "trim": Function(str.strip, ("STRING",), "STRING", member=True),
    "lowerAscii": Function(lower_ascii, ("STRING",), "STRING", member=True),
    "upperAscii": Function(upper_ascii, ("STRING",), "STRING", member=True),
    "urls": Function(urls, ("STRING",), "LIST"),
    "host": Function(host, ("STRING",), "STRING"),
    "near": Function(near, ("STRING", "NAMES"), "BOOL"),
    "all_text": Function(all_text, ("ANY",), "STRING"),
    "detect": Function(detect, ("ANY", "SOME"), "LIST"),
    "commands": Function(commands, ("STRING",), "LIST"),
    "arguments": Function(arguments, ("STRING",), "TABLES"),
    "installs": Function(installs, ("STRING",), "LIST"),
    "from_user": Function(_asked(Conversation.from_user), ("ANY",), "BOOL"),
    "from_tool": Function(_asked(Conversation.from_tool), ("ANY", "STRING"), "BOOL"),
    "field_has": Function(_asked(Conversation.field_has), ("ANY", "STRING", "STRING"), "BOOL"),
    "origin": Function(_asked(Conversation.origin), ("ANY",), "LIST"),
    "user_said": Function(_asked(Conversation.user_said), ("LIST",), "BOOL"),
    "history": Function(_asked(Conversation.history), ("STRING",), "TABLES"),
    "count": Function(_asked(Conversation.count), ("STRING",), "INT"),
    "total": Function(_asked(Conversation.total), ("STRING", "STRING"), "DOUBLE"),
    "read_from": Function(read_from, ("STRING",), "BOOL"),
}

CONVERSATIONAL: Final = frozenset(
    {"from_user", "from_tool", "field_has", "origin", "user_said", "history", "count", "total", "read_from"}
)
"""Those that look at the conversation, so that their answer changes as it goes on."""
