"""The functions of conditions: one answer, or none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy import functions, provenance
from gateway.policy.functions import (
    FUNCTIONS,
    MAX_PIECES,
    all_text,
    commands,
    host,
    installs,
    lower_ascii,
    near,
    normpath,
    split,
    upper_ascii,
    urls,
)


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("/srv/a", "/srv/a"),
        ("/srv/../srv/a", "/srv/a"),
        ("/srv/../etc", "/etc"),
        ("/srv//../../etc", "/etc"),
        ("//srv/a", "/srv/a"),
        ("/srv/./a/", "/srv/a"),
        ("../etc", "../etc"),
        ("a/../../x", "../x"),
        (".", "."),
        ("/../..", "/"),
        ("/srvx/x", "/srvx/x"),
        ("/srv/100%", "/srv/100%"),
        ("/srv/é…", None),
        ("/srv/é", "/srv/é"),
        ("", None),
        ("~root", None),
        ("~/x", None),
        ("/srv/%2e%2e/etc", None),
        ("/srv/%2F", None),
        ("C:\\x", None),
        ("/srv\\..\\etc", None),
        ("/srv/\x00", None),
        ("/srv/a\nb", None),
        ("/srv/\u009b", None),
        ("/srv/．．/etc", None),
        ("/srv／..", None),
        ("/srv/＼x", None),
        ("～x", None),
        *((f"/srv/..{sign}etc", None) for sign in "\u2044\u2215\u29f8\u2216\u29f5\u29f9\u00a5\u20a9"),
    ],
)
def test_a_path_has_one_normal_form_or_none(path, normal):
    if normal is None:
        with pytest.raises(ValueError, match="path"):
            normpath(path)
    else:
        assert normpath(path) == normal


@given(st.lists(st.sampled_from(["..", ".", "", "a", "b", "srv"]), min_size=1).map("/".join).filter(bool))
def test_a_normal_path_is_normal_and_leads_to_the_same_place(path):
    normal = normpath(path)
    assert normpath(normal) == normal
    assert walked(normal) == walked(path)


def walked(path):
    """Where a walk from a deep folder ends, step by step."""
    place = [] if path.startswith("/") else ["x", "y", "z"] * 20
    for step in path.split("/"):
        if step == "..":
            place = place[:-1]
        elif step not in ("", "."):
            place = [*place, step]
    return place


@given(st.text(max_size=50))
def test_a_path_below_a_folder_never_has_a_step_up(path):
    try:
        normal = normpath("/srv/" + path)
    except ValueError:
        return
    assert ".." not in normal.split("/")


def test_split_stops_before_it_grows():
    assert split("a,b,,c", ",") == ["a", "b", "", "c"]
    assert len(split("," * (MAX_PIECES - 1), ",")) == MAX_PIECES
    with pytest.raises(ValueError, match="more than 1000 pieces"):
        split("," * MAX_PIECES, ",")
    with pytest.raises(ValueError, match="separator"):
        split("abc", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        ({"b": ["c", {"d": "e"}, 5, None, True], "f": "g"}, "b\nf\nc\nd\ne\ng"),
        ([["a"], "b"], "a\nb"),
        ({}, ""),
        (7, ""),
    ],
)
def test_all_text_of_a_value_is_found_however_deep_it_stands(value, text):
    assert all_text(value) == text


def test_case_is_folded_for_ascii_only():
    assert lower_ascii("ABCÉİ") == "abcÉİ"
    assert upper_ascii("abcéß") == "ABCéß"


@given(st.text(max_size=50))
def test_no_function_of_one_text_makes_it_longer(text):
    for implementation, parameters, result, _ in FUNCTIONS.values():
        if parameters != ("STRING",) or result != "STRING":
            continue
        try:
            assert len(implementation(text)) <= max(len(text), 1)
        except ValueError:
            continue


@pytest.mark.parametrize(
    ("value", "names", "found"),
    [
        ("pay 4111 1111 1111 1111", "card", ["card"]),
        ({"to": {"deep": ["x", "me@example.com"]}, "n": 1}, ["card", "email"], ["email"]),
        ({"me@example.com": None}, ["email"], ["email"]),
        (4111111111111111, ["card"], ["card"]),
        ([4111111111111111.0, True, None], ["card"], ["card"]),
        ("4111 1111 1111 1112", ["card"], []),
        ("a", [], []),
    ],
)
def test_detectors_look_at_every_text_of_a_value(value, names, found):
    assert functions.detect(value, names) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see https://a.example/x?y=1, and (http://b.example).", ["https://a.example/x?y=1", "http://b.example"]),
        ("![x](https://evil.example/?q=secret)", ["https://evil.example/?q=secret"]),
        ("<a href='HTTPS://A.example'>", ["HTTPS://A.example"]),
        ("ftp://a.example mailto:a@b.example xhttps://no", []),
        *((f"go to https://a.example{sign}@b.example/x now", [f"https://a.example{sign}@b.example/x"]) for sign in "'\"`{}|^<>\\!"),
        ("https://b.example\\@a.example/", ["https://b.example\\@a.example/"]),
        ('{"at":"https://a.example","by":"x@b.example"}', ["https://a.example"]),
        ("<https://a.example>,x@b.example or so", ["https://a.example"]),
        ("https://a.example/x'@b.example", ["https://a.example/x"]),
        ("", []),
    ],
)
def test_addresses_in_a_text(text, found):
    assert urls(text) == found


def test_more_addresses_than_a_condition_may_loop_over_are_refused():
    with pytest.raises(ValueError, match="more than"):
        urls("http://a " * (MAX_PIECES + 1))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://A.Example/x", "a.example"),
        ("http://a.example.:8080", "a.example"),
        ("https://[::1]/x", "[::1]"),
        ("https://[0:0:0:0:0:0:0:1]:443/x", "[::1]"),
        ("https://a.example:", "a.example"),
        ("https://1.a.example", "1.a.example"),
        ("https://xn--fa-hia.example", "xn--fa-hia.example"),
        ("http://127.0.0.1", "127.0.0.1"),
        ("https://bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_the_host_of_an_address(url, name):
    assert host(url) == name


@pytest.mark.parametrize(
    "url",
    [
        *("https://good.example@evil.example", "https://good.example\\@evil.example", "https:///x", "good.example", "ftp://a.example"),
        *("https://a b.example", "https://a\t.example", "https://a..example", "https://%61.example", "https://" + "é" * 80 + ".example"),
        *("javascript:alert(1)", "https://-a.example", ""),
        *("http://2130706433", "http://0x7f.1", "http://127.1", "http://0177.0.0.1", "http://256.1.1.1", "http://1.2.3.4.5", "http://a.0x7f"),
        *("http://[::ffff:127.0.0.1]", "http://[2002:7f00:1::]", "http://[fe80::1%25eth0]", "http://[::1]a.example", "http://[v1.x]"),
        *("https://a.example:b.example", "https://a.example:80:80", "https://a.example:0x50", "https://a.example.."),
        *("https://fa\u00df.example", "https://\u03b2\u03cc\u03bb\u03bf\u03c2.example", "https://a\u200db.example", "https://\uff41.example"),
        *("https://a\u3002example", "https://\ufb00.example"),
    ],
)
def test_an_address_that_clients_read_in_different_ways_has_no_host(url):
    with pytest.raises(ValueError, match=r"the address|the host|'v1.x'"):
        host(url)


@pytest.mark.parametrize(
    ("name", "is_near"),
    [
        ("reqeusts", True),
        ("request", True),
        ("requestss", True),
        ("requests", False),
        ("Requests", False),
        ("rqeusets", True),
        ("flask-auth-helper", False),
        ("nunpy", True),
        ("nnpyy", False),
    ],
)
@pytest.mark.parametrize("known", [["requests", "numpy"], {"requests": True, "numpy": True}])
def test_a_name_one_slip_away_from_a_known_one_is_near(name, is_near, known):
    assert near(name, known) is is_near


def test_more_names_than_can_be_compared_are_refused(monkeypatch):
    monkeypatch.setattr(functions, "MAX_KNOWN", 2)
    with pytest.raises(ValueError, match="more than 2"):
        near("a", ["b", "c", "d"])


def test_reading_commands_is_work_that_a_verdict_has_only_so_much_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "MAX_WORK", 100 * functions._PARSING)
    with provenance.looking_at(provenance.View()):
        commands("x" * 60)
        with pytest.raises(provenance.TooLarge):
            installs("x" * 60)
