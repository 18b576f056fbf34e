"""A key of every form, cut at every point over two pieces of a stream and at some over three: nothing of it leaves, in any dialect.

`TOLLHOUSE_SPLITS=all` takes every point in every dialect, and every eighth pair; without it each point goes through one dialect, in turns.
The window through which all dialects look is given every pair of points then (of what is longer than 200 characters 20,000), else some.
"""

import itertools
import random

import pytest

from gateway.answering.screens import OutputScreen
from gateway.dialects import DIALECTS
from gateway.exchange import Caller
from gateway.policy import Sight, load, screen
from gateway.screening.streamed import Screening
from gateway.textwindow import Window
from tests.bench import planted
from tests.cuts import EVERYWHERE
from tests.screening.wires import WIRES, said

pytestmark = pytest.mark.unmeasured

POLICY = "policy: 1\nid: p\nagents: [a]\nallow: ['*']\nrules: [{{id: r, at: output, detect: [{}], effect: redact}}]\n"
BEFORE = "Long words that lead to it. " * 12
"""More than a window holds back, so that there is something to leave before the key is whole."""
AFTER = " - that is all of it."
SEED = random.Random(5)
SECRETS = {
    **planted.one_of_each(seed=5),
    **{name: make(SEED) for name, make in planted.PERSONAL.items()},
    **{f"{{national_id: {{countries: [{country}]}}}}": planted.NATIONAL[country](SEED) for country in ("de", "es", "fr", "nl")},
    "private key": next(one.secret for one in planted.private_keys(SEED)),
    "password": "postgres://app:" + planted.made("<a16>", SEED) + "@db.internal:5432/app",
    "named": "API_KEY=" + planted.made("<b40>", SEED),
}


@pytest.fixture
def rules(name):
    """Of the one detector that is about it: a window holds no more than that one asks for."""
    detector = name if name in planted.PERSONAL or name[0] == "{" else "secret"
    return screen(load({"p.yaml": POLICY.format(detector).encode()}), "output", Sight(Caller("a")))


def pieces(text, cuts):
    return [text[a:b] for a, b in itertools.pairwise([0, *cuts, len(text)])]


def telling(secret):
    """Parts of a secret of which none may be seen: not what leads to it, such as a host or a name."""
    behind = secret[-len(secret) * 3 // 5 :].removesuffix("@db.internal:5432/app")
    return [behind[at : at + 8] for at in range(max(1, len(behind) - 7))]


def left_of(dialect, rules, deltas):
    stage = Screening(OutputScreen(rules), DIALECTS[dialect].TEXTS.streamed(), explain=lambda hits: "", note=lambda hit, words: None)
    data = stage.through(WIRES[dialect](deltas)) + stage.settle()
    assert said(dialect, data) == stage.text
    return data, stage.text


def ways(length):
    """Where to cut, and in which dialect."""
    points = range(length + 1)
    pairs = list(itertools.combinations(points, 2))
    some = pairs[::8] if EVERYWHERE else random.Random(length).sample(pairs, min(6, len(pairs)))
    for at, cuts in enumerate([*((point,) for point in points), *some]):
        yield from ((dialect, cuts) for dialect in (WIRES if EVERYWHERE else [list(WIRES)[at % len(WIRES)]]))


@pytest.mark.parametrize("name", SECRETS)
def test_wherever_a_secret_is_cut_nothing_of_it_leaves(name, rules):
    secret = SECRETS[name]
    text = f"{BEFORE}{secret}{AFTER}"
    whole = rules.redacted(text, rules.find(text))
    parts = telling(secret)
    assert not any(part in whole for part in parts)
    for dialect, cuts in ways(len(secret)):
        data, left = left_of(dialect, rules, pieces(text, [len(BEFORE) + cut for cut in cuts]))
        assert left == whole, (dialect, cuts)
        assert not any(part.encode() in data for part in parts), (dialect, cuts)


def through_a_window(rules, text, cuts):
    """What leaves after each piece, and at the end."""
    window, left, out = Window(OutputScreen(rules)), 0, []
    for piece in pieces(text, cuts):
        window.feed(piece)
        out.append(window.said(left, text[left : window.settled]))
        left = window.settled
    window.finish()
    return [*out, window.said(left, text[left:])]


@pytest.mark.parametrize("name", SECRETS)
def test_wherever_a_secret_is_cut_in_three_nothing_of_it_leaves(name, rules):
    secret = SECRETS[name]
    text = f"{BEFORE}{secret}{AFTER}"
    whole = rules.redacted(text, rules.find(text))
    pairs = list(itertools.combinations(range(len(secret) + 1), 2))
    some = pairs[:: max(1, len(pairs) // 20_000)] if EVERYWHERE else random.Random(len(secret)).sample(pairs, min(20, len(pairs)))
    for first, second in some:
        out = through_a_window(rules, text, [len(BEFORE) + first, len(BEFORE) + second])
        assert "".join(out) == whole, (first, second)
        assert whole.startswith("".join(out[:2])), (first, second)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_that_comes_character_by_character_leaves_as_one_that_comes_whole(name, rules):
    text = f"{BEFORE}{SECRETS[name]}{AFTER}"
    window, left, whole = Window(OutputScreen(rules)), 0, rules.redacted(text, rules.find(text))
    out = ""
    for at, sign in enumerate(text):
        window.feed(sign)
        out += window.said(left, text[left : window.settled])
        assert whole.startswith(out), at
        left = window.settled
    window.finish()
    assert out + window.said(left, text[left:]) == whole
