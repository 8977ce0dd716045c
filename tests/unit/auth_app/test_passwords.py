"""Passwords are hashed and compared as the legacy server did, in bounded time and on bounded threads."""

import threading
import time
from collections.abc import Iterator

import bcrypt
import pytest

from auth_app.passwords import MAX_COST, PasswordHasher, PasswordPoolFull, encode, is_hash, salt_of


@pytest.fixture
def hasher() -> Iterator[PasswordHasher]:
    made = PasswordHasher(cost=4, workers=2, queue=8)
    yield made
    made.close()


def stored(password: bytes, prefix: bytes = b"2b") -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(4)).replace(b"$2b$", b"$" + prefix + b"$").decode()


def test_a_hash_lets_its_own_password_in_and_no_other(hasher: PasswordHasher) -> None:
    made = hasher.hash("secret12")
    assert made.startswith("$2b$04$")
    assert hasher.matches("secret12", made)
    assert not hasher.matches("secret13", made)
    assert hasher.hash("secret12") != made


ALPHANUMERICS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.mark.parametrize(
    ("password", "published"),
    [
        ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        ("", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"),
        (
            f"{ALPHANUMERICS}0123456789chars after 72 are ignored",
            "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui",
        ),
    ],
)
def test_published_hashes_of_other_implementations_match(
    hasher: PasswordHasher, password: str, published: str
) -> None:
    assert hasher.matches(password, published)
    assert not hasher.matches(f"x{password}", published)


@pytest.mark.parametrize("prefix", [b"2a", b"2b", b"2y"])
def test_every_prefix_that_the_legacy_server_wrote_is_accepted(hasher: PasswordHasher, prefix: bytes) -> None:
    assert hasher.matches("secret12", stored(b"secret12", prefix))


def test_only_the_first_72_bytes_count_even_within_a_character(hasher: PasswordHasher) -> None:
    long = "x" * 100
    assert hasher.matches(long, stored(b"x" * 72))
    assert hasher.matches("x" * 72 + "another end", hasher.hash(long))
    assert not hasher.matches("x" * 71, hasher.hash(long))
    assert encode("é" * 36) == encode("é" * 50) == "é".encode() * 36
    assert encode("x" + "é" * 36) == b"x" + "é".encode() * 35 + b"\xc3"
    assert hasher.matches("x" + "é" * 99, hasher.hash("x" + "é" * 36))


def test_a_nul_is_a_byte_like_any_other(hasher: PasswordHasher) -> None:
    made = hasher.hash("ab\0cd")
    assert hasher.matches("ab\0cd", made)
    assert not hasher.matches("ab", made)
    assert not hasher.matches("ab\0ce", made)


def test_half_a_surrogate_pair_counts_as_three_bytes_and_a_whole_one_as_its_character(
    hasher: PasswordHasher,
) -> None:
    assert encode("\ud800x") == b"\xed\xa0\x80x"
    assert hasher.matches("\ud800", hasher.hash("\ud800"))
    assert not hasher.matches("\ud801", hasher.hash("\ud800"))
    assert encode("😀") == "😀".encode()


@pytest.mark.parametrize(
    "other",
    [
        None,
        "",
        "secret12",
        5,
        b"bytes",
        "$2b$04$short",
        "$2$04$" + "." * 53,
        "$2x$04$" + "." * 53,
        "$2b$03$" + "." * 53,
        "$2b$32$" + "." * 53,
        "$2b$04$" + "!" * 53,
        "$2b$04$" + "." * 21 + "/" + "." * 31,
        "$2b$04$" + "." * 53 + "\n",
        "$2b$٠٤$" + "." * 53,
        "\ud800" * 60,
    ],
)
def test_what_is_no_bcrypt_hash_matches_nothing(hasher: PasswordHasher, other: object) -> None:
    assert not is_hash(other)
    assert not hasher.matches("secret12", other)


def test_the_work_for_nobody_matches_no_password(hasher: PasswordHasher) -> None:
    assert not hasher.matches("nobody", None)


def test_an_imported_hash_cannot_ask_for_more_than_a_second_of_work(hasher: PasswordHasher) -> None:
    started = time.monotonic()
    for cost in (MAX_COST + 1, 20, 31):
        assert not hasher.matches("secret12", f"$2b${cost}$" + "." * 53)
    assert time.monotonic() - started < 1


def test_the_salt_part_of_a_hash_is_its_first_29_characters() -> None:
    made = bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()
    assert salt_of(made) == made[:29]
    assert bcrypt.hashpw(b"x", made[:29].encode()).decode() == made
    assert salt_of("md5:abc") is None


def test_past_the_bound_work_is_refused_at_once_and_accepted_again_later() -> None:
    hasher = PasswordHasher(cost=4, workers=1, queue=2)
    slow = "$2b$10$" + "." * 53
    answers: list[bool] = []
    threads = [threading.Thread(target=lambda: answers.append(hasher.matches("x", slow))) for _ in range(3)]
    for thread in threads:
        thread.start()
    with pytest.raises(PasswordPoolFull) as refused:
        while any(thread.is_alive() for thread in threads):
            hasher.hash("secret12")
    assert refused.value.retry_after >= 1
    for thread in threads:
        thread.join()
    assert answers == [False] * 3
    assert hasher.matches("secret12", hasher.hash("secret12"))
    hasher.close()
