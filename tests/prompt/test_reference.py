"""How a request names a kept prompt: one meaning, or refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.prompt.library import Named
from gateway.prompt.reference import HEADER, VARIABLES, in_body, in_header, mentioned, of_header

OURS = {"name": "support", "label": "production", "variables": {"shop": "x"}}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"model":"m"}', False),
        (b'{"prompt":{"name":"support"}}', True),
        (b'{"pr\\u006fmpt":{"name":"support"}}', True),
        (b'{"prompt":{"id":"pmpt_1"}}', False),
        (b'{"prompt":"text"}', False),
        (b'{"prompt":null}', False),
        (b'{"messages":[{"prompt":{"name":"x"}}]}', False),
        (b'{"prompt":{"name":"support"}', False),
        (b'["prompt"]', False),
        (b'{"a":"\\u0061"}', False),
    ],
)
def test_only_a_prompt_with_a_name_is_ours(body, found):
    assert (mentioned(body) is not None) is found


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.booleans()), st.booleans())
def test_a_reference_is_found_however_the_body_is_written(more, escaped):
    body = json.dumps({**more, "prompt": OURS}, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    assert json.loads(mentioned(body)) == OURS


@pytest.mark.parametrize(
    ("said", "named", "variables"),
    [
        ({"name": "support"}, Named("support"), {}),
        ({"name": "support", "label": None, "version": None, "variables": None}, Named("support"), {}),
        ({"name": "support", "version": "0123abcd"}, Named("support", version="0123abcd"), {}),
        (OURS, Named("support", label="production"), {"shop": "x"}),
    ],
)
def test_a_reference_in_the_body(said, named, variables):
    found = in_body(said)
    assert (found.named, dict(found.variables)) == (named, variables)


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"name": "support", "id": "pmpt_1"}, "Send one of them"),
        ({"name": "support", "version": "0123abcd", "label": "production"}, "Send one of them"),
        ({"name": "support", "lable": "production"}, "`prompt.lable` is unknown"),
        ({"name": ""}, "`prompt.name` must be a text"),
        ({"name": None}, "`prompt.name` must be a text"),
        ({"name": 1}, "`prompt.name` must be a text"),
        ({"name": "support", "label": ""}, "`prompt.label` must be a text"),
        ({"name": "support", "version": 3}, "`prompt.version` must be a text"),
        ({"name": "support", "variables": ["x"]}, "must be an object"),
    ],
)
def test_what_has_not_one_meaning_is_refused(said, says):
    with pytest.raises(GatewayError, match=says) as caught:
        in_body(said)
    assert (caught.value.kind, caught.value.code, caught.value.param) == ("bad_request", "invalid_prompt", "prompt")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("support", Named("support")),
        (" support@production ", Named("support", label="production")),
        ("support@0123abcd", Named("support", version="0123abcd")),
    ],
)
def test_a_reference_in_the_header(text, named):
    assert in_header([("accept", "x"), (HEADER, text)]) == text
    assert of_header(text, {"shop": "x"}).named == named


@pytest.mark.parametrize("text", ["", "@", "support@", "@production"])
def test_a_header_that_names_nothing_is_refused(text):
    with pytest.raises(GatewayError, match="must be name, name@label"):
        of_header(text, {})


def test_headers_that_contradict_each_other_are_refused():
    assert in_header([]) is None
    for headers in ([(HEADER, "a"), (HEADER, "b")], [(HEADER, "a"), (VARIABLES, "{}"), (VARIABLES, "{}")]):
        with pytest.raises(GatewayError, match="more than once"):
            in_header(headers)
    with pytest.raises(GatewayError, match="Say which prompt"):
        in_header([(VARIABLES, "{}")])
    with pytest.raises(GatewayError, match="must be a JSON object"):
        of_header("support", [])
