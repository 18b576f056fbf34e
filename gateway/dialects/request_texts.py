"""A request with other words in it: the texts of its messages and of tools' results, each asked about and put back in its place.

Only texts that a dialect's decoder reads as words of a message or result are asked about, so that nothing else of a body can change; all
other values stay as they were. Each dialect walks its own shape (`<dialect>_request_texts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import msgspec

from gateway.dialects.texts import Slot
from gateway.strict_json import Json

Beside: TypeAlias = tuple[tuple[str | None, str], ...]
"""As in `request.Message`."""
Change: TypeAlias = Callable[[str, str | None, str], str]
"""(role, the id of the call whose result it is or None, the text) → the text to be sent."""
Put: TypeAlias = Callable[[str], str]
"""A `Change` of one message or result."""


def put(holder: dict[str, Json], key: str, change: Put) -> None:
    """Changes the text there, if there is one."""
    if isinstance(text := holder.get(key), str):
        holder[key] = change(text)


def put_slots(slots: Iterable[Slot], change: Put) -> None:
    for slot in list(slots):
        slot.holder[slot.key] = change(slot.holder[slot.key])


def of_slots(slots: Iterable[Slot], call_id: str | None = None) -> Beside:
    return tuple([(call_id, slot.holder[slot.key]) for slot in slots if slot.holder[slot.key]])


def put_parts(content: Json, keys: Mapping[str, str], change: Put) -> None:
    """Changes the text of each part of a list; `keys`: type of a part → the key of its text."""
    for part in dicts(content) if isinstance(content, list) else ():
        put(part, keys.get(str(part.get("type")), ""), change)


def put_all(value: Json, change: Put) -> Json:
    """The value with every text in it changed; keys stay."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [put_all(each, change) for each in value]
    if isinstance(value, dict):
        return {key: put_all(each, change) for key, each in value.items()}
    return value


def dicts(value: Json) -> Iterable[dict[str, Json]]:
    """The objects of a list; of one object itself."""
    if isinstance(value, dict):
        return (value,)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else ()


def decoded(body: bytes) -> dict[str, Json]:
    tree: dict[str, Json] = msgspec.json.decode(body)
    return tree
