"""The address of a database whose secrets stand elsewhere: a password may hold any character."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.engine import make_url

from flows.errors import SettingsError
from flows.settings.references import resolve_address

# No environment variable holds NUL; a lone surrogate is no text.
PASSWORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=30)


def resolved(address: str, **environment: str) -> str:
    return resolve_address(address, environment, "warehouse")


@given(password=PASSWORDS)
@example(password="@/%#:? +'\\\"&=")
def test_a_password_of_any_characters_is_read_as_it_is(password: str) -> None:
    expected = {"user": "me", "password": password, "host": "db.internal", "dbname": "lake"}
    for address in (
        "postgresql://me:${P}@db.internal/lake",
        "postgresql://db.internal/lake?user=me&password=${P}",
        "host=db.internal dbname=lake user=me password=${P}",
        "password = '${P}' host=db.internal dbname=lake user=me",
    ):
        assert conninfo_to_dict(resolved(address, P=password)) == expected
    assert make_url(resolved("postgresql+psycopg://me:${P}@db.internal/lake", P=password)).password == password


@pytest.mark.parametrize(
    ("address", "value", "expected"),
    [
        ("${A}", "postgresql://u:p@h/d", "postgresql://u:p@h/d"),
        ("${A}", "host=h password='a b'", "host=h password='a b'"),
        ("dbname=lake ${A} sslmode=require", "host=h user=u", "dbname=lake host=h user=u sslmode=require"),
        ("postgresql://u@${A}/lake", "db.internal:5433", "postgresql://u@db.internal:5433/lake"),
        ("sqlite:///${A}/state.sqlite", "/srv/a b", "sqlite:////srv/a b/state.sqlite"),
        ("host=${A} dbname=lake", "/run/my socket", "host=/run/my\\ socket dbname=lake"),
    ],
)
def test_what_is_more_than_a_value_is_taken_as_it_stands(address: str, value: str, expected: str) -> None:
    assert resolved(address, A=value) == expected


def test_what_is_not_set_is_named() -> None:
    with pytest.raises(SettingsError, match="warehouse: the environment variable P is not set"):
        resolved("postgresql://me:${P}@h/d")
