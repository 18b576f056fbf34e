"""SHELF: what looks at a call or an answer and says what it saw, as findings. None of them decides anything.

- `json_schema`: a call's arguments beside the schema that the request declared for the tool; says `schema`,
  `additional_properties`, `bad_schema`, `schema_cost`.
- `text_calls`: what the model wrote, looked through for calls in the form of text; says `text_call`.

A validator is a plain module with a pure function `check(...) -> tuple[Finding, ...]`. To add one, add a file and a
line. A finding never holds the value it is about: findings are stored, shown and sent on more widely than calls.
"""
