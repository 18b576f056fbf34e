"""In which form an answer to SQL is wanted (`Accept`), and how it is sent: never kept by a browser, never shown as a page."""

from __future__ import annotations

from starlette.responses import Response

from gateway.question.wire import Reply
from gateway.stores.media_types import MEDIA_TYPES, Form
from gateway.web.answers import SECURITY

_ANY = {"*/*", "application/*"}


def wanted_form(accept: str) -> Form | None:
    """The one with the greatest weight, the earlier of two; JSON where anything will do. None when it is none of ours."""
    offers = sorted((_offer(each) for each in accept.split(",") if each.strip()), key=lambda offer: -offer[1])
    if not offers:
        return "json"
    for name, weight in offers:
        form: Form | None = "json" if name in _ANY else next((form for form, kind in MEDIA_TYPES.items() if kind == name), None)
        if form is not None and weight > 0:
            return form
    return None


def sql_answer(reply: Reply, form: Form) -> Response:
    """CSV, Arrow and Parquet cannot say by themselves that something was left out, so a header does for all."""
    headers = {**SECURITY, "tollhouse-rows": str(reply.rows), "tollhouse-truncated": str(reply.truncated).lower()}
    if form != "json":
        headers["content-disposition"] = f'attachment; filename="answer.{form}"'
    return Response(reply.body, headers=headers, media_type=MEDIA_TYPES[form])


def _offer(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    weight = next((part.removeprefix("q=") for part in parameters if part.startswith("q=")), "1")
    try:
        return name, float(weight)
    except ValueError:
        return name, 0.0
