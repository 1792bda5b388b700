"""Keeps secrets and rows out of what is written: error texts and connection strings."""

from __future__ import annotations

import re

_KEYWORDS = r"(?:pg)?(?:ssl)?(?:password|passwd|pwd)"
_SECRETS = (
    re.compile(rf"(?P<key>\b{_KEYWORDS}\s*=\s*)(?:'(?:[^'\\]|\\.)*'|\S+)", re.IGNORECASE),
    re.compile(r"(?P<key>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s]*(?=@)", re.IGNORECASE),
)
# libpq quotes the part of a connection string that it stumbles over. Both this and a row's values
# end at the last of their delimiters: the secret may hold one too.
_TOKENS = (
    re.compile(r'(invalid percent-encoded token: ").*(")', re.DOTALL),
    re.compile(r'(unexpected spaces found in ").*(", use percent-encoded spaces)', re.DOTALL),
    re.compile(r'(missing "=" after ").*(" in connection info string)', re.DOTALL),
    re.compile(r'(invalid connection option ").*(")', re.DOTALL),
    re.compile(r"""(host(?: name)? ['"])\S*(@)"""),  # of a password with a bare @
    re.compile(r"(Key \(.*?\)=\().*(\))", re.DOTALL),
    re.compile(r"([Ff]ailing row contains \().*(\))", re.DOTALL),
)


def redact(text: str, known: tuple[str, ...] = ()) -> str:
    """``text`` without passwords, and without the values that ``known`` names.

    libpq and PostgreSQL echo both: a malformed URI prints the password, and a violated key or
    check prints the row's values in ``DETAIL``.
    """
    for pattern in _SECRETS:
        text = pattern.sub(lambda found: f"{found['key']}•••", text)
    for pattern in _TOKENS:
        text = pattern.sub(r"\1•••\2", text)
    for secret in known:
        if secret:
            text = text.replace(secret, "•••")
    return text
