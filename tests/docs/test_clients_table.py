"""The operator's table of clients is what `tollhouse connect` knows and what the matrix of real clients has found, to the letter."""

import re
from pathlib import Path

from gateway.cli.connect_clients import CLIENTS, Client

ROOT = Path(__file__).parents[2]
TESTED = (ROOT / "tests" / "clients" / "README.md").read_text()
GUIDE = (ROOT / "deploy" / "README.md").read_text()


def played() -> dict[str, list[tuple[str, str]]]:
    """Client, as `connect` calls it → (version, wire formats) of each row of the matrix."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, version, formats in re.findall(r"^\| ([a-z][^|]*) \| ([\d.]+) \| ([^|]*) \| ok ", TESTED, re.MULTILINE):
        called, _, sort = name.partition(",")[0].partition(" ")
        told = f"npm {_short(version)}" if sort == "(npm)" else _short(version)
        found.setdefault(called, []).append((told, formats.partition(" (")[0]))
    return found


def _short(version: str) -> str:
    return ".".join(version.split(".")[:2])


def row(name: str, client: Client, tested: list[tuple[str, str]]) -> str:
    told = {name: value.replace("{key}", "key").replace("{url}", "URL") for name, value in client.variables.items()}
    needs = [f"`{client.file}`"] if client.file else []
    needs += [f"`{name}={value}`" for name, value in told.items()]
    versions = ", ".join(dict.fromkeys(version for version, _ in tested))
    formats = dict.fromkeys(each for _, several in tested for each in several.split(", "))
    told_formats = "all four" if "all four" in formats else ", ".join(formats)
    return f"| `{name}` | {client.what} | {'<br>'.join(needs)} | {versions}: {told_formats} | {client.note} |"


def test_every_client_that_can_be_connected_was_played_and_every_one_played_can_be_connected():
    assert played().keys() == CLIENTS.keys()


def test_the_table_says_what_each_client_needs_and_with_which_version_it_was_tried():
    section = GUIDE.partition("\n## Clients\n")[2].partition("\n## ")[0]
    shown = [line for line in section.splitlines() if line.startswith("| `")]
    assert shown == [row(name, client, played()[name]) for name, client in CLIENTS.items()]


def test_the_readme_counts_them():
    assert f"[{len(CLIENTS)} clients](deploy/README.md#clients)" in (ROOT / "README.md").read_text()
