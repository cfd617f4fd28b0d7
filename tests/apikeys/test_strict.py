from __future__ import annotations

import pytest

from apikeys.api.strict import (
    StrictBooleanField,
    StrictCharField,
    StrictIntegerField,
    StrictSerializer,
)


class Wanted(StrictSerializer):
    text = StrictCharField(required=False, allow_null=True)
    number = StrictIntegerField(required=False, min_value=1)
    flag = StrictBooleanField(required=False)
    answered = StrictCharField(read_only=True)


def refused(data: object) -> set[str]:
    wanted = Wanted(data=data)
    return set() if wanted.is_valid() else set(wanted.errors)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"text": "a", "number": 1, "flag": False},
        {"text": None},
        {"number": 2**40},
    ],
)
def test_it_takes_json_of_the_right_types(data):
    assert refused(data) == set()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("text", value) for value in (1, 1.5, True, [], {}, "\x00", "\ud800")),
        *(("number", value) for value in ("1", 1.0, 1.5, True, None, 0, [], 1e400)),
        *(("flag", value) for value in ("true", 1, 0, None, [], {})),
        ("answered", "x"),
        ("unknown", "x"),
        ("", "x"),
    ],
)
def test_it_refuses_other_types_and_names_by_the_field(name, value):
    assert refused({name: value}) == {name}


def test_it_names_everything_that_is_wrong_at_once():
    assert refused({"text": 1, "number": "1", "x": 1}) == {"text", "number", "x"}


@pytest.mark.parametrize("data", [[], "a", 1, None])
def test_it_refuses_what_is_no_object(data):
    assert not Wanted(data=data).is_valid()
