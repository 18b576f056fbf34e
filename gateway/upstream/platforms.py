"""How the models of a cloud are asked: a request of a dialect gets the cloud's address, its few other fields and its proof of who pays; the
answer comes back in the dialect. What is judged is the dialect's, before and after.

Each cloud is a module (`bedrock`, `vertex`), imported where one is configured. Its vendor's library is imported in a thread at its first
request, and by nobody else.
"""

from __future__ import annotations

from typing import Protocol

from gateway.platform_settings import Platform as Settings
from gateway.upstream.client import ProviderAnswer
from gateway.upstream.machine import Source
from gateway.upstream.post import Asked, Post


class Platform(Protocol):
    """One account of one cloud."""

    @property
    def provider(self) -> str:
        """OpenTelemetry's `gen_ai.provider.name`: prices are looked up under it."""

    async def post(self, asked: Asked) -> Post:
        """Raises GatewayError for what cannot be asked there, or without proof."""

    def opened(self, answer: ProviderAnswer, dialect: str) -> ProviderAnswer:
        """In the dialect in which it was asked: that of a translated request; empty where the client's own went through."""


def made(settings: Settings, base_url: str, key: str | None) -> Platform:
    """`key`: None where the machine's credentials are taken. Raises StartError for a key that has not the cloud's form, and where the
    library is not installed."""
    if settings.bedrock is not None:
        from gateway.upstream.bedrock import Bedrock

        return Bedrock(settings.bedrock, base_url, key)
    if settings.vertex is not None:
        from gateway.upstream.vertex import Vertex

        return Vertex(settings.vertex, base_url, key)
    raise TypeError("a platform that is none")


def on_machine(settings: Settings) -> tuple[Source[object], str]:
    """Where its vendor's library finds credentials, and what is said where there are none. Raises StartError without the library."""
    if settings.bedrock is not None:
        from gateway.upstream import bedrock

        return bedrock.OnMachine(), bedrock.NONE
    from gateway.upstream import vertex

    return vertex.on_machine(), vertex.OF_MACHINE
