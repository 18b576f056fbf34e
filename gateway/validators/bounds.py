"""What a text must be for a validator to look at it at all: short enough, and something that can be written down.

Each validator says its own limit, measured by what its library takes for a text made to be slow. Beyond it nothing is told, which is not
the same as nothing being wrong: `Unjudged`.
"""

from __future__ import annotations

from gateway.validators.validator import Unjudged


def at_most(text: str, characters: int) -> str:
    """The text. Raises Unjudged for a longer one."""
    if len(text) > characters:
        raise Unjudged(f"the text has {len(text)} characters; this is judged up to {characters}")
    return text


def utf8(text: str) -> bytes:
    """Raises Unjudged for a text that has no UTF-8 form."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Unjudged("the text holds half of a surrogate pair, which is no character") from None
