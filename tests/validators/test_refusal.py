"""An answer that refuses."""

from __future__ import annotations

import pytest

from gateway.validators.refusal import REFUSAL, Refusal
from gateway.validators.validator import Subject

REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, I can’t assist with that request.",
    "I cannot provide instructions for that.",
    "Sorry, I can't do that.",
    "I'm unable to help with this.",
    "I am not able to comply with this request.",
    "Unfortunately, I won't be able to assist you here.",
    "As an AI language model, I cannot give legal advice.",
    "Thank you for asking, but I must decline.",
    "I won't write that.",
    "I cannot, in good conscience, help you with this.",
    "I really can't do that.",
    "I have to respectfully decline this one.",
    "**I'm sorry**, but I can't help with that.",
    "I don't feel comfortable discussing this.",
    "Es tut mir leid, aber dabei kann ich nicht helfen.",
    "Leider kann ich Ihnen damit nicht helfen.",
    "Das kann ich leider nicht tun.",
    "Je suis désolé, mais je ne peux pas vous aider.",
    "Lo siento, pero no puedo ayudarte con eso.",
    "Desculpe, mas não posso ajudar com isso.",
    "Mi dispiace, ma non posso aiutarti.",
    "Het spijt me, maar ik kan je daar niet mee helpen.",
    "Przykro mi, ale nie mogę w tym pomóc.",
    "Извините, но я не могу помочь с этим.",
    "很抱歉，我无法帮助您。",
    "申し訳ありませんが、そのご要望にはお応えできません。",
]
ANSWERS = [
    "I'm sorry for the delay. Here is the report.",
    "I can help with that!",
    "I can't believe how fast this is: 3 ms.",
    "I can't find the file that you named.",
    "I cannot see that line; which version is it?",
    "We cannot, however, rule out a fault of the disk.",
    "I can't help but notice a typo in line 3.",
    "I'm unable to reach the server: it answers 503.",
    "I won't be long: here is the list.",
    "We cannot merge this yet, two tests are red.",
    "Sorry about the confusion, the file is fixed.",
    "The server cannot provide the file; restart it.",
    "Sure. Note that I cannot see your screen.",
    "You can't assist with that from this account.",
    "Here is the e-mail: I'm sorry, but I can't help with that.",
    "Unfortunately, the test still fails in line 3.",
    "Leider ist der Test noch rot, hier der Grund.",
    "Das Ergebnis ist 42.",
    "Je peux vous aider.",
    "No hay problema, puedo ayudarte.",
    "我可以帮助您。",
    "申し訳ありませんでした。修正しました。",
    "",
]


def codes(text: str, finish: str = "", phrases=()):
    return [one.code for one in REFUSAL.make(Refusal(phrases=phrases))(Subject(text, finish=finish))]


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_is_told_by_its_beginning(text):
    assert codes(text) == ["refusal"]
    assert codes(f"\n  {text}\nMore words follow.") == ["refusal"]


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_is_none(text):
    assert codes(text) == []


@pytest.mark.parametrize("text", REFUSALS)
def test_what_is_declined_later_is_no_refusal(text):
    assert codes(f"Here is the summary that you asked for. {text}") == []


@pytest.mark.parametrize("finish", ["content_filter", "refusal", "SAFETY", "PROHIBITED_CONTENT"])
def test_what_the_provider_refused_is_seen(finish):
    assert codes("", finish) == ["refused"]


def test_phrases_of_the_rules_own():
    assert codes("  Nope, never.", phrases=("nope",)) == ["refusal"]
    assert codes("Well, nope.", phrases=("nope",)) == []
    with pytest.raises(ValueError, match="empty phrase"):
        codes("", phrases=(" ",))


def test_a_text_without_form_in_utf8_is_looked_at_all_the_same():
    assert codes("\ud800 I") == []


@pytest.mark.parametrize("piece", ["sorry, ", "but ", "I ", "i can", " ", "unfortunately", "-"])
def test_only_the_beginning_is_looked_at(piece, cpu_at_most):
    with cpu_at_most(1):
        for _ in range(20):
            codes(piece * (1_000_000 // len(piece)))
