"""The rule that the corpus is judged by."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.validators.packages.rule import PACKAGES, Packages
from gateway.validators.validator import Check

ALLOWED = (
    *("pip:requests", "pip:flask", "pip:ruff", "conda:numpy", "npm:lodash", "npm:@acme/*", "cargo:serde_json", "gem:rails"),
    *("go:github.com/spf13/cobra", "system:curl"),
)


@pytest.fixture
def rule() -> Callable[..., Check]:
    def made(**options: object) -> Check:
        return PACKAGES.make(Packages.model_validate_json(_json({"allow": ALLOWED, **options})))

    return made


def _json(value: object) -> bytes:
    import msgspec

    return msgspec.json.encode(value)
