"""Keeps secrets and rows out of what is written: error texts, results, executed notebooks."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from runbook import credentials

MASK = "•••"

Model = TypeVar("Model", bound=BaseModel)

_KEYWORDS = r"(?:pg)?(?:ssl)?(?:password|passwd|pwd)"
_SECRETS = (
    re.compile(rf"(?P<key>\b{_KEYWORDS}\s*=\s*)(?:'(?:[^'\\]|\\.)*'|\S+)", re.IGNORECASE),
    re.compile(r"(?P<key>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s]*(?=@)", re.IGNORECASE),
    re.compile(
        r"(?P<key>-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----).*?"
        r"(?=-----END (?:[A-Z0-9]+ )*PRIVATE KEY-----|\Z)",
        re.DOTALL,
    ),
)
# libpq quotes the part of a connection string that it stumbles over. Both this and a row's values
# end at the last of their delimiters: the secret may hold one too. What is masked stays as it is.
_TOKENS = (
    re.compile(r'(invalid percent-encoded token: ")(?!•••").*(")', re.DOTALL),
    re.compile(
        r'(unexpected spaces found in ")(?!•••").*(", use percent-encoded spaces)', re.DOTALL
    ),
    re.compile(r'(missing "=" after ")(?!•••").*(" in connection info string)', re.DOTALL),
    re.compile(r'(invalid connection option ")(?!•••").*(")', re.DOTALL),
    re.compile(r"""(host(?: name)? ['"])\S*(@)"""),  # of a password with a bare @
    re.compile(r"(Key \([^\n]*?\)=\()(?!•••\)).*(\))", re.DOTALL),
    re.compile(r"([Ff]ailing row contains \()(?!•••\)).*(\))", re.DOTALL),
)


def redact(text: str, known: Sequence[str] | None = None) -> str:
    """``text`` without passwords, and without ``known`` values (None: all that are known).

    libpq and PostgreSQL echo both: a malformed URI prints the password, and a violated key or
    check prints the row's values in ``DETAIL``.
    """
    for pattern in _SECRETS:
        text = pattern.sub(lambda found: f"{found['key']}{MASK}", text)
    for pattern in _TOKENS:
        text = pattern.sub(rf"\1{MASK}\2", text)
    values = [secret.value for secret in credentials.known()] if known is None else known
    for value in values:
        for form in forms(value):
            text = text.replace(form, MASK)
    return text


@lru_cache(maxsize=1024)
def forms(value: str) -> tuple[str, ...]:
    """How a value may be written: as it is, and escaped for HTML, a URL, JSON or Python."""
    escaped = (
        html.escape(value),
        html.escape(value, quote=False),
        quote(value),
        quote(value, safe=""),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
    )
    return tuple(dict.fromkeys(form for form in (value, *escaped) if form))


def redact_values(tree: Any) -> Any:
    """A JSON value with every text in it redacted; the keys of objects stay."""
    return _redacted(tree, [secret.value for secret in credentials.known()])


def _redacted(tree: Any, known: Sequence[str]) -> Any:
    if isinstance(tree, str):
        return redact(tree, known)
    if isinstance(tree, dict):
        return {key: _redacted(value, known) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_redacted(value, known) for value in tree]
    return tree


def without_secrets(model: Model) -> Model:
    """The same document with every text in it redacted."""
    tree = model.model_dump(mode="json")
    clean = redact_values(tree)
    return model if clean == tree else type(model).model_validate_json(json.dumps(clean))


def exposures(text: str) -> Iterator[str]:
    """What ``text`` shows that is secret by its place: what :func:`redact` has not masked."""
    names = ("a password", "a password in a URL", "a private key")
    for name, pattern in zip(names, _SECRETS, strict=True):
        for found in pattern.finditer(text):
            if not found[0][len(found["key"]) :].startswith(MASK):
                yield name
                break
