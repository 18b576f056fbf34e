"""What several processes of one installation open the same way: provider keys, the key store, the meaning of `auto`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from gateway import clock, identify, prompt_folder, secret
from gateway.addresses import is_loopback
from gateway.answer_cache import AnswerCache
from gateway.cache_settings import Cache
from gateway.config import Settings
from gateway.errors import StartError
from gateway.key_source import KeySource
from gateway.policy import EMPTY, PolicySet
from gateway.policy_folder import load_folder
from gateway.prompt.library import EMPTY as NO_PROMPTS
from gateway.prompt.library import Library
from gateway.state.access import AccessLog
from gateway.state.answers import Answers
from gateway.state.approvals import Approvals
from gateway.state.asking import Asking, InThreads, at_once
from gateway.state.belongings import Belongings
from gateway.state.embedded import DATA_KEYS_FILE, Embedded
from gateway.state.issued import Issued
from gateway.state.keys import Keys
from gateway.state.limits import Limits
from gateway.state.memory_answers import MemoryAnswers
from gateway.state.people import People
from gateway.state.prompts import Prompts
from gateway.state.sessions import Sessions
from gateway.state.sign_ins import SignIns
from gateway.upstream import translation
from gateway.upstream.routing import Routes, key_name
from gateway.upstream_settings import PROVIDERS
from gateway.validators.looks import USUAL, Looks, looks
from gateway.vault import Master, TenantVault

if TYPE_CHECKING:  # a client's library that one machine alone does not need
    from gateway.state.redis_line import Line
    from gateway.state.remote import Remote


def provider_keys(settings: Settings) -> dict[str, str]:
    """The provider key of each upstream, and of each target of a route with a key of its own, whose key is there. Raises StartError for a
    key file that cannot be used."""
    found = {name: source.read(os.environ) for name, source in _key_sources(settings).items()}
    return {name: key for name, key in found.items() if key}


def look_at_provider_keys(settings: Settings) -> list[str]:
    """Those that the settings name and that are not there. Raises StartError for a key file that cannot be used."""
    sources = {source.place: source for source in _key_sources(settings).values()}
    empty = [place for place, source in sources.items() if source.read(os.environ) is None]
    return [f"the {place} holds no key: requests to the providers that want it fail; set it and start again" for place in empty]


def keys_of_agents(settings: Settings) -> list[str]:
    """What is said where the key that a provider would be sent opens a gateway: this one, or any where the provider is known not to be one.
    Raises StartError for a key file that cannot be used, GatewayError where the keys cannot be read."""
    sources = _key_sources(settings)
    given = {name: key for name, key in provider_keys(settings).items() if identify.split_key(key)}
    if not given:
        return []
    own = open_keys(settings) if (settings.data_path / secret.NAME).exists() else None
    try:
        wrong = [name for name, key in given.items() if _is_vendor(settings, name) or (own and own.find(key, clock.now_us()))]
    finally:
        if own:
            own.close()
    return [
        f"upstream '{name}': the {sources[name].place} holds a key that 'tollhouse keys' made for an agent, not the provider's; "
        "put the provider's own key there, or take it out of the environment"
        for name in wrong
    ]


def _is_vendor(settings: Settings, name: str) -> bool:
    upstream = settings.upstreams.get(name)
    return upstream is not None and urlsplit(upstream.base_url).hostname in {urlsplit(url).hostname for _, url, _ in PROVIDERS.values()}


def _key_sources(settings: Settings) -> dict[str, KeySource]:
    sources = {name: upstream.key for name, upstream in settings.upstreams.items() if upstream.key is not None}
    for number, route in enumerate(settings.routes):
        own = {key_name(number, at): target.key for at, target in enumerate(route.targets)}
        sources |= {name: key for name, key in (own | {key_name(number, None): route.mirror and route.mirror.key}).items() if key}
    return sources


def check_platforms(settings: Settings) -> None:
    """Raises StartError for a cloud's key that has not its form, and where what asks it is not installed."""
    Routes(settings, provider_keys(settings))


def look_at_routes(settings: Settings) -> list[str]:
    """What an operator should know of the routes before a start. Raises StartError where one could not lead where it should."""
    return translation.look(settings)


def provider_secrets(settings: Settings) -> set[str]:
    """What must not be said anywhere: keys, and what they are made of."""
    keys = set(provider_keys(settings).values())
    return keys | {part for key in keys if not key.startswith("{") for part in key.split(":") if len(part) >= SECRET_LENGTH}


SECRET_LENGTH = 16
"""From which a part of a key is a secret of its own."""


def open_keys(settings: Settings) -> Keys:
    """The key store of an installation."""
    pepper = secret.derive(secret.read_or_create(settings.data_path), "virtual keys")
    return _stores(settings).keys(pepper)


def open_people(settings: Settings) -> People:
    """Who may use the admin plane, beside the keys."""
    pepper = secret.derive(secret.read_or_create(settings.data_path), "tokens of people")
    return _stores(settings).people(pepper)


def open_sign_ins(settings: Settings) -> SignIns:
    """Which browsers are signed in, beside the people."""
    return _stores(settings).sign_ins()


def open_access_log(settings: Settings) -> AccessLog:
    """Changes of keys and people that are not on record yet."""
    return _stores(settings).access_log()


def open_belongings(settings: Settings) -> Belongings:
    """What providers keep for callers, beside the keys."""
    return _stores(settings).belongings()


def open_approvals(settings: Settings) -> Approvals:
    """What people are asked and what they say, beside the keys."""
    return _stores(settings).approvals()


