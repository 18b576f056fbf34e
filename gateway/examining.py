"""What `tollhouse doctor` and the page Status look at, one function each: a finding says how it is and, where it is not well, what to do.

Nothing is changed: what is written for a trial is taken away again, and providers are sent no key and no question: looking costs nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import site
import socket
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit

from packaging.requirements import Requirement

from gateway import __version__, installation, prices
from gateway.addresses import Address
from gateway.config import Settings
from gateway.errors import FileProblems, GatewayError, StartError
from gateway.ledger_place import EMBEDDED, lake_place
from gateway.settings_sources import advice
from gateway.upstream import platforms

PATIENCE_S = 5.0
LITTLE_ROOM, HARDLY_ANY = 2 * 1024**3, 200 * 1024**2
"""Bytes."""
SLOW_SYNC_S = 0.05
SKEW_S, WRONG_S = 30, 3600
"""Seconds between this machine's clock and a provider's: cause for a look; more than any network explains."""
LOADED_BY_NAME = ("duckdb", "litellm", "nanoarrow", "opentelemetry-sdk", "cel-expr-python", "uvicorn", "starlette")
HARMLESS = ("distutils-precedence", "_virtualenv", "__editable__", "a1_coverage", "coverage")
"""How .pth files begin that setuptools, virtualenv, editable installations and coverage make."""


class Finding(NamedTuple):
    about: str
    level: Literal["ok", "warning", "error"]
    said: str
    do: str = ""


def versions(asked: Iterable[str] | None = None) -> Iterator[Finding]:
    """The packages that matter, and whether each that is asked for (as in pyproject.toml) is there, in a version tried with this one."""
    found = {name: metadata.version(name) for name in LOADED_BY_NAME if _installed(name)}
    told = ", ".join(f"{name} {version}" for name, version in found.items())
    yield Finding("versions", "ok", f"tollhouse {__version__}, Python {sys.version.split()[0]}, {told}")
    requirements = map(Requirement, _asked() if asked is None else asked)
    wanted = [each for each in requirements if not each.marker or each.marker.evaluate({"extra": ""})]
    if missing := [each.name for each in wanted if not _installed(each.name) and not _left_out(each.name)]:
        do = "install tollhouse anew: pip install --force-reinstall tollhouse"
        yield Finding("versions", "error", f"not installed: {', '.join(missing)}", do)
    for each in wanted:
        if _installed(each.name) and not each.specifier.contains(metadata.version(each.name), prereleases=True):
            said = f"{each.name} {metadata.version(each.name)} is not one that this version was tried with ({each.specifier})"
            yield Finding("versions", "warning", said, "pip install --require-hashes -r requirements.lock (deploy/README.md)")


def _asked() -> list[str]:
    """By the installed package itself; in a checkout that is not installed, that there are those that matter."""
    try:
        return metadata.requires("tollhouse") or []
    except metadata.PackageNotFoundError:
        return list(LOADED_BY_NAME)


def startup_files(folders: Iterable[Path] | None = None) -> Iterator[Finding]:
    """`.pth` files with lines of code: Python runs them at every start, whoever has put them there."""
    looked = sorted({*(Path(each) for each in _site_folders())} if folders is None else folders)
    odd = [file for folder in looked for file in sorted(folder.glob("*.pth")) if _runs_code(file)]
    for file in odd:
        do = f"find out which package it came with (pip show -f …); if nobody knows, take this environment out of service: {file}"
        yield Finding("startup files", "warning", f"{file.name} runs code whenever Python starts", do)
    if not odd:
        yield Finding("startup files", "ok", "no .pth file of an unknown package runs code when Python starts")


def settings(read: Callable[[], Settings]) -> tuple[Settings | None, list[Finding]]:
    """None where there can be none."""
    try:
        found = read()
    except (FileProblems, StartError) as error:
        return None, [Finding("settings", "error", str(error), "mend the file; deploy/tollhouse.yaml shows every setting")]
    if not found.upstreams:
        do = "set OPENAI_API_KEY, ANTHROPIC_API_KEY or GEMINI_API_KEY, or name one under 'upstreams' in tollhouse.yaml"
        return found, [Finding("settings", "error", "there is no provider to talk to", do)]
    do = "mend it or take it out; deploy/tollhouse.yaml shows every setting"
    told = [Finding("settings", "warning", each, do) for each in advice(found, os.environ)]
    return found, told or [Finding("settings", "ok", f"{len(found.upstreams)} upstreams, data in {found.data}")]


def policies(found: Settings) -> Iterator[Finding]:
    try:
        loaded = installation.load_policies(found)
        installation.load_prompts(found)
    except (FileProblems, StartError) as error:
        yield Finding("policies", "error", str(error), "mend the files; 'tollhouse policy check' shows each place")
        return
    if loaded.observing:
        do = "write policies: tollhouse init"
        yield Finding("policies", "warning", "none: every tool call passes, and every record says 'unevaluated'", do)
    else:
        yield Finding("policies", "ok", f"{len(loaded.policies)} in force, version {loaded.hash[:12]}")


def keys(found: Settings) -> Iterator[Finding]:
    """Whether each key that the settings name is there; never the key."""
    for name, upstream in found.upstreams.items():
        if upstream.key is None:
            continue
        where = upstream.key.place
        try:
            there = upstream.key.read(os.environ)
        except StartError as error:
            yield Finding("keys", "error", str(error), f"see to the {where}")
            continue
        if there:
            yield Finding("keys", "ok", f"{name}: the {where} holds a key")
        else:
            yield Finding("keys", "error", f"{name}: the {where} holds no key", "set it; agents' requests to this provider fail without")
    yield from _of_agents(found)
    yield from _secrets(found)


def machine(found: Settings) -> Iterator[Finding]:
    """Whether a vendor's library finds credentials where the settings want those of the machine; never what it finds."""
    for name, upstream in found.upstreams.items():
        if upstream.platform is None or not upstream.platform.of_machine:
            continue
        try:
            source, none = platforms.on_machine(upstream.platform)
        except StartError as error:
            yield Finding("keys", "error", f"{name}: {error}", "install what it names")
            continue
        try:
            source.find()
        except Exception as error:  # noqa: BLE001 - whatever a vendor's library raises, there are none
            yield Finding("keys", "error", f"{name}: this machine has no credentials ({type(error).__name__})", none)
        else:
            yield Finding("keys", "ok", f"{name}: this machine has credentials")


