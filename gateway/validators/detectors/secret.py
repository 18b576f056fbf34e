"""Secrets: keys in the forms that providers give them, private keys in PEM, and values that a text calls a password, token or key.

A key's form is known by its beginning; it is taken to where its characters end. A value is taken for a secret when it has letters and
digits in no order that words have (entropy). Keys of this gateway and of its upstreams are known by value and are another wall's
(`trace.redact`).
"""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Iterator
from typing import Final

from gateway.validators.detectors.matching import Detector, Span, compiled, runs

_FORM: Final = (
    rb"\b(?:"
    + rb"|".join(
        (
            rb"sk-ant-[a-z0-9]{3,10}-[A-Za-z0-9_-]{20,}",  # Anthropic
            rb"sk-(?:proj|svcacct|admin|or-v1|lf)-[A-Za-z0-9_-]{20,}",  # OpenAI, OpenRouter, Langfuse
            rb"sk-[A-Za-z0-9]{20,}",
            rb"th_[0-9A-Za-z]{8}_[0-9A-Za-z]{43}",  # this gateway's
            rb"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",  # Amazon
            rb"AIza[A-Za-z0-9_-]{35}",  # Google
            rb"ya29\.[A-Za-z0-9_-]{20,}",
            rb"gh[pousr]_[A-Za-z0-9]{36,}",  # GitHub
            rb"github_pat_[A-Za-z0-9_]{40,}",
            rb"glpat-[A-Za-z0-9_-]{20,}",  # GitLab
            rb"xox[abeoprs]-[A-Za-z0-9-]{10,}",  # Slack
            rb"hooks\.slack\.com/services/[A-Za-z0-9/_-]{20,}",
            rb"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}",  # Stripe
            rb"npm_[A-Za-z0-9]{36}",
            rb"pypi-[A-Za-z0-9_-]{50,}",
            rb"hf_[A-Za-z0-9]{30,}",  # Hugging Face
            rb"SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,}",  # SendGrid
            rb"dop_v1_[a-f0-9]{64}",  # DigitalOcean
            rb"dapi[a-f0-9]{32}",  # Databricks
            rb"gsk_[A-Za-z0-9]{40,}",  # Groq
            rb"AGE-SECRET-KEY-1[A-Z0-9]{50,}",
            rb"eyJ[A-Za-z0-9_-]{10,200}\.eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]+)?",  # JSON web tokens
        )
    )
    + rb")"
)
_FORMS: Final = compiled(_FORM)
_PRIVATE_KEY: Final = compiled(
    rb"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    rb"(?:\s+|\\+[nrt]|[A-Za-z0-9+/=]{16,}|(?:Proc-Type|DEK-Info|Version|Comment): [^\r\n\\]{0,100})*"
    rb"(?:(?:[A-Za-z0-9+/=]{1,15}(?:\s+|\\+[nrt])*)?"
    rb"(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----|-{0,5}(?:E(?:N(?:D[A-Z0-9 ]{0,50})?)?)?-{0,5}\z))?"
)
_NAME: Final = (
    rb"(?i:(?:passw(?:or)?d|passphrase|secret|token|(?:api|access|auth|private|encryption|account)[ _-]?key|credential)s?"
    rb"[\"'`]?[ \t]{0,3}(?:=>|:=|[:=])[ \t]{0,3}(?:Bearer )?[\"'`]?)"
)
_NAMED: Final = compiled(_NAME)
_VALUE: Final = (string.ascii_letters + string.digits).encode() + b"+/=_.~!@#$%^&*-"
_SHORTEST: Final = 12
_LOOKED_AT: Final = 64
"""Characters of a value that are looked at to tell what it is."""
_LONGEST_VALUE: Final = 1024
_ENTROPY: Final = 3.3
"""Bits per character: twelve characters of which ten differ have it, words rarely."""


def _spans(text: bytes) -> Iterator[Span]:
    if len(text) < _SHORTEST:
        return
    found = [one.span() for one in runs(_FORMS, text)]
    if b"PRIVATE KEY" in text:
        found += (one.span() for one in runs(_PRIVATE_KEY, text))
    found += (span for one in runs(_NAMED, text) if (span := _value(text, one.end())))
    yield from sorted(found)


def _value(text: bytes, start: int) -> Span | None:
    """The value that begins here, where it looks like a secret."""
    piece = text[start : start + _LONGEST_VALUE]
    value = piece[: len(piece) - len(piece.lstrip(_VALUE))]
    return (start, start + len(value)) if looks_random(value[:_LOOKED_AT]) else None


def looks_random(value: bytes) -> bool:
    """Letters and digits, at least twelve characters, and hardly any twice."""
    if len(value) < _SHORTEST or not any(map(bytes.isdigit, _each(value))) or not any(map(bytes.isalpha, _each(value))):
        return False
    counts = Counter(value).values()
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts) >= _ENTROPY


def _each(value: bytes) -> list[bytes]:
    return [value[i : i + 1] for i in range(len(value))]


_HINT: Final = rb"%b|PRIVATE KEY|%b[A-Za-z0-9+/=_.~!@#$%%^&*-]{%d}" % (_FORM, _NAME, _SHORTEST)

SECRET: Final = Detector("secret", 300, _spans, _HINT)
