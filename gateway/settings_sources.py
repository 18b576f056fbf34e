"""Where settings come from: `tollhouse.yaml`, the environment and flags, laid over each other, and what is told of mistakes in them.

Precedence: command-line flag > `TOLLHOUSE_*` variable > `.env` beside the file > `tollhouse.yaml` > default. No message shows a secret that
was written into one of them by mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from gateway.config import Settings
from gateway.documents import Document, check, complaints, parse
from gateway.documents import Path as Place
from gateway.errors import FileProblems, Problem, StartError
from gateway.route_settings import Route
from gateway.storage_settings import StateStore
from gateway.upstream_settings import PROVIDERS, Upstream

DEFAULT_FILE = "tollhouse.yaml"
VARIABLES: Final = ("listen", "admin", "data", "ledger", "policies", "prompts", "keys", "durability", "storing", "state", "log")
"""Settings that a variable TOLLHOUSE_… can say as they stand, and `workers`, which is a number."""
_OTHERS: Final = ("workers", "token", "admin_url", "key")
"""What a variable TOLLHOUSE_… may say besides; TOLLHOUSE_KEY is where agents often have theirs."""
_FOLDERS: Final = ("data", "policies", "prompts")
_NAMED: Final = re.compile(r"""(?:key|keys|secret|password|token|authorization)["']?\s*[:=]""", re.IGNORECASE)
"""Behind it a secret may stand, whatever there ought to be; on the next line where nothing is behind it on its own."""
_MIXED: Final = re.compile(r"""(?=[^\s,'"]*[a-z])(?=[^\s,'"]*[A-Z])(?=[^\s,'"]*[0-9])[^\s,'"{}\[\]]{16,}|(?<=/)[^/\s'"]*:[^/\s'"]*(?=@)""")
"""What looks like a key, wherever it stands; user and password in a URL."""


