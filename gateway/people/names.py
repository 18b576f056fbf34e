"""What somebody of the admin plane may be called: one spelling, so that nobody can be taken for somebody else. Pure."""

from __future__ import annotations

import re

RESERVED = frozenset({"admin.token"})
"""What the book writes for whoever holds the token of the data folder."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")


def person_name(text: str) -> str:
    """In small letters, without blanks around. Raises ValueError."""
    name = text.strip().casefold()
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise ValueError("a name has 1 to 100 letters a to z, digits and . _ @ + -, a letter or digit first; and is not admin.token")
    return name
