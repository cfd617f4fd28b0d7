from __future__ import annotations

import hashlib
import zlib

from hypothesis import given
from hypothesis import strategies as st

from apikeys import keys

base62 = st.sampled_from(keys.ALPHABET)


def text_of(size: int) -> st.SearchStrategy[str]:
    return st.text(base62, min_size=size, max_size=size)


@given(text_of(8), text_of(32))
def test_every_key_reads_back_and_has_the_published_form(public_id, secret):
    plain = keys.PlainKey(public_id, secret)
    assert keys.parse(plain.text) == plain
    body, check = plain.text[:-6], plain.text[-6:]
    assert body == f"ssk_{public_id}_{secret}"
    assert len(plain.text) == 51
    value = 0
    for digit in check:
        value = value * 62 + keys.ALPHABET.index(digit)
    assert value == zlib.crc32(body.encode())


@given(text_of(8), text_of(32), st.integers(0, 50), base62)
def test_no_single_changed_character_passes_the_checksum(
    public_id, secret, position, other
):
    text = keys.PlainKey(public_id, secret).text
    changed = text[:position] + other + text[position + 1 :]
    assert (keys.parse(changed) is None) == (changed != text)


@given(st.text(max_size=80))
def test_arbitrary_text_is_no_key(text):
    assert keys.parse(text) is None


def test_a_key_with_anything_around_it_is_no_key():
    text = keys.generate().text
    for wrong in (
        f"{text}\n",
        f" {text}",
        text + "0",
        text.upper(),
        text.encode().hex(),
    ):
        assert keys.parse(wrong) is None


def test_digits_of_other_scripts_are_no_base62():
    text = keys.generate().text
    assert keys.parse(text[:5] + "\u0663" + text[6:]) is None


def test_it_makes_a_new_key_every_time():
    made = [keys.generate() for _ in range(200)]
    assert len({key.public_id for key in made}) == 200
    assert len({key.secret for key in made}) == 200


def test_it_keeps_the_sha256_of_the_secret_and_compares_with_it():
    key = keys.generate()
    assert key.digest == hashlib.sha256(key.secret.encode()).hexdigest()
    assert key.has_digest(key.digest)
    assert not key.has_digest(keys.generate().digest)


def test_it_prints_no_secret():
    key = keys.generate()
    assert key.secret not in repr(key)
