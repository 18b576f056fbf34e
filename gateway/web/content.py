"""What was said, for people who may read it: one exchange whole, opened where it is sealed. A reading is a record before it is an answer.

SQL sees what the ledger holds, which is ciphertext where content is encrypted; this is the way that opens it. Whoever holds the admin token
may read; `by` is what they say of themselves and is written down with the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import GatewayError, JournalUnavailable
from gateway.sealing import CannotOpen
from gateway.stores import Refused
from gateway.stores.answers import plain_row
from gateway.trace.record import ContentRead, ReadRow
from gateway.trace.rows import (
    about_approval,
    about_call,
    about_exchange,
    about_feedback,
    about_message,
    about_prompt,
    about_rendered,
)
from gateway.web.answers import NAME_LENGTH, Fetch, Write, error_answer, json_answer, line, refusal

Open = Callable[[str, str], str | None]
"""(text, what it is about) -> what was sealed; None where its key was dropped. Raises CannotOpen or GatewayError."""
WHY_LENGTH = 500
ERASED, DAMAGED = "[erased]", "[sealed under a key that is not configured, or changed]"

_EXCHANGE = "SELECT * FROM exchanges WHERE id = $id"
_PROMPT = "SELECT hash, system, tools FROM content.main.prompt_bodies WHERE hash = $prompt AND agent = $agent ORDER BY first_seen DESC"
_MESSAGES = """
SELECT m.position, b.hash, b.role, b.body, b.first_seen
FROM (SELECT unnest(request_messages) AS hash, generate_subscripts(request_messages, 1) AS position FROM exchanges WHERE id = $id) AS m
JOIN messages AS b USING (hash) ORDER BY m.position
"""
_ANSWER = "SELECT b.hash, b.role, b.body FROM exchanges AS x JOIN messages AS b ON b.hash = x.response_message WHERE x.id = $id"
_CALLS = 'SELECT * FROM calls WHERE exchange_id = $id ORDER BY decided_at, "index"'
_RULES = "SELECT * FROM rule_hits WHERE exchange_id = $id ORDER BY decided_at, policy, rule"
_FINDINGS = "SELECT * FROM findings WHERE exchange_id = $id"
_APPROVALS = "SELECT * FROM approvals WHERE id IN (SELECT approval FROM calls WHERE exchange_id = $id)"
_RENDERED = """
SELECT r.*, k.source, k.git FROM prompts_rendered AS r LEFT JOIN kept_prompts AS k USING (name, version) WHERE r.exchange_id = $id
"""
_FEEDBACK = "SELECT * FROM feedback WHERE exchange_id = $id ORDER BY given_at"


class Reader:
    """Puts an exchange together from the ledger."""

    def __init__(self, fetch: Fetch, open_: Open) -> None:
        self._fetch, self._open = fetch, open_

    def exchange(self, name: str) -> dict[str, Any] | None:
        """Everything that is on record of it, opened; None when there is no such exchange. Raises Refused, GatewayError."""
        found = self._fetch(_EXCHANGE, {"id": name})
        if not found:
            return None
        row = found[0]
        about = about_exchange(name)
        return {
            "exchange": self.opened(row, about, "input_preview", "output_preview", "error_message"),
            "prompt": self._prompt(row),
            "rendered": next((self.opened(each, about_rendered(name), "variables") for each in self._rows(_RENDERED, name)), None),
            "messages": [self.opened(each, about_message(each["hash"]), "body") for each in self._rows(_MESSAGES, name)],
            "answer": next((self.opened(each, about_message(each["hash"]), "body") for each in self._rows(_ANSWER, name)), None),
            "calls": [self.opened(each, about_call(each["id"]), "arguments") for each in self._rows(_CALLS, name)],
            "rules": [plain_row(each) for each in self._rows(_RULES, name)],
            "findings": [plain_row(each) for each in self._rows(_FINDINGS, name)],
            "approvals": [self.opened(each, about_approval(each["id"]), "arguments", "edited") for each in self._rows(_APPROVALS, name)],
            "feedback": [self.opened(each, about_feedback(each["id"]), "comment") for each in self._rows(_FEEDBACK, name)],
        }

    def text(self, text: str | None, about: str) -> str | None:
        """Opened, or a mark that says why it cannot be."""
        if not text:
            return text
        try:
            opened = self._open(text, about)
        except CannotOpen:
            return DAMAGED
        return ERASED if opened is None else opened

    def _rows(self, sql: str, name: str) -> Sequence[Mapping[str, Any]]:
        return self._fetch(sql, {"id": name})

    def opened(self, row: Mapping[str, Any], about: str, *sealed: str) -> dict[str, Any]:
        return plain_row({**row, **{name: self.text(row[name], about) for name in sealed}})

    def _prompt(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """As this agent sent it: a version's text may have been kept several times, under keys of which some are gone."""
        texts = self._fetch(_PROMPT, {"prompt": row["prompt_hash"], "agent": row["agent"]}) if row["storing"] != "metadata" else ()
        opened = [self.opened(each, about_prompt(each["hash"]), "system", "tools") for each in texts]
        legible = [each for each in opened if not {each["system"], each["tools"]} & {ERASED, DAMAGED}]
        return next(iter([*legible, *opened]), None)


class ContentDesk:
    """`GET /exchanges/{id}?by=…&why=…`; whoever mounts it checks the token."""

    def __init__(self, reader: Reader, write: Write, now_us: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._reader, self._write, self._now_us, self._new_id = reader, write, now_us, new_id

    async def exchange(self, request: Request) -> Response:
        name = request.path_params["id"]
        why = request.query_params.get("why", "")
        try:
            by = line("by", request.query_params.get("by", ""), NAME_LENGTH)
            why = line("why", why, WHY_LENGTH) if why else ""
            found = await asyncio.to_thread(self._reader.exchange, name)
            if found is None:
                return error_answer(404, "unknown_exchange", "there is no exchange of that id, or the book does not have it yet")
            await self._write(ContentRead(ReadRow(self._new_id(), self._now_us(), by, "exchange", name, why)))
        except ValueError as error:
            return error_answer(400, "bad_request", f"say who reads (?by=…&why=…): {error}")
        except Refused as refused:
            return error_answer(503, refused.code, refused.message)
        except (GatewayError, JournalUnavailable) as error:
            return refusal(error)
        return json_answer(found)
