"""Errors under a good status: which answers begin with one, and which status fits it."""

from __future__ import annotations

import json

import pytest

from gateway.upstream.said_error import LONGEST, status_in

ANTHROPIC = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.mark.parametrize(
    ("tree", "status"),
    [
        ({"error": {"message": "x", "code": 503}}, 503),
        ({"error": {"message": "x", "code": "rate_limit_exceeded", "type": "requests"}}, 429),
        ({"error": {"message": "x", "type": "invalid_request_error"}}, 400),
        ({"error": {"code": 200, "status": "RESOURCE_EXHAUSTED"}}, 429),
        ({"error": {"message": "x", "code": True}}, 502),
        ({"error": {"message": "x", "code": 99999999999999999999999}}, 502),
        ({"error": "busy"}, 502),
        ({"error": {"strange": []}}, 502),
        (ANTHROPIC, 529),
        ({"type": "error", "code": "server_error", "message": "x"}, 500),
        ({"error": None, "id": "a", "choices": []}, None),
        ({"error": {}, "id": "a"}, None),
        ({"id": "a", "error": {"code": 503}}, None),
        ({"type": "message", "content": []}, None),
    ],
)
def test_an_error_has_the_status_that_its_words_have_elsewhere(tree, status):
    body = json.dumps(tree).encode()
    assert status_in(body) == status
    assert status_in(b" [" + body + b"]\n") == status


@pytest.mark.parametrize(
    "said",
    [
        b"", b"[DONE]", b'{"error"', b"<html>error</html>", b"\xff\xfe", b'{"error": [}', b'{"error": "\xff"}',
        b'{"error": "' + b"x" * LONGEST + b'"}', b'{"error": ' + b"[" * 9999 + b"]" * 9999 + b"}",
    ],
)  # fmt: skip
def test_what_is_not_recognised_is_no_error_yet(said):
    assert status_in(said) is None


def test_a_response_that_failed_before_it_began_is_an_error():
    failed = {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "x"}}}
    assert status_in(json.dumps(failed).encode()) == 429
