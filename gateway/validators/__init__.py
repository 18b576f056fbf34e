"""SHELF: what looks at a call or an answer and says what it saw, as findings. Each decides nothing.

| validator | looks at | says |
|---|---|---|
| `json_schema` | a call's arguments beside the schema the request declared for the tool | `schema`, `additional_properties`, `bad_schema`, `schema_cost` |

A validator is a plain module with a pure function `check(...) -> tuple[Finding, ...]`. To add one, add a file and a row. A
finding never holds the value it is about: findings are stored, shown and sent on more widely than calls.
"""  # noqa: E501 - a table row is one line
