"""What detectors find and what they leave alone; that finding is local; that it takes no longer for strange texts."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.validators.detectors import DETECTORS, NUMBERS, folded, hinted, national_ids, urls
from gateway.validators.detectors.card import luhn
from gateway.validators.detectors.folding import LETTER, OTHER, _Table
from gateway.validators.detectors.matching import compiled
from gateway.validators.detectors.secret_forms import FORMS, MARKED

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEabcdefghijklmnop\nabc=\n-----END RSA PRIVATE KEY-----"
FOUND = {
    "card": [
        *("4111 1111 1111 1111", "4111-1111-1111-1111", "4111111111111111", "3782 822463 10005", "378282246310005"),
        *("5555555555554444", "2223003122003222", "6011111111111117", "30569309025904", "3566002020360505", "6304000000000000"),
        "4111\u00a01111\u00a01111\u00a01111",
        *("４１１１ １１１１ １１１１ １１１１", "4111\u20111111\u20111111\u20111111", "٤١١١١١١١١١١١١١١١"),
    ],
    "iban": [
        *("DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819", "gb29 nwbk 6016 1331 9268 19", "NO93 8601 1117 947"),
        *("FR14 2004 1010 0505 0001 3M02 606", "MT84MALT011000012345MTLCAST001S", "DE89-3704-0044-0532-0130-00"),
    ],
    "ssn": ["123-45-6789", "078 05 1120", "899-99-9999"],
    "phone": [
        *("+49 30 1234567", "+1 (415) 555-2671", "+14155552671", "(415) 555-2671", "415-555-2671", "415.555.2671", "1-800-555-0199"),
        *("06 12 34 56 78", "06.12.34.56.78", "030 1234567", "0171/1234567", "020 7946 0958", "0049 30 1234567", "(020) 7946 0958"),
    ],
    "email": ["me@example.com", "jörg@müller.de", "a.b+c@d-e.co.uk", "x_1@sub.example.museum"],
    "secret": [
        *("sk-ant-api03-" + "A1b2" * 10, "sk-proj-" + "a1B2" * 10, "sk-" + "aB1" * 12, "AKIAABCDEFGHIJKLMNOP", "ghp_" + "a1B2" * 9),
        *("xoxb-1234567890-abcdef", "sk_live_" + "a1B2" * 6, "AIza" + "aB1-_" * 7, "glpat-" + "a1B2" * 5, "npm_" + "a1B2" * 9),
        *("hf_" + "aB1" * 11, "SG." + "aB1_" * 5 + "." + "aB1_" * 8, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", KEY),
        "th_" + "a1B2c3D4" + "_" + "a1B2c3D4e5F" * 3 + "a1B2c3D4e5",
    ],
}
LEFT_ALONE = {
    "card": [
        *("4111 1111 1111 1112", "0.4111111111111111", "4111111111111111.5"),
        *("1732184849123456789", "x4111111111111111", "41111111111111111111"),
        *("9999999999999995", "2026-11-20 10:30:44", "411111111111111"),
    ],
    "iban": ["DE89370400440532013001", "US133000000121212121212", "DE89", "XDE89370400440532013000", "DE893704004405320130001"],
    "ssn": ["000-12-3456", "666-12-3456", "900-12-3456", "123-00-6789", "123-45-0000", "123456789", "1-123-45-6789", "123-45-6789-1"],
    "phone": [
        *("1234567890", "2026-11-20", "01-02-2026", "20/11/2026", "1.2.3", "10.0.0.1", "192.168.100.200", "3+12345678", "12,345,678.90"),
        *("08-11-2026 10:30", "2026-11-20 10:30:44 +0100", "1 000 000 000"),
        *("978-3-16-148410-0", "+12", "v1.22.333.4444", "00491701234567"),
        *("+56727149847x", "00 1234567890123456", "+1234567890123456", "+1234567890123456789012345"),
    ],
    "email": ["a@b", "@x.de", "x@y.c", "me@-", "@", "me at example.com", "x@.de", "a@b..com"],
    "secret": [
        *("token: your_token_here", "password = correct horse", "secret: https://example.com", "sk-learn", "tokens: 1234567890123"),
        *("AKIAIOSFODNN7EXAMPLE", "ghp_" + "x" * 36, "token = base64.b64encode(x)", "secret: /v1/messages/count_tokens", "pwd='abc12'"),
        *("postgres://user:password@host/db", "https://ann:${TOKEN}@x.org", "curl -u ann:$PASSWORD x"),
        *("http://host:80/a@b", "key.msh1 AZDO"),
        *("the AKIA prefix", "api_key: aaaaaaaaaaaaaaa1", "-----BEGIN PUBLIC KEY-----", "eyJhbGciOiJIUzI1NiJ9"),
    ],
}


def found(name, text):
    return [text[start:end] for start, end in DETECTORS[name].find(text)]


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in FOUND.items() for text in texts])
def test_what_it_is_for_is_found_wherever_it_stands(name, text):
    for around in ("{}", "so: {}, yes", '{{"n": "{}"}}', "é {}\n", "({})"):
        assert text in found(name, around.format(text))


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in LEFT_ALONE.items() for text in texts])
def test_what_only_looks_like_it_is_left_alone(name, text):
    assert found(name, f"so: {text} yes") == []


@pytest.mark.parametrize(
    "text",
    [
        *("password = 'hU7!kd93Kd0s'", 'api_key: "a8F3kd93Kd0sL2mx"', "ACCESS_KEY=a8F3kd93Kd0sL2mx", '"token": "a8F3-kd93/Kd0sL2mx=="'),
        *("pwd=hU7!kd9x-Q", "token: 0123456789abcdef0123456789abcdef", "postgres://app:hU7-kd93Kd0s", "curl -u ann:hU7-kd93Kd0s"),
        *(r'{\"api_key\": \"a8F3kd93Kd0sL2mx', "the password is a8F3kd93Kd0sL2mx", "Authorization: Basic YW5uOmh1N2tkOTM="),
        *("--password a8F3kd93Kd0sL2mx", "environ.get('API_KEY', 'a8F3kd93Kd0sL2mx", "token%3Da8F3kd93Kd0sL2mx"),
        "**Token:** `a8F3kd93Kd0sL2mx",
    ],
)
def test_a_value_that_is_called_a_secret_is_found_without_its_name(text):
    [value] = found("secret", f"{text}@db" if "://" in text else text)
    assert re.fullmatch(r"[\w!/=-]{10,}", value)
    assert text.rstrip("\"'").endswith(value)


@pytest.mark.parametrize("name", [*FORMS, *MARKED])
def test_the_table_of_forms_is_in_order(name):
    """RE2 takes each one, and none matches nothing."""
    form = FORMS.get(name) or MARKED[name][2]
    assert compiled(form).search(b"") is None
    assert form.count(b"(") == form.count(b"(?:"), "groups cost time"


@pytest.mark.parametrize("name", FORMS)
def test_only_the_end_of_a_form_is_open(name):
    """Otherwise a stream would let the beginning of a key go before it shows that it is one."""
    _, *opened = re.split(rb"\{[0-9]+,\}|(?<!\\)[+*](?![^\[]*\])", FORMS[name])
    ends = rb"(?:=\{0,[0-9]\}|\\b|\)[*?]?|\(\?:-X\)\?|\(\?:\\\.\[A-Za-z0-9_-\])*"
    assert [rest for rest in opened if not re.fullmatch(ends, rest)] == []


def test_a_marked_key_is_found_around_its_mark():
    key = "Ab3" * 17 + "x" + "JQQJ99" + "aB1" * 8 + "xy"
    assert found("secret", f"key {key} here") == [key]
    assert found("secret", f"key {key[9:]} here") == found("secret", "JQQJ99") == found("secret", "x" * 52 + "JQQJ99" + "x" * 26) == []


def test_a_private_key_is_found_as_far_as_it_reaches():
    assert found("secret", f"key: {KEY} and more") == [KEY]
    assert found("secret", "the line -----BEGIN PRIVATE KEY----- begins a key")[0].strip() == "-----BEGIN PRIVATE KEY-----"
    escaped = KEY.replace("\n", "\\n")
    assert found("secret", f'"{escaped}"') == [escaped]
    assert found("secret", KEY[:60]) == [KEY[:60]]


ELSEWHERE = [
    *("https://evil.com/?q=1", "https://example.com.evil.com"),
    *("https://example.com@evil.com/", "http://example.com\\@evil.com", "www.evil.com"),
    *("https:evil.com", "https:\\\\evil.com", "//evil.com/x", "https://exämple.com"),
    *("ftp://evil.com", "https://notexample.com", "HTTPS://EVIL.COM"),
]


@pytest.mark.parametrize("address", ELSEWHERE)
def test_an_address_that_leads_elsewhere_is_found(address):
    text = f"![x]({address})"
    assert [text[start:end] for start, end in urls(["example.com", "*.good.org"]).find(text)] == [address]


ENCODED = [
    # as Markdown reads them
    *("![x](\\//evil.com/?q)", "![x](\\/\\/evil.com)", "![x](&sol;&sol;evil.com)", "![x](&#47;&#x2f;evil.com)", "![x](h&#116;tps://evil.com)"),
    *("![x](https&colon;//evil.com)", "![x](https\\://evil.com)", "![x](/&#9;/evil.com)", "![x](/&NewLine;/evil.com)"),
    "![x]( \n //evil.com)",
    *("![x](<//evil.com/a b>)", "![x](\\&sol;/evil.com)", "![x](///evil.com)", "[x]: //evil.com\n\n![x]", "[x]:\n  <https&#58;//evil.com>"),
    *("[a](x&![x](https&colon;//evil.com)", "_https://evil.com_", "a_www.evil.com", "xhttps://evil.com"),
    # as HTML does
    *("<img src=&#47;&#47;evil.com>", "<img src='/\t/evil.com'>", '<img src="ht\ntps://evil.com">', "<img src='\x0c //evil.com'>"),
    *("<img src\n=\n//evil.com>", "<img srcset='/a 1x, //evil.com 2x'>", "<img srcset='/a,//evil.com'>"),
    "<style>@import '/\n/evil.com'</style>",
    *("<meta content='0;url=/\t/evil.com'>", "<p style='background:url(&#47;/evil.com)'>", "<a href=//example.com ping='&sol;/evil.com'>"),
    *("<img src=" + "&#0000000104;" * 20 + ">", "<a href='https:\\\\evil.com'>"),
    # with what cannot be seen, which readers leave out, or take along
    *("https://example.com\u200b.evil.com", "https://example.com\u00ad@evil.com", "//example.com\u2060evil.com/", "https://ev\u200bil.com"),
]


@pytest.mark.parametrize("text", ENCODED)
def test_an_address_is_found_as_its_readers_decode_it(text):
    assert urls(["example.com"]).find(f"({text}" if text[:2] == "//" else text)


@pytest.mark.parametrize(
    "text",
    [
        *("[a](/docs/a&amp;b) [b](#top) [c](b.md?x=1&y=2) [d](a\\_b)", "[x](https://example.com/?a=1&amp;b=2)"),
        "[x]: https&colon;//example.com/",
        *("<img srcset='/a 1x, https://example.com/b 2x'>", "<a href='a\tb'>", "if (a) { // evil.com\n}", "[1]: a note", "x = a[1]: b"),
        *("<img src=https://example.com/>", "[x](<&#47;a>)", "4111\u200b1111"),
    ],
)
def test_a_target_that_leads_nowhere_else_stays(text):
    assert urls(["example.com"]).find(text) == []


@pytest.mark.parametrize("sign", list("'\"`{}|^<>()\\"))
def test_a_name_before_a_host_does_not_end_its_address(sign):
    address = f"https://example.com{sign}@evil.com/?q=1"
    text = f"see {address} there"
    assert [text[start:end] for start, end in urls(["example.com"]).find(text)] == [address]


def test_a_mail_address_behind_a_quoted_address_is_none_of_it():
    for text in ('{"a":"https://example.com","b":"x@evil.com"}', "[x](https://example.com),x@evil.com", "<https://example.com>,x@evil.com"):
        assert urls(["example.com"]).find(text) == []
    assert urls(["example.com"]).find("https://example.com/'x@evil.com and 'https://example.com' x@evil.com") == []


@pytest.mark.parametrize("address", ["https://example.com/a?b#c", "http://a.good.org", "https://EXAMPLE.com:443/x", "https://a.b.good.org."])
def test_an_address_of_an_allowed_host_stays(address):
    assert urls(["example.com", "*.good.org"]).find(f"see {address} there") == []


def test_a_wildcard_is_only_for_hosts_below():
    assert urls(["*.good.org"]).find("https://good.org")
    assert urls([]).find("https://good.org")


@given(st.integers(10**12, 10**18))
def test_every_number_has_one_check_digit(number):
    assert sum(luhn(f"{number}{digit}".encode()) for digit in range(10)) == 1


@given(st.text())
def test_a_folded_text_is_as_long_as_the_text(text):
    assert len(folded(text)) == len(text)


def test_letters_and_signs_that_ascii_lacks_are_told_apart():
    assert folded("aé漢☃\ud800") == bytes([ord("a"), LETTER, LETTER, OTHER, OTHER])
    table = _Table()
    for code in range(0x80, 0x80 + 5000):
        _ = table[code]
    assert len(table) <= 4097


# -- finding is local: the ground on which streams are looked through piece by piece ----------------------

ALL = [*DETECTORS.values(), urls(["example.com"]), national_ids(list(NUMBERS))]
OF_STATES = ["2 95 10 99 126 111 93", "RSS MRA 85T10 A562S", "198112189876", "756.1234.5678.97", "85.07.30-033.28", "AB 12 34 56 C"]
PIECES = st.lists(
    st.sampled_from([text for texts in (*FOUND.values(), *LEFT_ALONE.values(), ELSEWHERE, OF_STATES) for text in texts])
    | st.sampled_from(ENCODED)
    | st.text("4 1-0.+@a/:=\n", max_size=12)
    | st.text(max_size=3),
    max_size=8,
)


@given(PIECES, st.data())
@pytest.mark.parametrize("detector", ALL, ids=lambda one: one.name)
def test_what_begins_at_a_place_is_told_by_so_many_characters_around_it(detector, pieces, data):
    text = "".join(pieces)
    left = data.draw(st.integers(0, len(text)))
    right = data.draw(st.integers(left, len(text)))
    whole = dict(detector.find(text))
    part = {start + left: end + left for start, end in detector.find(text[left:right])}
    for start in range(left + detector.longest if left else 0, right - detector.longest if right < len(text) else right):
        assert (start in whole) is (start in part)
        if start in whole and part[start] < right:
            assert covered(detector, text, start) == covered(detector, text[left:right], start - left) + left


def covered(detector, text, start):
    """How far what is found from here on reaches, with what overlaps it."""
    end = start
    for begin, stop in sorted(detector.find(text)):
        if start <= begin <= end:
            end = max(end, stop)
    return end


STRANGE = {
    *("4111 " * 4000, "4" * 20_000, "a@" * 10_000, "+1" * 10_000),
    *("DE89 " * 4000, "030 123 " * 2500, "token=" * 3500, "sk-ant-abc-" * 2000),
    *("-----BEGIN PRIVATE KEY-----" * 800, "http://" * 3000, "é1" * 10_000, "123-45-" * 3000, "eyJ" * 7000, "x" * 20_000),
    *(":AA" * 7000, "1//0" * 5000, "-u a:" * 4000, "a://b:" * 3500, "%3D" * 7000, "Q~" * 10_000, "hf_" * 7000),
}


DIGITS_APART = " x" * 40 + " 1 x" * 20
"""Enough digits for any number, too far from each other and from the text to be one or to belong to one."""


@pytest.mark.parametrize("detector", DETECTORS.values(), ids=DETECTORS.keys())
@given(st.lists(st.sampled_from([*"0123456789 -./()+@aGB", "4111", "49 30", "password: "]), max_size=30).map("".join))
def test_a_text_with_few_digits_is_searched_as_one_with_many(detector, text):
    assert detector.find(text) == [span for span in detector.find(text + DIGITS_APART) if span[0] < len(text)]



@pytest.mark.parametrize("detector", ALL, ids=lambda one: one.name)
def test_strange_texts_take_no_time_that_hurts(detector):
    for text in STRANGE:
        began = time.thread_time()
        detector.find(text)
        assert time.thread_time() - began < 1.0


# -- what a hint does not see, its detector does not find ----------------------------------------------------

HINTED = st.lists(
    st.sampled_from([text for texts in (*FOUND.values(), *LEFT_ALONE.values()) for text in texts])
    | st.sampled_from(["password: ", "api_key='", "token=Bearer ", "hU7!kd93Kd0s", '<tool_call name="x">', "Action: run", "[TOOL_CALLS] x"])
    | st.sampled_from(['{"name": "f", "arguments": {}}', '"function":{"name":"f"},"args":1', "<invoke name='x'>", "\n", " ", "(", "é", "☃"])
    | st.text("4 1-0.+@a/:=_\n", max_size=20)
    | st.from_regex(r"\+?[0-9 ./()-]{7,30}", fullmatch=True),
    max_size=5,
).map("".join)


@pytest.mark.parametrize("detector", DETECTORS.values(), ids=DETECTORS.keys())
@given(HINTED)
def test_where_the_hint_matches_nowhere_nothing_is_found(detector, text):
    if detector.find(text):
        assert compiled(detector.hint).search(folded(text))
        assert detector in hinted(folded(text))


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in FOUND.items() for text in texts])
def test_each_thing_is_hinted_at_wherever_it_stands(name, text):
    for around in ("{}", "so: {}, yes", "x{}x"):
        if found(name, around.format(text)):
            assert compiled(DETECTORS[name].hint).search(folded(around.format(text)))


@given(text=st.text(alphabet="0123456789 -./@:ABCDEsk_-key+(){}\"", max_size=120))
def test_what_all_hints_find_together_is_what_each_finds(text):
    read = folded(text)
    assert list(hinted(read)) == [one for one in DETECTORS.values() if compiled(one.hint).search(read)]


def test_plain_words_give_no_hint():
    assert not hinted(folded("Please look at the invoice of last month: 12.50 is still open, see page 3 of 17 (2nd of May)."))


@given(st.from_regex(r"[ (]?(?:\+|00)[1-9][0-9 ./()-]{5,30}[0-9xé_]?", fullmatch=True))
def test_whatever_stands_behind_a_number_the_search_comes_to_an_end(text):
    for start, end in DETECTORS["phone"].find(text):
        assert 0 <= start < end <= len(text)