def open_limits(settings: Settings) -> Limits:
    """What limits have counted, beside the keys."""
    return _stores(settings).limits()


def open_issued(settings: Settings) -> Issued:
    """Which calls were delivered, beside the keys."""
    return _stores(settings).issued()


def open_sessions(settings: Settings) -> Sessions:
    """Which sessions are stopped, beside the keys."""
    return _stores(settings).sessions()


def open_prompts(settings: Settings) -> Prompts:
    """Where labels of prompts point, and who has come with what, beside the keys."""
    return _stores(settings).prompts()


def open_vault(settings: Settings) -> TenantVault | None:
    """What encrypts content; None where nothing is encrypted. Raises StartError for master keys that cannot be used."""
    master = master_keys(settings)
    return None if master is None else TenantVault(_stores(settings).data_keys(), master)


def open_cache(settings: Settings, vault: TenantVault | None) -> AnswerCache | None:
    """What gives answers again; None where the settings want none."""
    cache = settings.cache
    if cache is None:
        return None
    key = secret.derive(secret.read_or_create(settings.data_path), "names of answers")
    return AnswerCache(cache, _answers(settings, cache), vault, key)


def how_to_ask(settings: Settings) -> Asking:
    """Of the stores, on the way of a request."""
    return at_once if settings.state_place is None else InThreads()


def state_problem(settings: Settings) -> Callable[[], str | None]:
    """Says why the state store cannot be used now; None when it can. A file in the data folder always can, until it is used."""
    return (lambda: None) if settings.state_place is None else _line(settings).problem


def look_at_state(settings: Settings) -> list[str]:
    """What an operator should know of the state store before a start. Raises StartError when it cannot be used."""
    if settings.state_place is None:
        return []
    from gateway.state.remote import ready_to_serve

    loopback, encrypting = is_loopback(settings.state_place.host), settings.encryption is not None
    warnings = ready_to_serve(_line(settings), settings.data_path, loopback=loopback, encrypting=encrypting)
    left = settings.data_path / DATA_KEYS_FILE
    if encrypting and left.exists():
        warnings.append(f"{left} is not asked while the state is on a server: what was encrypted under its keys cannot be read meanwhile")
    return warnings


def with_our_state(settings: Settings) -> Settings:
    """The same, for a command that works on the state. Raises StartError where a server keeps that of an installation with another secret,
    GatewayError where it cannot be asked."""
    if settings.state_place is not None:
        from gateway.state.remote import refuse_another_secret

        refuse_another_secret(_line(settings), settings.data_path)
    return settings


def master_keys(settings: Settings) -> Master | None:
    """What wraps the keys of content. Raises StartError for what cannot be used."""
    return None if settings.encryption is None else Master.of(settings.encryption, os.environ)


def address_key(settings: Settings) -> bytes:
    """What keys the content addresses of messages."""
    return secret.derive(secret.read_or_create(settings.data_path), "content addresses")


def durability(settings: Settings) -> Literal["commit", "interval"]:
    """What `auto` means: commit where there are policies to prove, interval where there is only something to observe."""
    if settings.durability == "auto":
        return "commit" if settings.policies else "interval"
    return settings.durability


def load_policies(settings: Settings) -> PolicySet:
    """The policies the settings name; none at all only when they name no folder. Raises FileProblems or StartError.

    A folder without a policy is more likely a failed deployment than the wish to stop judging, so it is not taken for one.
    """
    if settings.policies is None:
        return EMPTY
    policies = load_folder(Path(settings.policies))
    if policies.observing:
        raise StartError(
            f"the folder {settings.policies} holds no policy (a .yaml file that begins with 'policy: 1'). "
            "Write one ('tollhouse init' makes a first one), or take 'policies' out of the settings to observe only."
        )
    return policies


def default_looks(settings: Settings) -> Looks:
    """What every answer is looked through for. Raises StartError for a name that nothing has."""
    try:
        return looks(USUAL if settings.looked_at is None else settings.looked_at)
    except ValueError as error:
        raise StartError(f"the settings cannot be used: in 'looked_at', {error}") from None


def load_prompts(settings: Settings) -> Library:
    """The kept prompts of the folder that the settings name. Raises FileProblems or StartError."""
    if settings.prompts is None:
        return NO_PROMPTS
    return prompt_folder.load_folder(Path(settings.prompts), settings.data_path, open_prompts(settings))


def _stores(settings: Settings) -> Embedded | Remote:
    if settings.state_place is None:
        return Embedded(settings.data_path)
    from gateway.state.remote import Remote

    return Remote(_line(settings), settings.data_path)


def _answers(settings: Settings, cache: Cache) -> Answers:
    if cache.store == "memory":
        return MemoryAnswers(cache.max_bytes)
    from gateway.state.redis_answers import RedisAnswers

    return RedisAnswers(_line(settings), settings.data_path, cache.max_bytes)


def _line(settings: Settings) -> Line:
    """Raises StartError when the password is not where the settings say."""
    from gateway.state.remote import line

    place, store = settings.state_place, settings.state
    if place is None:
        raise ValueError("SQLite needs no line")
    if isinstance(store, str):
        return line(place, None, None)
    password = store.password.read(os.environ) if store.password else None
    if store.password and not password:
        where = f"the variable {store.password.env}" if store.password.env else store.password.file
        raise StartError(f"state.password is to be found in {where}, and nothing is there; set it, or take 'password' out")
    return line(place, password, store.ca)
