"""A screen where it may change nothing: the same hits, without what they would do to words."""

from gateway.screening.screens import Harmless, Unchangeable


def test_words_stay_as_they_are_and_what_would_replace_them_stops_them(cards):
    screen = cards()
    (hit,) = screen.find("It is 4111 1111 1111 1111.")
    signed, heard = Unchangeable(screen), Harmless(screen)
    assert [one.redacted("words", [hit]) for one in (signed, heard)] == ["words", "words"]
    assert [one.stops(hit) for one in (screen, signed, heard)] == [False, True, False]
    assert [one.replaces(hit) for one in (screen, signed, heard)] == [True, False, False]
    assert signed.find("no card") == heard.find("no card") == []
