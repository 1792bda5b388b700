"""Keeps secrets and rows out of what is written: error texts and connection strings."""

from __future__ import annotations

import re

_SECRETS = (
    re.compile(r"(?P<key>\b(?:password|passwd|sslpassword|pwd)\s*=\s*)(?:'(?:[^'\\]|\\.)*'|\S+)", re.I),
    re.compile(r"(?P<key>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s]*(?=@)", re.I),
)
_TOKEN = re.compile(r'(invalid percent-encoded token: ")[^"]*(")')
_KEY_DETAIL = re.compile(r"(Key \([^)]*\)=\().*?(\))(?= |$)", re.S)


def redact(text: str, known: tuple[str, ...] = ()) -> str:
    """``text`` without passwords, and without the values that ``known`` names.

    libpq and PostgreSQL echo both: a malformed URI prints the password, and a violated key
    prints the row's values in ``DETAIL``.
    """
    for pattern in _SECRETS:
        text = pattern.sub(lambda found: f"{found['key']}•••", text)
    text = _TOKEN.sub(r"\1•••\2", text)
    text = _KEY_DETAIL.sub(r"\1•••\2", text)
    for secret in known:
        if secret:
            text = text.replace(secret, "•••")
    return text
