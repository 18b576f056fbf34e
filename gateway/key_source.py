"""Where a key is found: settings name the variable or the file that holds one, never the key, so that they can be printed and passed on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from gateway.documents import Section
from gateway.errors import StartError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What a variable can be called where shells are to know it; most keys cannot, and a key that was written here would be told as a place."""


class KeySource(Section):
    """Exactly one of the two."""

    env: Annotated[str | None, Field(description="name of the environment variable that holds the key")] = None
    file: Annotated[str | None, Field(description="path of a file (mode 0600) that holds the key")] = None

    @model_validator(mode="before")
    @classmethod
    def is_not_the_key(cls, given: Any) -> Any:
        if isinstance(given, str):
            raise ValueError("says where it is found, {env: VARIABLE} or {file: path}; what is secret never stands in the settings itself")  # noqa: TRY004
        return given

    @model_validator(mode="after")
    def one_source(self) -> Self:
        if len([name for name in (self.env, self.file) if name and name.strip()]) != 1 or None not in (self.env, self.file):
            raise ValueError("give exactly one of 'env' and 'file'")
        if self.env and not _NAME.fullmatch(self.env):
            raise ValueError("'env' is the name of a variable, not what it holds: letters, digits and _, like OPENAI_API_KEY")
        return self

    @property
    def place(self) -> str:
        """For people."""
        return f"variable {self.env}" if self.env else f"file {self.file}"

    def read(self, environment: Mapping[str, str]) -> str | None:
        """The key, or None when the variable is unset. Raises StartError for an unreadable or open file."""
        if self.env is not None:
            return environment.get(self.env) or None
        path = Path(str(self.file)).expanduser()
        try:
            if path.stat().st_mode & 0o077:
                raise StartError(f"{path} holds a key and is readable by others; run: chmod 600 {path}")
            return path.read_text(encoding="utf-8").strip() or None
        except UnicodeDecodeError:
            raise StartError(f"the key file {path} is no text; write the key into it, and nothing else") from None
        except OSError as e:
            raise StartError(f"cannot read the key file {path}: {e.strerror}") from e
