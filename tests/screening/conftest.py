"""A screen that finds card numbers, and words for which an answer ends."""

import re
from dataclasses import dataclass, replace

import pytest


@dataclass(frozen=True)
class Found:
    start: int
    end: int
    effect: str


class Cards:
    """Finds card numbers, and `never say` for which the answer ends."""

    look_back = 19
    buffers = rewrites_signed = False

    def __init__(self, effect="redact"):
        self.effect = effect

    @property
    def beside(self):
        return self

    def find(self, text):
        found = [Found(*m.span(), self.effect) for m in re.finditer(r"\b\d{4}(?: \d{4}){3}\b", text)]
        return found + [Found(*m.span(), "deny") for m in re.finditer("never say", text)]

    def stops(self, hit):
        return hit.effect == "deny"

    def replaces(self, hit):
        return hit.effect == "redact"

    def waits(self, text):
        return None

    def everywhere(self, hit):
        return False

    def moved(self, hit, start, end):
        return replace(hit, start=start, end=end)

    def redacted(self, text, hits):
        out, at = [], 0
        for hit in hits:
            if hit.effect == "redact":
                out += [text[at : hit.start], "[card]"]
                at = hit.end
        return "".join([*out, text[at:]])


class Whole(Cards):
    """Must see a text whole, and then forbids one that begins and ends so."""

    buffers = True

    def find(self, text):
        return [Found(0, len(text), "deny")] if text.startswith("First") and text.endswith("last.") else []


@pytest.fixture(scope="session")
def cards():
    return Cards


@pytest.fixture(scope="session")
def needs_all():
    return Whole()
