"""Email addresses exactly as the legacy server took and stored them: validator.js `isEmail` and
`normalizeEmail`.

A user whose address is folded differently here cannot log in, so these are the library's rules with its
default options, not better ones. Source: validator.js 13 (src/lib/isEmail.js, isFQDN.js, normalizeEmail.js);
the recorded vectors in tests/data/contract/email_vectors.json hold us to it.
"""

import re

from service_kit.javascript import WHITESPACE, lower, utf8_length, utf16_length

_MAX_ADDRESS = 254  # UTF-16 units
_MAX_LOCAL_BYTES = 64
_MAX_DOMAIN_BYTES = 254
_MAX_LABEL = 63  # UTF-16 units

_WIDE = "\u00a1-\ud7ff\uf900-\ufdcf\ufdf0-\uffef"
_ATOM = re.compile(rf"[A-Za-z0-9!#$%&'*+\-/=?^_`{{|}}~{_WIDE}]+")
_QUOTED = re.compile(
    rf"(?:[{WHITESPACE}\x01-\x08\x0b\x0c\x0e-\x1f\x7f\x21\x23-\x5b\x5d-\x7e\u00a0{_WIDE}]"
    rf"|\\[\x01-\x09\x0b-\x7f\u00a0{_WIDE}])*"
)
_TOP_LEVEL = re.compile(
    "[A-Za-z\u00a1-\u00a8\u00aa-\ud7ff\uf900-\ufdcf\ufdf0-\uffef]{2,}|[Xx][Nn][A-Za-z0-9-]{2,}"
)
_LABEL = re.compile("[A-Za-z0-9\u00a1-\U0010ffff-]+")
_FULL_WIDTH = re.compile("[\uff01-\uff5e]")
_SPACE = re.compile(f"[{WHITESPACE}]")

_GMAIL = frozenset({"gmail.com", "googlemail.com"})
_ICLOUD = frozenset({"icloud.com", "me.com"})


def _domains(name: str, endings: str) -> frozenset[str]:
    return frozenset(f"{name}.{ending}" for ending in endings.split())


_HOTMAIL_AND_OUTLOOK = "at be cl co.il co.nz co.th com com.ar com.au com.br com.gr com.pe com.tr com.vn cz de"
_HOTMAIL_AND_OUTLOOK += " dk es fr hu id ie in it jp kr lv my ph pt sa sg sk"
_OUTLOOK = (
    _domains("hotmail", f"{_HOTMAIL_AND_OUTLOOK} ca co.uk com.mx")
    | _domains("outlook", _HOTMAIL_AND_OUTLOOK)
    | _domains("live", "be co.uk com com.ar com.mx de es eu fr it nl")
    | {"msn.com", "passport.com"}
)
_YAHOO = _domains("yahoo", "ca co.uk com de fr in it") | {"rocketmail.com", "ymail.com"}
_YANDEX = _domains("yandex", "ru ua kz com by") | {"ya.ru"}


def is_email(text: str) -> bool:
    """Whether validator.js takes `text` for an address: any Unicode local part, a domain with a top level, no
    IP.
    """
    local, _, domain = text.rpartition("@")
    if utf16_length(text) > _MAX_ADDRESS:
        return False
    if utf8_length(local) > _MAX_LOCAL_BYTES or utf8_length(domain) > _MAX_DOMAIN_BYTES:
        return False
    return _is_domain(domain) and _is_local(local)


def normalize(text: str) -> str | None:
    """The form under which an address is stored and looked up, or None when a provider's folding leaves
    nothing.
    """
    local, _, domain = text.rpartition("@")
    domain = lower(domain)
    if domain in _GMAIL:
        local = _without_single_dots(local.partition("+")[0])
        domain = "gmail.com"
    elif domain in _ICLOUD or domain in _OUTLOOK:
        local = local.partition("+")[0]
    elif domain in _YAHOO:
        local = local.rpartition("-")[0] if "-" in local else local
    elif domain in _YANDEX:
        return f"{lower(local)}@yandex.ru"
    else:
        return f"{lower(local)}@{domain}"
    return f"{lower(local)}@{domain}" if local else None


def _without_single_dots(local: str) -> str:
    return re.sub(r"\.+", lambda dots: "" if len(dots[0]) == 1 else dots[0], local)


def _is_local(local: str) -> bool:
    if local.startswith('"') and local.endswith('"'):
        return _QUOTED.fullmatch(local[1:-1]) is not None
    return all(_ATOM.fullmatch(atom) for atom in local.split("."))


def _is_domain(domain: str) -> bool:
    labels = domain.split(".")
    if len(labels) < 2 or not _TOP_LEVEL.fullmatch(labels[-1]) or _SPACE.search(labels[-1]):
        return False
    return all(map(_is_label, labels))


def _is_label(label: str) -> bool:
    if utf16_length(label) > _MAX_LABEL or not _LABEL.fullmatch(label):
        return False
    return not _FULL_WIDTH.search(label) and not label.startswith("-") and not label.endswith("-")
