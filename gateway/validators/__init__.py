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

from gateway.validators.language import LANGUAGE
from gateway.validators.length import LENGTH
from gateway.validators.regex import REGEX
from gateway.validators.structured_output import STRUCTURED_OUTPUT
from gateway.validators.urls import URLS
from gateway.validators.validator import Validator

VALIDATORS: Final[Mapping[str, Validator]] = {one.name: one for one in (LANGUAGE, LENGTH, REGEX, STRUCTURED_OUTPUT, URLS)}
