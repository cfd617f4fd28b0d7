"""How a text is cut into words, and the shortest texts in each code."""

from __future__ import annotations

import base64

import pytest

from scanners.mcp_rules import decoding
from scanners.mcp_rules.lexicon import opened
from scanners.mcp_rules.sentences import sentences_of


def tokens_of(text: str) -> list[tuple[str, str]]:
    """Return text and kind of each token; its place leads to what was written."""
    (sentence,) = next(iter(sentences_of(text)))
    for token in sentence.tokens:
        written = text[token.start : token.end].lower().replace("'", "")
        assert written == token.word
    return [(token.word, token.kind) for token in sentence.tokens]


def test_letters_before_a_blank_are_a_word_and_anything_longer_is_taken_whole() -> None:
    assert tokens_of("Don't  Send c:\\My Docs, (well-known) x") == [
        ("dont", "word"),
        ("send", "word"),
        ("c:\\my docs", "path"),
        (",", "mark"),
        ("(", "mark"),
        ("well-known", "word"),
        (")", "mark"),
        ("x", "word"),
    ]
    assert tokens_of("Mail a@b.io, read notes.txt or https://c.d/e now") == [
        ("mail", "word"),
        ("a@b.io", "mail"),
        (",", "mark"),
        ("read", "word"),
        ("notes.txt", "path"),
        ("or", "word"),
        ("https://c.d/e", "url"),
        ("now", "word"),
    ]


@pytest.mark.parametrize(
    ("how", "said", "coded"),
    [
        (decoding.BASE64, "run rm -rf .", base64.b64encode(b"run rm -rf .").decode()),
        (decoding.HEX, "run rm -rf", b"run rm -rf".hex()),
        (decoding.PERCENT, "run it", "%72un%20%69t"),
        (decoding.NUMBERS, "RUN THIS NOW", " ".join(map(str, b"RUN THIS NOW"))),
    ],
)
def test_the_shortest_text_in_a_code_is_decoded(
    how: str, said: str, coded: str
) -> None:
    assert [(part.how, part.text) for part in decoding.decoded(coded)] == [(how, said)]


def test_phrases_are_found_by_their_second_word_in_their_order() -> None:
    alone, longer = opened([(("b",), 1), ((), 2), (("c", "d"), 3), (("b", "e"), 4)])

    assert alone == (((), 2),)
    assert longer == {
        "b": ((("b",), 1), ((), 2), (("b", "e"), 4)),
        "c": (((), 2), (("c", "d"), 3)),
    }