def _of_agents(found: Settings) -> Iterator[Finding]:
    with contextlib.suppress(StartError, GatewayError):  # a file or a store that cannot be used is told where it is looked at
        yield from (Finding("keys", "error", *said.split("; ", 1)) for said in installation.keys_of_agents(found))


def _secrets(found: Settings) -> Iterator[Finding]:
    looks: dict[str, Callable[[], object]] = {
        "encryption": lambda: installation.master_keys(found),
        "telemetry": lambda: found.telemetry.secrets(os.environ),
    }
    for about, read in looks.items():
        try:
            read()
        except StartError as error:
            yield Finding(about, "error", str(error), "set what it names, or take the lines out of tollhouse.yaml")


def providers(found: Settings) -> Iterator[Finding]:
    """Any answer will do: it shows name, route, certificate and clock."""
    import httpx  # which brings a terminal with it, and is wanted when somebody looks

    for name, upstream in found.upstreams.items():
        began = time.monotonic()
        try:
            answer = httpx.head(upstream.base_url, timeout=PATIENCE_S, trust_env=False)
        except httpx.HTTPError as error:
            do = f"see that this machine may reach {urlsplit(upstream.base_url).netloc} (name service, firewall, certificates)"
            yield Finding("providers", "error", f"{name} cannot be reached: {type(error).__name__}: {error}", do)
            continue
        took = time.monotonic() - began
        yield Finding("providers", "ok", f"{name} answers after {took * 1000:.0f} ms")
        yield from clock(name, answer.headers, time.time())


def clock(name: str, headers: Mapping[str, str], now: float) -> Iterator[Finding]:
    """By the time that a provider's answer says."""
    try:
        theirs = parsedate_to_datetime(headers.get("date", "")).timestamp()
    except ValueError:
        return
    skew = abs(now - theirs)
    if skew < SKEW_S:
        yield Finding("clock", "ok", f"as {name}'s, to {max(1, round(skew))} s")
        return
    do = "set the clock (timedatectl set-ntp true): windows of budgets, keys' ends and certificates depend on it"
    yield Finding("clock", "error" if skew > WRONG_S else "warning", f"{skew:.0f} s from {name}'s", do)


def disk(found: Settings) -> Iterator[Finding]:
    """Room, and how long a record takes to be safe, where the journal is or would be."""
    folder = next(each for each in (found.data_path, *found.data_path.parents) if each.exists())
    free = shutil.disk_usage(folder).free
    level: Literal["ok", "warning", "error"] = "error" if free < HARDLY_ANY else "warning" if free < LITTLE_ROOM else "ok"
    do = "" if level == "ok" else "make room, or bound the journal (journal.max_bytes, retention): a full disk answers agents 503"
    yield Finding("disk", level, f"{free / 1024**3:.1f} GiB free at {folder}", do)
    try:
        took = _sync_time(folder)
    except OSError as error:
        do = "give this user the right to, or name another with 'data'"
        yield Finding("disk", "error", f"cannot write into {folder}: {error.strerror}", do)
        return
    slow = took > SLOW_SYNC_S
    do = "use a disk of this machine with a battery or flash behind it, or durability: interval" if slow else ""
    yield Finding("disk", "warning" if slow else "ok", f"a record is safe after {took * 1000:.1f} ms", do)


