"""A window over a text in pieces: whatever the cut, what leaves is what would leave of the whole text."""

import itertools
import re
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.textwindow import Window


@dataclass(frozen=True)
class Found:
    start: int
    end: int
    kind: str


class Patterns:
    """Replaces what its patterns find by their names; a kind that begins with `stop` ends the text."""

    def __init__(self, look_back: int, **patterns: str) -> None:
        self.look_back = look_back
        self._patterns = {kind: re.compile(pattern) for kind, pattern in patterns.items()}

    def find(self, text):
        return [Found(*m.span(), kind) for kind, pattern in self._patterns.items() for m in pattern.finditer(text)]

    def stops(self, hit):
        return hit.kind.startswith("stop")

    def replaces(self, hit):
        return hit.kind not in ("seen", "all") and not self.stops(hit)

    def waits(self, text):
        return None

    def everywhere(self, hit):
        return hit.kind.endswith("all")

    def moved(self, hit, start, end):
        return replace(hit, start=start, end=end)

    def redacted(self, text, hits):
        out, at = [], 0
        for start, end, kind in _merged(hits):
            out += [text[at:start], f"[{kind}]"]
            at = end
        return "".join([*out, text[at:]])


class Pairs(Patterns):
    """Each two letters that follow one another: every hit overlaps the next."""

    def find(self, text):
        return [Found(at, at + 2, "pair") for at in range(len(text) - 2)]


def _merged(hits):
    spans = []
    for hit in sorted(hits, key=lambda hit: (hit.start, hit.end)):
        if hit.kind in ("seen", "all"):
            continue
        if spans and hit.start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], hit.end), min(spans[-1][2], hit.kind))
        else:
            spans.append((hit.start, hit.end, hit.kind))
    return spans


CARDS = Patterns(19, card=r"\b\d{4}(?: ?\d{4}){3}\b")
OVERLAPPING = Patterns(6, a=r"a[ab]{1,4}", b=r"b[bc]{1,4}", seen="c")


def left_of(screen, pieces, **how):
    """What leaves of a text in these pieces; asserts on the way that what has left is a beginning of all that leaves."""
    window, waiting, left, hits = Window(screen, **how), [], "", []
    begin = 0
    beginnings = []
    for piece in pieces:
        hits += window.feed(piece)
        waiting.append((begin, piece))
        begin += len(piece)
        while waiting and waiting[0][0] + len(waiting[0][1]) <= window.settled:
            left += window.said(*waiting.pop(0))
        beginnings.append(left)
    hits += window.finish()
    for start, piece in waiting:
        left += window.said(start, piece)
    assert all(left.startswith(beginning) for beginning in beginnings)
    return left, hits, window


def cut(text, places):
    bounds = [0, *sorted({place % (len(text) + 1) for place in places}), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(bounds)]


@pytest.mark.parametrize("first", range(1, 19))
@pytest.mark.parametrize("width", [1, 3, 18])
def test_a_card_split_at_every_point_over_two_or_three_pieces_never_leaves_partly(first, width):
    text = "Your card is 4111 1111 1111 1111, thank you. " + "More words follow here. " * 3
    at = text.index("4111") + first
    left, hits, window = left_of(CARDS, [text[:at], text[at : at + width], text[at + width :]])
    assert left == text.replace("4111 1111 1111 1111", "[card]")
    assert [hit.start for hit in hits] == [13]
    assert window.changed


texts_with_cards = st.lists(
    st.sampled_from(["4111 1111 1111 1111", "4111111111111111", "1111 ", " ", "x", "words and ", "9", "é𝄞", "\n"]), max_size=30
).map("".join)


@given(texts_with_cards, st.lists(st.integers(0, 1000), max_size=20))
def test_what_leaves_of_any_cut_is_the_redacted_whole_text(text, places):
    left, hits, _ = left_of(CARDS, cut(text, places))
    assert left == CARDS.redacted(text, CARDS.find(text))
    assert hits == CARDS.find(text)


@given(st.text("abc ", max_size=60), st.lists(st.integers(0, 1000), max_size=20))
def test_hits_that_overlap_are_decided_together_whatever_the_cut(text, places):
    # A pattern of its own kind never runs on for ever here: blanks end it, as they end words.
    text = " ".join(word[:12] for word in text.split(" "))
    left, hits, _ = left_of(OVERLAPPING, cut(text, places))
    assert left == OVERLAPPING.redacted(text, OVERLAPPING.find(text))
    assert sorted(hits, key=repr) == sorted(OVERLAPPING.find(text), key=repr)


