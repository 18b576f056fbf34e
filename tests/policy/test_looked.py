"""What was found in a text is found once; nothing of the text is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.looked import Looked, Memory, without
from gateway.validators.detectors import DETECTORS, Detector


class Counting:
    """A detector that counts how often it looks."""

    def __init__(self, many=1):
        self.looked, self.many = 0, many
        self.detector = Detector("x", 1, self.spans)

    def spans(self, text):
        self.looked += 1
        return [(at, at + 1) for at in range(self.many)]


def test_a_text_that_comes_again_is_not_looked_at_again():
    memory, counting = Memory(), Counting()
    for _ in range(3):
        assert list(Looked("some text", memory).spans([counting.detector, counting.detector])) == [(0, 1, "x"), (0, 1, "x")]
    assert counting.looked == 1
    list(Looked("other text", memory).spans([counting.detector]))
    assert counting.looked == 2


def test_without_a_memory_each_text_is_looked_at_once():
    counting = Counting()
    for _ in range(2):
        one = Looked("some text")
        assert list(one.spans([counting.detector])) == list(one.spans([counting.detector]))
    assert counting.looked == 2


def test_what_is_remembered_is_bounded():
    memory, counting = Memory(most=2), Counting()
    for text in ("a", "b", "c", "a"):
        list(Looked(text, memory).spans([counting.detector]))
    assert counting.looked == 4
    many = Counting(1001)
    for _ in range(2):
        assert len(list(Looked("b", memory).spans([many.detector]))) == 1001
    assert many.looked == 2


def test_no_text_is_kept():
    memory = Memory()
    list(Looked("a very secret text", memory).spans([Counting().detector]))
    assert "secret" not in repr(memory.__dict__)


def test_what_overlaps_or_lies_inside_is_taken_out_under_the_name_of_the_first():
    assert without("0123456789", [(2, 4, "b"), (1, 5, "a"), (4, 7, "c"), (8, 9, "d")]) == "0[a]7[d]9"
    assert without("0123", []) == "0123"
    assert without("0123", [(0, 2, "a"), (2, 4, "b")]) == "[a][b]"


CARD, KEY = "4111111111111111", "sk-ant-api03-" + "aB1c" * 10


def escape(text, which):
    return "".join(f"\\u{ord(c):04x}" if hit else c for c, hit in zip(text, which, strict=True))


@pytest.mark.parametrize(("name", "secret"), [("card", CARD), ("secret", KEY)])
@given(data=st.data(), around=st.tuples(st.text(max_size=5), st.text(max_size=5)))
def test_what_is_written_with_escapes_of_json_is_found_where_it_stands(name, secret, data, around):
    hidden = escape(secret, data.draw(st.lists(st.booleans(), min_size=len(secret), max_size=len(secret))))
    text = f"{around[0]} {hidden} {around[1]}"
    cleaned = without(text, Looked(text).spans([DETECTORS[name]]))
    assert f"[{name}]" in cleaned
    assert hidden not in cleaned
    assert secret not in cleaned.encode().decode("unicode_escape", "replace")


def test_a_piece_of_a_stream_is_read_as_it_stands():
    text = f"so {escape(CARD, [True] * 16)}"
    assert list(Looked(text, whole=False).spans([DETECTORS["card"]])) == []
    assert [text[start:end] for start, end, _ in Looked(text).spans([DETECTORS["card"]])] == [text[3:]]


PARTS = ["4111 1111 1111 1111", "me@example.com", "DE89 3704 0044 0532 0130 00", "+49 30 1234567", "078-05-1120", "sk-" + "aB1" * 12]
PARTS += ["password: hU7!kd93Kd0s", "plain words ", "\n", "é ", "12 ", '{"name": "f", "arguments": {}}']


@given(st.lists(st.sampled_from(PARTS), max_size=6).map("".join))
def test_what_is_not_hinted_at_would_not_have_been_found(text):
    detectors = list(DETECTORS.values())
    assert list(Looked(text).spans(detectors)) == [(*span, one.name) for one in detectors for span in one.find(text)]


def test_a_detector_that_gives_no_hints_always_looks():
    own = DETECTORS["card"]._replace(spans=lambda text: [(0, 1)])
    assert list(Looked("nothing").spans([own, DETECTORS["card"]])) == [(0, 1, "card")]
