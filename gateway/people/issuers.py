"""Settings of those who sign for people and agents (OpenID Connect, or any issuer of signed JWTs): whom to believe, what claims mean."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from gateway.documents import Section
from gateway.key_source import KeySource
from gateway.people.roles import Role

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures with a private key alone: a secret that the verifier shares could also make tokens, and `none` is no signature."""
_Named = Annotated[str, Field(min_length=1)]
Claim = _Named | Annotated[list[_Named], Field(min_length=1)]
"""A claim's name, or the way to it: [realm_access, roles]."""
AGENT = re.compile(r"[A-Za-z0-9_.:/@-]{1,128}")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class AgentClaims(Section):
    """What proves an agent."""

    agent: Annotated[Claim, Field(description="claim with the agent's name, or its client id where `names` are given")]
    names: Annotated[
        dict[str, str] | None, Field(min_length=1, description="that claim's value -> agent; what is not among them is nobody")
    ] = None
    team: Annotated[Claim | None, Field(description="claim with the team; a token without it is refused")] = None
    user: Annotated[Claim | None, Field(description="claim with the user on whose behalf it acts; a token without it is refused")] = None
    org: Annotated[Claim | None, Field(description="claim with the organisation; a token without it is refused")] = None

    @field_validator("names")
    @classmethod
    def agents(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        for agent in (value or {}).values():
            if not AGENT.fullmatch(agent):
                raise ValueError(f"'{agent[:40]}' is no agent's name; use 1 to 128 letters, digits and - _ . : / @")
        return value


class PeopleClaims(Section):
    """What proves a person of the admin plane."""

    name: Annotated[Claim, Field(description="claim with who it is, as it is written down: preferred_username, email, sub")] = "sub"
    groups: Annotated[Claim, Field(description="claim with groups: a list, or one")]
    roles: Annotated[
        dict[str, Annotated[list[Role], Field(min_length=1)]],
        Field(min_length=1, description="group -> roles; whoever is in none of them is nobody"),
    ]
    teams: Annotated[
        Claim | None,
        Field(description="claim with their teams: a list, or one of payments, acme/payments, acme/*. none = they see everybody's"),
    ] = None


    @field_validator("roles")
    @classmethod
    def of_groups(cls, value: dict[str, list[Role]]) -> dict[str, list[Role]]:
        if any(not group.strip() or "*" in group for group in value):
            raise ValueError("groups are named exactly, as the claim has them: there are no patterns, and none is empty")
        return value


class BrowserSignIn(Section):
    """How people sign in to the pages by this issuer: OpenID Connect's authorization code with PKCE."""

    client: Annotated[str, Field(min_length=1, description="this gateway's client id there; `aud` of its ID tokens")]
    secret: Annotated[KeySource | None, Field(description="where the client's secret is found; none = a public client, PKCE alone")] = None
    secret_in: Annotated[
        Literal["header", "form"], Field(description="how it is sent: header = client_secret_basic · form = client_secret_post")
    ] = "header"  # noqa: S105 - a place, not a secret
    authorize: Annotated[str, Field(description="URL that browsers are sent to (authorization_endpoint), https://")]
    token: Annotated[str, Field(description="URL that codes are exchanged at (token_endpoint), https://")]
    scopes: Annotated[list[str], Field(min_length=1, description="what is asked for; 'openid' is among it")] = Field(
        default_factory=lambda: ["openid", "profile", "email"]
    )
    hours: Annotated[float, Field(gt=0, le=168, description="after so long people are sent there again: what it says may be new")] = 8

    @field_validator("authorize", "token")
    @classmethod
    def encrypted(cls, value: str) -> str:
        return _encrypted(value)

    @field_validator("scopes")
    @classmethod
    def an_id_token(cls, value: list[str]) -> list[str]:
        if "openid" not in value or any(not re.fullmatch(r"[!#-\[\]-~]+", each) for each in value):
            raise ValueError("must be words, and 'openid' among them: without it there is no ID token")
        return value


class Issuer(Section):
    """One who signs."""

    name: Annotated[str, Field(description="what it is called here; exchanges of its agents have a key id that begins with jwt:<name>:")]
    issuer: Annotated[str, Field(min_length=1, description="`iss` of its tokens, to the letter")]
    audience: Annotated[str, Field(min_length=1, description="`aud` of tokens for this gateway")]
    keys: Annotated[str, Field(description="URL of its public keys (JWKS), https://")]
    algorithms: Annotated[list[Algorithm], Field(min_length=1, description="which signatures are believed")] = Field(
        default_factory=lambda: ["RS256"]  # type: ignore[arg-type]
    )
    leeway: Annotated[float, Field(ge=0, le=120, description="seconds by which its clock may differ")] = 30
    offline: Annotated[
        float, Field(ge=0, le=86_400, description="seconds for which its last keys are good while it is away; then nobody gets in")
    ] = 3600
    agents: Annotated[AgentClaims | None, Field(description="what proves an agent; none = its tokens prove none")] = None
    people: Annotated[PeopleClaims | None, Field(description="what proves a person; none = its tokens prove none")] = None
    sign_in: Annotated[BrowserSignIn | None, Field(description="people sign in to the pages by it; none = they do not")] = None

    @field_validator("name")
    @classmethod
    def a_name(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", value):
            raise ValueError("must be 1 to 40 lower-case letters, digits and -")
        return value

    @field_validator("keys")
    @classmethod
    def encrypted(cls, value: str) -> str:
        return _encrypted(value)

    @model_validator(mode="after")
    def for_somebody(self) -> Issuer:
        if self.agents is None and self.people is None:
            raise ValueError("say what its tokens prove: 'agents', 'people' or both")
        if self.sign_in is not None and self.people is None:
            raise ValueError("'sign_in' wants 'people': nobody could tell who has signed in")
        return self


def _encrypted(value: str) -> str:
    """Raises ValueError."""
    parts = urlsplit(value)
    if not parts.hostname or parts.username or parts.password or parts.fragment:
        raise ValueError("must be a URL without user name and fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError("must be an https:// URL: whoever can change the keys on the way can be anybody")
    return value
