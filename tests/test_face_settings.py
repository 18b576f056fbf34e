"""Where people reach the pages, as they write it."""

from __future__ import annotations

import pytest

from gateway.face_settings import Face


@pytest.mark.parametrize(
    ("written", "read"), [(None, None), ("https://t.example", "https://t.example"), ("http://127.0.0.1:8485/", "http://127.0.0.1:8485")]
)
def test_pages_are_reached_at_scheme_and_host(written, read):
    assert Face(url=written).url == read


@pytest.mark.parametrize("url", [
    "", "t.example", "ftp://t.example", "https://", "https://t.example/x", "https://t.example?x", "https://t.example?", "https://t.example#x",
    "https://u@t.example", "https://:p@t.example", "https://t example", "https://t.example:99999", "https://t.example:x", "https://[::1",
])  # fmt: skip
def test_more_than_scheme_and_host_is_refused(url):
    with pytest.raises(ValueError, match=r"must be scheme and host only, like https://tollhouse\.example\.com"):
        Face(url=url)
