"""The images, sounds and files of a chat request's messages: where each part keeps its bytes or their address."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.dialects.media import addressed
from gateway.dialects.proposals import clipped
from gateway.errors import GatewayError
from gateway.request import Media
from gateway.strict_json import Json


def media_of(part: Mapping[str, Json], path: str, powerful: list[str]) -> Media | None:
    """What a part shows or plays, if it does. A file that was uploaded before cannot be seen here: it is named in `powerful`."""
    kind = part["type"]
    if kind == "image_url":
        return addressed("image", f"{path}.image_url", _text(_holder(part, kind, path), "url", f"{path}.image_url"))
    if kind == "input_audio":
        sound = _holder(part, kind, path)
        form = sound.get("format")
        media_type = f"audio/{clipped(form)}" if form else ""
        return Media("audio", f"{path}.input_audio", media_type, _text(sound, "data", f"{path}.input_audio"))
    return _file(_holder(part, kind, path), f"{path}.file", powerful) if kind == "file" else None


def _file(file: Mapping[str, Json], path: str, powerful: list[str]) -> Media | None:
    if file.get("file_id") is not None:
        powerful.append(f"{path}.file_id")
    return None if file.get("file_data") is None else addressed("file", path, _text(file, "file_data", path))


def _holder(part: Mapping[str, Json], kind: str, path: str) -> Mapping[str, Json]:
    holder = part.get(kind)
    if not isinstance(holder, dict):
        raise GatewayError("bad_request", "invalid_message", f"`{path}.{kind}` must be an object.", param=path)
    return holder


def _text(holder: Mapping[str, Json], name: str, path: str) -> str:
    value = holder.get(name)
    if not isinstance(value, str):
        raise GatewayError("bad_request", "invalid_message", f"`{path}.{name}` must be a string.", param=path)
    return value