def _sync_time(folder: Path) -> float:
    """Seconds, the median of five."""
    with tempfile.TemporaryFile(dir=folder) as file:
        times = []
        for _ in range(5):
            began = time.monotonic()
            file.write(b"x" * 1024)
            file.flush()
            os.fsync(file.fileno())
            times.append(time.monotonic() - began)
    return sorted(times)[2]


def places(found: Settings) -> Iterator[Finding]:
    """The two addresses: free, or this gateway's own."""
    running = _running(found)
    for what, address in (("listen", found.listen_address), ("admin", found.admin_address)):
        if address.url in running:
            yield Finding("addresses", "ok", f"{what}: this gateway is running on {address.url}")
        elif problem := _taken(address):
            do = f"end what is there, or choose another with '{what}'"
            yield Finding("addresses", "error", f"{what}: {address.host}:{address.port} cannot be used: {problem}", do)
        else:
            yield Finding("addresses", "ok", f"{what}: {address.host}:{address.port} is free")


def _running(found: Settings) -> tuple[str, ...]:
    try:
        where = json.loads((found.data_path / "run.json").read_text())
    except (OSError, ValueError):
        return ()
    return (str(where.get("listen")), str(where.get("admin")))


def _taken(address: Address) -> str | None:
    try:
        family, _, _, _, place = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(place)
    except OSError as error:
        return error.strerror or str(error)
    return None


def routes(found: Settings) -> Iterator[Finding]:
    """Whether each can lead where it is to."""
    try:
        warnings = installation.look_at_routes(found)
    except StartError as error:
        yield Finding("routes", "error", str(error), "see deploy/README.md, Translation")
        return
    if not found.routes:
        yield Finding("routes", "ok", "none: each dialect goes to the first provider that speaks it")
        return
    for warning in warnings:
        yield Finding("routes", "warning", warning, "see deploy/README.md, Translation")
    if not warnings:
        yield Finding("routes", "ok", f"{len(found.routes)}, and all can be followed")


def state(found: Settings) -> Iterator[Finding]:
    try:
        warnings = installation.look_at_state(found)
    except StartError as error:
        do = "see that the server runs and is reached from here (deploy/README.md, Several machines)"
        yield Finding("state", "error", str(error), do)
        return
    for warning in warnings:
        yield Finding("state", "warning", warning, "see deploy/README.md, Several machines")
    if not warnings:
        yield Finding("state", "ok", "in the data folder" if found.state_place is None else f"on {found.state_place}")


def extensions(found: Settings) -> Iterator[Finding]:
    """DuckDB's, which a fleet's ledger needs; the embedded one needs none."""
    if found.ledger == EMBEDDED:
        yield Finding("ledger", "ok", "a file in the data folder, which needs no extension")
        return
    place = lake_place(found.ledger)
    wanted = ("postgres", "ducklake", *(["httpfs"] if place is not None and place.in_s3 else []))
    missing = [name for name in wanted if importlib.util.find_spec(f"duckdb_extension_{name}") is None]
    if missing:
        yield Finding("ledger", "error", f"DuckDB's extensions are missing: {', '.join(missing)}", "run: pip install 'tollhouse[fleet]'")
    else:
        yield Finding("ledger", "ok", f"DuckDB's extensions are installed: {', '.join(wanted)}")


def priced(found: Settings) -> Iterator[Finding]:
    try:
        table = prices.load(found.prices, found.price_table)
    except StartError as error:
        yield Finding("prices", "error", str(error), "the gateway does not start with these prices")
    else:
        yield Finding("prices", "ok", f"{table.models} models in {table.version}")


def collectors(found: Settings) -> Iterator[Finding]:
    endpoints = found.telemetry.collectors(os.environ)
    if not endpoints:
        yield Finding("telemetry", "ok", "nothing is sent; metrics are at /metrics of the admin plane")
    for endpoint in endpoints:
        yield _connected(urlsplit(endpoint))


def _connected(parts: SplitResult) -> Finding:
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), PATIENCE_S).close()
    except OSError as error:
        do = "start the collector or mend telemetry.endpoint; agents and the book do not wait for it"
        return Finding("telemetry", "warning", f"the collector at {parts.hostname}:{port} cannot be reached: {error}", do)
    return Finding("telemetry", "ok", f"the collector at {parts.hostname}:{port} takes connections")


LOOKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    policies, keys, machine, routes, disk, places, state, extensions, priced, collectors, providers
)  # fmt: skip


def _left_out(name: str) -> bool:
    """Of an image that is to be small: litellm is, where its prices are there without it."""
    return name == "litellm" and prices.price_file() is not None


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _site_folders() -> Iterator[str]:
    yield from (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    if site.ENABLE_USER_SITE:
        yield site.getusersitepackages()


def _runs_code(file: Path) -> bool:
    """As `site` reads it: lines that begin with `import`."""
    if file.name.startswith(HARMLESS):
        return False
    text = file.read_text(encoding="utf-8", errors="replace")
    return any(line.startswith(("import ", "import\t")) for line in text.splitlines())
