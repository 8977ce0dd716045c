"""Whole columns say the same as row by row."""

import itertools

import pytest

from migration.columns import NULL, Columns
from migration.values import salt_of

BCRYPT = "$2b$10$" + "./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXY"
HARDLY = (
    "",
    BCRYPT[:-1],
    BCRYPT + "x",
    BCRYPT.replace("$2b", "$2c"),
    BCRYPT.replace("$10", "$1x"),
    BCRYPT.replace("$2b", "x2b"),
    BCRYPT.replace("$10$", "$10."),
    BCRYPT[:-1] + " ",
    BCRYPT[:-1] + "\x7f",
    BCRYPT[:-2] + "é",  # 60 bytes, 59 characters
    BCRYPT[:-1] + "é",
)


def salts_of(hashes: tuple[str, ...]) -> list[bytes]:
    text = "\n".join(hashes).encode()
    return Columns(len(hashes), 0, b"", b"", b"", b"", text).salts().split(b"\n")


@pytest.mark.parametrize("odd", HARDLY)
def test_a_column_says_of_a_hash_that_is_hardly_bcrypt_what_is_said_of_it_alone(odd):
    for hashes in set(itertools.permutations((BCRYPT, BCRYPT, odd))) | {(odd,)}:
        expected = [salt_of(one) for one in hashes]
        assert salts_of(hashes) == [NULL if salt is None else salt.encode() for salt in expected]


def test_bcrypt_hashes_have_their_first_29_signs_for_a_salt():
    others = tuple(BCRYPT.replace("$2b$10", f"$2{form}$0{cost}") for form in "abxy" for cost in range(4, 10))
    assert salts_of(others) == [one[:29].encode() for one in others]


def test_lengths_that_add_up_do_not_hide_a_shifted_line():
    hashes = (BCRYPT[:-1], BCRYPT + "x")
    assert salts_of(hashes) == [NULL, NULL]