def read(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> Settings:
    """Settings from `file` (or defaults), `TOLLHOUSE_*` variables and flags, with absolute paths and, where no upstream is configured, the
    providers whose keys the environment holds. Raises FileProblems for the file, StartError for the rest."""
    settings, folder = (_loaded(file), file.parent) if file else (Settings(), Path())
    changes: dict[str, Any] = {}
    if not settings.upstreams:
        changes["upstreams"] = _from_environment(environment)
    changes |= _overrides(environment, flags or {})
    merged = _merge(settings, changes, flags or {})
    return _resolved(merged, folder).model_copy(update={"telemetry": merged.telemetry.with_environment(environment)})


def advice(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """What is no mistake for certain, and hardly meant."""
    known = [name.upper() for name in (*VARIABLES, *_OTHERS)]
    names = sorted(name.removeprefix("TOLLHOUSE_") for name in environment if name.startswith("TOLLHOUSE_"))
    near = {name: get_close_matches(name.upper(), known, 1, 0.8) for name in names if name not in known}
    said = [f"nothing reads the variable TOLLHOUSE_{name}; did you mean TOLLHOUSE_{close[0]}?" for name, close in near.items() if close]
    if settings.cache is not None and settings.storing == "metadata":
        said.append("'cache' keeps answers only of keys that have their content stored ('keys create --store'): 'storing' is metadata")
    said += [words for name, upstream in settings.upstreams.items() if (words := _unnamed(name, upstream))]
    return said + _never_taken(settings) + _in_no_route(settings)


_HOSTS: Final = {
    "api.x.ai": "xai", "api.deepseek.com": "deepseek", "api.groq.com": "groq", "api.mistral.ai": "mistral",
    "api.perplexity.ai": "perplexity", "api.together.xyz": "together_ai", "api.fireworks.ai": "fireworks_ai", "api.moonshot.ai": "moonshot",
    "api.cerebras.ai": "cerebras", "openai.azure.com": "azure", "dashscope-intl.aliyuncs.com": "dashscope", "openrouter.ai": "openrouter",
}  # fmt: skip
"""Ends of addresses of providers that speak another one's dialect, and their names in the price table."""


def _unnamed(name: str, upstream: Upstream) -> str:
    """Whether it is charged at the prices of its dialect's own provider, and need not be."""
    host = urlsplit(upstream.base_url).hostname or ""
    vendor = next((vendor for end, vendor in _HOSTS.items() if f".{host}".endswith(f".{end}")), None)
    if vendor is None or upstream.provider is not None or upstream.platform is not None:
        return ""
    return f"upstream '{name}' is not known as {vendor}, so that its models have no price or another provider's; add 'provider: {vendor}'"


def _never_taken(settings: Settings) -> list[str]:
    """The first route whose upstreams speak the dialect and whose glob matches wins."""
    speak = [{dialect for each in route.asked for dialect in settings.upstreams[each.upstream].spoken} for route in settings.routes]
    told = []
    for at, route in enumerate(settings.routes):
        before = [early for early in range(at) if speak[early] >= speak[at]]
        takers = [next((early for early in before if _takes(settings.routes[early], glob)), None) for glob in route.models]
        if None not in takers:
            others = " and ".join(dict.fromkeys(f"routes[{taker}]" for taker in takers))
            told.append(f"routes[{at}] (models {', '.join(route.models)}) is never taken: {others} before it takes all of that; move it up")
    return told


def _takes(route: Route, glob: str) -> bool:
    return any(glob == each or ("?" not in each and fnmatchcase(glob, each.replace("[", "[[]"))) for each in route.models)


def _in_no_route(settings: Settings) -> list[str]:
    named = {name for route in settings.routes for name, _ in route.named} | {each.upstream for each in settings.pass_through}
    unused = [name for name in settings.upstreams if settings.routes and name not in named]
    return [f"nothing is ever sent to the upstream '{name}': it is in none of the 'routes'" for name in unused]


def _loaded(file: Path) -> Settings:
    """Raises FileProblems; neither they nor the lines that they quote show a secret."""
    written = _bytes(file)
    try:
        document = parse(written, str(file))
        document.problems += tuple(_emptied(document))
        return check(document, Settings)
    except FileProblems as found:
        lines = written.decode("utf-8", "replace").splitlines()
        raise FileProblems([_without_secrets(each, lines[: each.line - 1]) for each in found.problems]) from None


_WITHOUT: Final = {
    "policies": "calls would only be recorded", "encryption": "what is kept of content would lie in clear text",
    "prompts": "no request could name a prompt", "queries": "no question of your own would be there",
    "price_table": "the installed table's prices would count", "cache": "no answer would be given again",
    "looked_at": "answers would be looked through for what is the default",
}  # fmt: skip
"""Keys that may be left out, and what is so then: what is left of one where its value became a comment is not meant so."""


def _emptied(document: Document) -> Iterator[Problem]:
    top = document.value if isinstance(document.value, dict) else {}
    for key, without in _WITHOUT.items():
        if key in top and top[key] in (None, ""):
            yield document.problem((key,), f"'{key}' has no value, and {without}; write one, or remove the key", key=True)
    for path in _nothing_at(top.get("issuers"), ("issuers",)):
        said = f"'{path[-1]}' has no value, and what it asks of tokens would not be asked; write one, or remove the key"
        yield document.problem(path, said, key=True)


def _nothing_at(value: Any, path: Place) -> Iterator[Place]:
    """Keys below without a value."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in below:
        if one is None:
            yield (*path, key)
        else:
            yield from _nothing_at(one, (*path, key))


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as e:
        hint = "; 'tollhouse init' writes one" if isinstance(e, FileNotFoundError) else ""
        raise StartError(f"cannot read {file}: {e.strerror}{hint}") from e


def _without_secrets(problem: Problem, lines: Sequence[str]) -> Problem:
    """`lines`: those before its own."""
    before = next((line for line in reversed(lines) if line.strip()), "")
    return replace(problem, message=hidden_words(problem.message), source=hidden(problem.source, before))


def hidden_words(text: str) -> str:
    """A text, as long as it is, without the words in it that look like keys."""
    return _MIXED.sub(lambda each: "*" * len(each[0]), text)


def hidden(line: str, before: str = "") -> str:
    """A line of settings, as wide as it is, without what stands where a secret may have been written by mistake; `before`: the line before
    it."""
    found = _NAMED.search(line)
    shown = 0 if ":" not in line and _NAMED.search(before) else found.end() if found else len(line)
    return hidden_words(line[:shown]) + re.sub(r"\S", "*", line[shown:])


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: {"dialect": list(dialects), "base_url": url, "key": {"env": variable}}
        for name, (dialects, url, variable) in PROVIDERS.items()
        if environment.get(variable)
    }


def _overrides(environment: Mapping[str, str], flags: Mapping[str, Any]) -> dict[str, Any]:
    named = {name: environment.get(f"TOLLHOUSE_{name.upper()}") for name in VARIABLES}
    found: dict[str, Any] = {k: v for k, v in named.items() if v}
    workers = environment.get("TOLLHOUSE_WORKERS")
    if workers:
        found["workers"] = int(workers) if workers.isdigit() else workers
    found |= {k: v for k, v in flags.items() if v is not None}
    if empty := [k for k in _FOLDERS if found.get(k) == ""]:
        raise StartError(f"--{empty[0]} is empty; name a folder, or leave it out")
    return found | {k: str(Path(found[k]).expanduser().absolute()) for k in _FOLDERS if k in found}


def _merge(settings: Settings, changes: Mapping[str, Any], flags: Mapping[str, Any]) -> Settings:
    whole = settings.model_dump() | dict(changes)
    try:
        return Settings.model_validate(whole)
    except ValidationError as error:
        told = (f"{_said_as(path, flags)}{hidden_words(each)}" for path, each in complaints(whole, error))
        raise StartError("\n".join(told)) from None


def _said_as(path: Sequence[str | int], flags: Mapping[str, Any]) -> str:
    """The flag or the variable of the environment that a setting came by; of what comes of several, none."""
    name = str(path[0]) if path else ""
    return f"--{name}: " if flags.get(name) is not None else f"TOLLHOUSE_{name.upper()}: " if name else ""


def _resolved(settings: Settings, folder: Path) -> Settings:
    """Paths in the file are relative to the file; everything else to the working directory."""

    def absolute(text: str) -> str:
        return str((folder / Path(text).expanduser()).absolute())

    policies = absolute(settings.policies) if settings.policies else None
    prompts = absolute(settings.prompts) if settings.prompts else None
    queries = absolute(settings.queries) if settings.queries else None
    table = absolute(settings.price_table) if settings.price_table else None
    paths: dict[str, Any] = {"policies": policies, "prompts": prompts, "queries": queries, "price_table": table}
    paths["data"] = absolute(settings.data)
    if isinstance(settings.state, StateStore) and settings.state.ca:
        paths["state"] = settings.state.model_copy(update={"ca": absolute(settings.state.ca)})
    return settings.model_copy(update=paths)
