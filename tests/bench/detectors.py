"""What the detectors find of what they should, and of what they should not: `python -m tests.bench.detectors`.

Recall over made-up secrets and personal data in ordinary places (`planted`); false finds over the code and prose of whatever packages are
installed, where nobody keeps secrets; and the time a text takes. Recall and false finds are the same wherever this runs on the same files;
times are not.
"""

from __future__ import annotations

import argparse
import random
import re
import site
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gateway.policy.looked import without
from gateway.validators.detectors import DETECTORS, NUMBERS, Detector, folded, hinted, national_ids
from tests.bench import planted
from tests.bench.planted import Planted

WRITTEN = (".py", ".md", ".rst", ".txt")
LICENCES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "copyright", "README", "changelog")
MEASURED = ("secret", *planted.PERSONAL)
KINDS = (*planted.PERSONAL, *(f"national_id: {country}" for country in planted.NATIONAL))
LARGEST = 500_000
"""Bytes of a file that is read; a larger one is a table."""
_TELLING = 8
"""Characters of a secret in a row that must not be seen."""
_ENDS = re.compile(r"[a-z]{2}|com|org|net|edu|gov|mil|int|info|biz|name|dev|app|xyz|museum|example|test|invalid|local|localdomain")
"""Of names of hosts, countries' among them. What ends in another way, as `a@b.shape`, is counted as no mail address."""


def redacted(text: str, name: str) -> str:
    """The text without what one detector finds, as a policy's `redact` leaves it; `national_id: de` is that of one country."""
    read = folded(text)
    kind, _, country = name.partition(": ")
    found = [national_ids([country])] if country else [one for one in hinted(read) if one.name == kind]
    return without(text, ((start, end, name) for one in found for start, end in one.spans(read)))


