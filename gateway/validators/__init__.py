"""SHELF: what looks at a call or an answer and says what it saw. None of them decides anything.

- `VALIDATORS`: what rules name behind `validate:` (`validator` says what one is). To add one, add a file and a line.
- `json_schema`: a call's arguments beside the schema that the request declared for the tool; says `schema`,
  `additional_properties`, `bad_schema`, `schema_cost`.
- `text_calls`: what the model wrote, looked through for calls in the form of text; says `text_call`.
- `detectors`: where personal data, secrets and foreign addresses stand in a text, for `detect:` and for what is stored.

A finding never holds the value it is about: findings are stored, shown and sent on more widely than calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.validators.code import CODE
from gateway.validators.empty import EMPTY
from gateway.validators.grounded import GROUNDED
from gateway.validators.judge import JUDGE
from gateway.validators.language import LANGUAGE
from gateway.validators.length import LENGTH
from gateway.validators.packages import PACKAGES
from gateway.validators.refusal import REFUSAL
from gateway.validators.regex import REGEX
from gateway.validators.repetition import REPETITION
from gateway.validators.sql import SQL
from gateway.validators.structured_output import STRUCTURED_OUTPUT
from gateway.validators.truncated import TRUNCATED
from gateway.validators.urls import URLS
from gateway.validators.validator import Validator

_ALL: Final = (
    CODE,
    EMPTY,
    GROUNDED,
    JUDGE,
    LANGUAGE,
    LENGTH,
    PACKAGES,
    REFUSAL,
    REGEX,
    REPETITION,
    SQL,
    STRUCTURED_OUTPUT,
    TRUNCATED,
    URLS,
)

VALIDATORS: Final[Mapping[str, Validator]] = {one.name: one for one in _ALL}
