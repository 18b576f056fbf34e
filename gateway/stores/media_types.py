"""The forms in which an answer can be had. Which process makes them, and how, is `question/forms.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Form = Literal["json", "csv", "arrow", "parquet"]
MEDIA_TYPES: Mapping[Form, str] = {
    "json": "application/json",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}