@given(st.text("abc ", max_size=60), st.text("abc ", max_size=60), st.lists(st.integers(0, 1000), max_size=20))
def test_a_text_stops_before_what_must_not_be_said_and_stays_stopped(before, after, places):
    screen = Patterns(4, stop="XYZ.")
    left, hits, window = left_of(screen, cut(f"{before}XYZ!{after}XYZ?", places))
    assert left == before
    assert [(hit.start, hit.end) for hit in window.stopping] == [(len(before), len(before) + 4)]
    assert window.stop == len(before)
    assert hits == list(window.stopping)


def test_most_of_a_long_text_has_left_before_it_ends():
    window = Window(CARDS)
    for _ in range(1000):
        window.feed("word ")
    assert 5000 - window.settled <= 19 + 1 + 5 + 16


def test_a_text_that_must_be_seen_whole_waits_for_its_end():
    window = Window(CARDS, whole=True)
    for _ in range(1000):
        window.feed("word ")
    assert window.settled == 0
    window.finish()
    assert window.settled == 5000


def test_a_hit_over_the_seam_of_a_text_that_went_on_after_its_end_loses_its_rest():
    window = Window(CARDS)
    window.feed("4111 1111 ")
    window.finish()
    assert window.said(0, "4111 1111 ") == "4111 1111 "
    (hit,) = [*window.feed("1111 1111"), *window.finish()]
    assert (hit.start, hit.end) == (0, 19)
    assert window.said(10, "1111 1111") == "[card]"


def test_a_stop_over_the_seam_takes_nothing_back_and_lets_nothing_more_leave():
    window = Window(Patterns(4, stop="abcd"))
    window.feed("ab")
    window.finish()
    assert window.said(0, "ab") == "ab"
    window.feed("cd and more")
    window.finish()
    assert window.said(2, "cd and more") == ""
    assert window.stop == 2


KEYS = Patterns(12, key="KEY-[a-z]{4,}")


@given(st.integers(4, 400), st.lists(st.integers(0, 1000), max_size=30))
def test_a_hit_without_a_bound_waits_until_the_text_shows_its_end(length, places):
    text = f"some words, then KEY-{'k' * length}. And after it others."
    left, hits, _ = left_of(KEYS, cut(text, places))
    assert left == "some words, then [key]. And after it others."
    assert len(hits) == 1


def test_waiting_for_the_end_of_a_long_hit_costs_few_looks():
    looks = []

    class Counting(Patterns):
        def find(self, text):
            looks.append(len(text))
            return super().find(text)

    window = Window(Counting(12, key="KEY-[a-z]{4,}"))
    window.feed("KEY-")
    for _ in range(10_000):
        window.feed("k")
    assert window.settled == 0
    assert sum(looks) < 100 * 10_000


def test_what_a_hit_is_about_can_be_asked_for_when_it_was_found():
    window = Window(CARDS)
    hits = window.feed("x" * 5000 + " 4111 1111 1111 1111, " + "y" * 30)
    assert [window.words(hit.start, hit.end) for hit in hits] == ["4111 1111 1111 1111"]


def test_a_crowd_of_overlapping_hits_that_does_not_end_is_let_go_in_parts():
    pairs = Window(Pairs(2))
    for _ in range(500):
        pairs.feed("x")
    assert pairs.settled > 400
    assert "x" not in pairs.said(0, "x" * pairs.settled)


class Failing(Patterns):
    """Has something to say of a text as such, from some length on."""

    def __init__(self, kind, least):
        super().__init__(8, word="word")
        self._kind, self._least = kind, least

    def find(self, text):
        return super().find(text) + ([Found(0, len(text), self._kind)] if len(text) >= self._least else [])


def test_a_hit_that_is_about_the_text_as_such_stops_it_at_once():
    window = Window(Failing("stopall", 30))
    hits = [hit for _ in range(10) for hit in window.feed("a word. ")]
    assert hits[-1].kind == "stopall"
    assert window.stop is not None
    assert window.stop < 40
    assert {hit.kind for hit in window.stopping} == {"stopall"}


def test_a_hit_about_the_text_as_such_without_effect_holds_nothing_back():
    window = Window(Failing("all", 0))
    hits = [hit for _ in range(10) for hit in window.feed("a word. ")]
    assert window.settled > 60
    assert {hit.kind for hit in hits} == {"word", "all"}
    assert window.said(0, "a word. ") == "a [word]. "


def test_empty_hits_are_none():
    left, hits, _ = left_of(Patterns(4, a="z*"), ["some", " words"])
    assert (left, hits) == ("some words", [])