def leaks(one: Planted, left: str) -> bool:
    """Whether a telling part of what was planted is still to be seen. What it begins with may be: `https://hooks.…` is no secret."""
    telling = one.secret[-len(one.secret) * 3 // 5 :]
    return any(telling[at : at + _TELLING] in left for at in range(max(1, len(telling) - _TELLING + 1)))


class Recall(NamedTuple):
    planted: int
    missed: Sequence[Planted]

    @property
    def share(self) -> float:
        return 1 - len(self.missed) / self.planted


def recall(items: Iterable[Planted], name: str) -> dict[str, Recall]:
    """By what was planted."""
    counts: Counter[str] = Counter()
    missed: defaultdict[str, list[Planted]] = defaultdict(list)
    for one in items:
        counts[one.kind] += 1
        if leaks(one, redacted(one.text, name)):
            missed[one.kind].append(one)
    return {kind: Recall(count, missed[kind]) for kind, count in counts.items()}


def together(found: Iterable[Recall]) -> Recall:
    parts = list(found)
    return Recall(sum(part.planted for part in parts), [one for part in parts for one in part.missed])


# -- what should not be found ----------------------------------------------------------------------------------------


def ordinary_files(most: int, seed: int = 7) -> list[Path]:
    """Code and prose of installed packages, and Debian's documents where there are any; as many as are asked for, by lot."""
    folders = [Path(folder) for folder in site.getsitepackages() if Path(folder).is_dir()]
    documents = Path("/usr/share/doc")
    folders += [documents] if documents.is_dir() else []
    files = sorted(path for folder in folders for path in folder.rglob("*") if _is_ordinary(path))
    return random.Random(seed).sample(files, min(most, len(files)))


def _is_ordinary(path: Path) -> bool:
    return (path.suffix in WRITTEN or path.name.startswith(LICENCES)) and path.is_file() and path.stat().st_size <= LARGEST


class FalseFinds(NamedTuple):
    files: int
    characters: int
    seconds: float
    found: dict[str, list[tuple[Path, list[str]]]]
    """By detector: the files, and what was found in them."""

    @property
    def share(self) -> float:
        """Of files in which anything was found."""
        return len({path for hits in self.found.values() for path, _ in hits}) / self.files


def false_finds(paths: Iterable[Path], names: Sequence[str] = MEASURED) -> FalseFinds:
    found: defaultdict[str, list[tuple[Path, list[str]]]] = defaultdict(list)
    files = characters = 0
    began = time.perf_counter()
    for path in paths:
        text = path.read_text(errors="replace")
        files, characters = files + 1, characters + len(text)
        for name, words in _false(text, names):
            found[name].append((path, words))
    return FalseFinds(files, characters, time.perf_counter() - began, dict(found))


def false_states(paths: Iterable[Path]) -> Counter[str]:
    """In how many files a number was found that a country could have given out."""
    by_country = {country: national_ids([country]) for country in NUMBERS}
    texts = (folded(path.read_text(errors="replace")) for path in paths)
    return Counter(country for text in texts for country, one in by_country.items() if any(one.spans(text)))


def _false(text: str, names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    read = folded(text)
    for one in hinted(read):
        words = [text[start:end] for start, end in one.spans(read)]
        words = [word for word in words if not (one.name == "email" and _is_address(word))]
        if words and one.name in names:
            yield one.name, words


def _is_address(word: str) -> bool:
    """Authors and maintainers are named in files with their mail addresses, which are rightly found."""
    return _ENDS.fullmatch(word.lower().rpartition(".")[2]) is not None


# -- time --------------------------------------------------------------------------------------------------------------

PLAIN = "Please look at the invoice of last month: 12.50 is still open, see page 3 of 17 (2nd of May). "
TALK = "Call 030 1234567 or mail ann@example.com about token: none, key = see_config, order 4111 1111 1111 1112 of 2026-11-20. "


def microseconds(text: str, detectors: Sequence[Detector] = tuple(DETECTORS.values()), rounds: int = 9, times: int = 50) -> float:
    """Of a look at a text with all detectors, each searching."""
    taken = []
    for _ in range(rounds):
        began = time.thread_time()
        for _ in range(times):
            read = folded(text)
            for one in detectors:
                list(one.spans(read))
        taken.append((time.thread_time() - began) / times)
    return statistics.median(taken) * 1e6


def hinted_microseconds(text: str, times: int = 200) -> float:
    """Of the same where only those search that are hinted at, as for storing."""
    began = time.thread_time()
    for _ in range(times):
        read = folded(text)
        for one in hinted(read):
            list(one.spans(read))
    return (time.thread_time() - began) / times * 1e6


# -- the table ---------------------------------------------------------------------------------------------------------


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m tests.bench.detectors", description="Recall, false finds and time of the detectors.")
    asked.add_argument("--files", type=int, default=4000, help="ordinary files to look into, by lot (default 4000)")
    asked.add_argument("--seed", type=int, default=1, help="of what is made up and of the lot (default 1)")
    asked.add_argument("--show", action="store_true", help="what was missed and what was found falsely")
    given = asked.parse_args()
    say = sys.stdout.write
    secret = recall(planted.secrets(given.seed), "secret")
    people = {kind: found for name in KINDS for kind, found in recall(_of(name, given.seed), name).items()}
    say(f"{'planted':34}{'in all':>8}{'missed':>8}{'recall':>9}\n")
    for kind, found in {**secret, "= secrets": together(secret.values()), **people, "= personal data": together(people.values())}.items():
        say(f"{kind:34}{found.planted:8}{len(found.missed):8}{found.share:9.4f}\n")
        say("".join(f"    {one.place}: {one.secret!r}\n" for one in found.missed if given.show))
    paths = ordinary_files(given.files, given.seed)
    false, states = false_finds(paths), false_states(paths)
    say(f"\n{false.files} ordinary files of {false.characters / 1e6:.1f} million characters, {false.seconds:.1f} s")
    say(f" ({false.seconds / false.characters * 1e9:.0f} µs per KB); in {false.share:.2%} something was found:\n")
    for name in MEASURED:
        hits = false.found.get(name, [])
        say(f"{name:34}{len(hits) * 1000 / false.files:8.2f} per 1,000 files\n")
        say("".join(f"    {path}: {[word[:60] for word in words[:3]]}\n" for path, words in hits if given.show))
    for country in NUMBERS:
        hits = states.get(country, 0)
        say(f"{'national_id: ' + country:34}{hits * 1000 / false.files:8.2f} per 1,000 files, where a rule asks for it\n")
    say("\nµs for 2 KB, each detector searching / only those hinted at:\n")
    for label, text in (("plain words", PLAIN), ("with numbers, addresses and keys", TALK)):
        piece = (text * 30)[:2048]
        say(f"{label:34}{microseconds(piece):8.0f} /{hinted_microseconds(piece):6.1f}\n")


def _of(name: str, seed: int) -> list[Planted]:
    return [one for one in planted.personal(seed) if one.kind == name]


if __name__ == "__main__":
    main()
