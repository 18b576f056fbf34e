"""An answer that refuses: by what the provider says, and by how its first words go.

Models refuse in a few set phrases, and in the first sentence; the table below has those of ten languages. Only the beginning is looked at:
an answer that helps and declines a part later is none. What is not said in these phrases is not seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

import re2
from pydantic import Field

from gateway.documents import Section
from gateway.validators.validator import Check, Seen, Subject, Validator

REFUSED: Final = frozenset({"content_filter", "refusal", "safety", "prohibited_content", "blocklist", "spii", "recitation", "image_safety"})
"""How providers say that they, or the model, refused."""
LOOKED_AT: Final = 400
"""Characters at the beginning."""

_SOFT: Final = (
    r"(?:(?:i['’]?m|i am|we['’]?re|we are) (?:\w+ )?sorry|sorry|unfortunately|i apologi[sz]e|my apologies|as an ai(?:[\w -]{0,30})"
    r"|thank you[^.!]{0,60}"
    r"|(?:however|but|though|and|that said))[,.!:;—–-]*\s*"
)
_CANNOT: Final = (
    r"(?:i|we)(?: (?:really|simply|just|personally|currently))? ?(?:can(?:not|['’]?t| not)|won['’]?t|will not|am (?:not able|unable) to"
    r"|['’]m (?:not able|unable|not going) to|are unable to|do(?:n['’]?t| not) feel comfortable|['’]m not comfortable"
    r"|am programmed not to|am not going to)"
)
_DECLINE: Final = r"(?:i|we) (?:must|have to|need to|will have to|['’]ll have to) (?:respectfully |politely )?(?:decline|refuse)\b"
_HELP: Final = (
    r"(?: (?:be able to|in good conscience|\w+ly))*(?:$|[.!]|,? in good conscience\b|(?: do)?\s+(?:that|this|so)[.,!]"
    r"|\s+(?:help|assist)(?:ing)?(?:$|[.,!;]|\s+(?:[ac-z]|b[^u]))"
    r"|\s+(?:provid|comply|fulfil|continu|creat|generat|writ|answer|engag|discuss|shar|support|giv|offer|participat|produc|respond)\w*\b)"
)
_PHRASES: Final[dict[str, str]] = {
    "en": rf"(?:{_SOFT}){{0,4}}(?:{_CANNOT}{_HELP}|{_DECLINE}"
    r"|(?:i['’]?m|i am) (?:sorry|afraid)[,.]? (?:but )?(?:that['’]?s|this is) (?:not )?(?:something )?i)",
    "de": r"(?:(?:es tut mir (?:\w+ )?leid|tut mir leid|leider|entschuldigung|ich bedauere)[,.]?\s*(?:aber )?){0,3}"
    r"(?:(?:dabei|damit|hierbei|das) )?(?:ich )?(?:kann|darf|werde) (?:ich )?(?:\w+ ){0,4}nicht\b",
    "fr": r"(?:(?:je suis (?:\w+ )?désolée?|désolée?|malheureusement|je regrette)[,.]?\s*(?:mais )?){0,3}"
    r"je ne (?:peux|puis|suis) (?:malheureusement )?pas\b",
    "es": r"(?:(?:lo siento(?: mucho)?|lamentablemente|disculp\w+|perdón)[,.]?\s*(?:pero )?){0,3}no (?:puedo|me es posible)\b",
    "pt": r"(?:(?:desculp\w+|lamento|sinto muito|infelizmente)[,.]?\s*(?:mas )?){0,3}(?:eu )?não (?:posso|consigo)\b",
    "it": r"(?:(?:mi dispiace|purtroppo|spiacente|scusa\w*)[,.]?\s*(?:ma )?){0,3}non (?:posso|sono in grado)\b",
    "nl": r"(?:(?:het spijt me|sorry|helaas)[,.]?\s*(?:maar )?){0,3}(?:ik kan|daar kan ik) (?:je |u )?(?:\w+ ){0,3}niet\b",
    "pl": r"(?:(?:przykro mi|przepraszam|niestety)[,.]?\s*(?:ale )?){0,3}nie mogę(?:[\s.,!]|$)",
    "ru": r"(?:(?:извините|простите|к сожалению|мне жаль)[,.]?\s*(?:но )?){0,3}"
    r"я не могу(?: \pL+)? (?:помочь|выполнить|предоставить|ответить|с этим)",
    "zh": r"(?:(?:很)?(?:抱歉|对不起|遗憾)[,，。]?\s*(?:但)?){0,3}我?(?:无法|不能|不便)",
    "ja": r"(?:申し訳(?:ありません|ございません)|すみません|恐れ入り)[^\n]{0,60}"
    r"(?:できません|お手伝いできません|お答えできません|いたしかねます)",
}


class Refusal(Section):
    """Without options: what providers say, and the phrases that are known."""

    phrases: tuple[str, ...] = Field((), description="More beginnings of an answer that refuses, whatever their letters' case.")


def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(rf"(?i)^[\s_>#\"“'-]*(?:{pattern})", options)


_EACH: Final = tuple((language, _compiled(pattern)) for language, pattern in _PHRASES.items())


def _made(options: Refusal) -> Check:
    if not all(one.strip() for one in options.phrases):
        raise ValueError("has an empty phrase, which every answer begins with; leave it out")
    return partial(_check, tuple(one.casefold() for one in options.phrases))


def _check(phrases: Sequence[str], subject: Subject) -> Iterator[Seen]:
    if subject.finish.lower() in REFUSED:
        yield Seen("refused", "the provider says that the answer was refused or filtered")
    beginning = subject.text[:LOOKED_AT].encode("utf-8", "replace").decode().replace("*", "")
    if any(beginning.lstrip().casefold().startswith(one) for one in phrases):
        yield Seen("refusal", "the answer begins with a phrase that the rule names as a refusal")
        return
    for language, pattern in _EACH:
        if pattern.search(beginning) is not None:
            yield Seen("refusal", f"the answer begins as a refusal does (language '{language}')")
            return


REFUSAL = Validator("refusal", "1", Refusal, _made, hooks=frozenset({"output"}))
