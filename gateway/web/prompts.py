"""Labels of kept prompts, moved by a person. Whoever holds the admin token may move a label; `by` is what they say of themselves."""

from __future__ import annotations

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import GatewayError, JournalUnavailable, StartError
from gateway.moving_labels import Labels
from gateway.web.answers import NAME_LENGTH, error_answer, json_answer, line, refusal, strict
from gateway.web.content import WHY_LENGTH
from gateway.web.doors import said_by


class Wanted(Struct, forbid_unknown_fields=True):
    """Body of POST /prompts/{name}/labels."""

    label: str
    by: str = ""
    version: str = ""
    """Its hash or the first digits; empty: the file as it stands."""
    back: bool = False
    """To the version that the label pointed at before it was moved last."""
    why: str = ""


class PromptsDesk:
    """The routes below `/prompts`; whoever mounts them checks the token."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels

    async def move(self, request: Request) -> Response:
        name = request.path_params["name"]
        try:
            wanted = await strict(request, Wanted)
            who = line("by", said_by(request, wanted.by), NAME_LENGTH)
            why = line("why", wanted.why, WHY_LENGTH) if wanted.why else ""
            row = await self._labels.move(name, wanted.label, wanted.version, back=wanted.back, who=who, why=why)
        except (ValueError, StartError) as error:
            return error_answer(400, "bad_request", str(error))
        except (GatewayError, JournalUnavailable) as error:
            return refusal(error)
        return json_answer(msgspec.structs.asdict(row))
