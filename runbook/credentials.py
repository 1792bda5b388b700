"""The secrets that this process knows, so that none of them is written anywhere.

They come from environment variables (by their names, and by the connection strings in them), from
libpq's passfile and service file, and from the connections that were opened. Values shorter than
:data:`SHORTEST` and words that any text may hold cannot be told from other text, and are no part
of this; :mod:`runbook.redaction` knows them by their place alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

SHORTEST = 8  # characters
_LINE = 16  # characters of a line that counts alone, in a value of several lines such as a key

_NAMED = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|(?:^|_)(?:PASS|PWD|API_?KEY|KEY)(?:_|\d|$)",
    re.IGNORECASE,
)
_FOLDERS = ("PWD", "OLDPWD")
_WORDS = """
    changeit changeme development disabled enforced estimated excepted impossible localhost
    mismatched missing notebook password passwords postgres postgresql production required staging
    succeeded testing
"""
COMMON = frozenset([*_WORDS.split(), "could not look", "not enforced", "not looked", "not valid"])

# libpq's ways to write a password into a connection string. A bare @ or / in it moves the end
# about, so both of the possible ends are taken.
_WRITTEN = (
    re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s:/@]*:(?P<value>[^\s@]+)@", re.IGNORECASE),
    re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s:/@]*:(?P<value>\S+)@", re.IGNORECASE),
    re.compile(r"[?&](?:ssl)?password=(?P<value>[^&\s#]+)", re.IGNORECASE),
    re.compile(r"(?:ssl)?password\s*=\s*'(?P<value>(?:[^'\\]|\\.)*)'", re.IGNORECASE | re.DOTALL),
    re.compile(
        r"(?:ssl)?password\s*=\s*(?P<value>(?:[^\s\\']|\\.)(?:[^\s\\]|\\.)*)", re.IGNORECASE
    ),
)
_PASSFILE = re.compile(r"passfile\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s&]+))", re.IGNORECASE)
_FIELD = re.compile(r"((?:[^:\\]|\\.)*)(?::|$)")

_used: dict[str, str] = {}


@dataclass(frozen=True)
class Secret:
    """A value that must not be written; ``origin`` says where it is from and may be shown."""

    value: str
    origin: str


def known(environ: Mapping[str, str] | None = None) -> tuple[Secret, ...]:
    """Every secret of ``environ`` (None: this process's), its libpq files and its connections.

    The longest come first, so that none is cut by a shorter one that it holds.
    """
    variables = os.environ if environ is None else environ
    found: dict[str, str] = dict(_used)
    for value, origin in _everywhere(variables):
        for part in _parts(value):
            found.setdefault(part, origin)
    ordered = sorted(found.items(), key=lambda item: (-len(item[0]), item[0]))
    return tuple(Secret(value, origin) for value, origin in ordered)


def remember(connection: str, password: str = "") -> None:
    """Keep what a connection is opened with: the password in its string, passfile, or given."""
    given = [(password, "the password of a connection")] if password else []
    for value, origin in (*_of_text(connection, "a connection string"), *given):
        for part in _parts(value):
            _used.setdefault(part, origin)


def is_telling(value: str) -> bool:
    """Whether the value can be told from ordinary text wherever it stands."""
    return len(value) >= SHORTEST and value.lower() not in COMMON and len(set(value)) > 2


def _parts(value: str) -> Iterator[str]:
    """The value, and of several lines each that is long enough to tell."""
    if is_telling(value):
        yield value
    lines = value.split("\n")
    if len(lines) > 1:
        whole = (line.strip() for line in lines)
        yield from (line for line in whole if len(line) >= _LINE and not line.startswith("-----"))


def _everywhere(variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in variables.items():
        if _NAMED.search(name) and name not in _FOLDERS and not _is_path(value):
            yield value, f"the value of {name!r}"
        yield from _of_text(value, repr(name))
    home = Path(variables.get("HOME", "/nonexistent"))
    yield from _of_passfile(variables.get("PGPASSFILE") or home / ".pgpass")
    folder = variables.get("PGSYSCONFDIR")
    for path in (
        variables.get("PGSERVICEFILE") or home / ".pg_service.conf",
        *((Path(folder) / "pg_service.conf",) if folder else ()),
    ):
        for line in _text(path).splitlines():
            yield from _of_text(line, "the service file")


def _of_text(text: str, place: str) -> Iterator[tuple[str, str]]:
    """Passwords that a connection string holds, as written and as meant, and its passfile's."""
    if "://" not in text and "pass" not in text.lower():
        return
    for pattern in _WRITTEN:
        for found in pattern.finditer(text):
            written = found["value"]
            for meant in (written, unquote(written), re.sub(r"\\(.)", r"\1", written)):
                yield meant, f"the password in {place}"
    for found in _PASSFILE.finditer(text):
        yield from _of_passfile(unquote(re.sub(r"\\(.)", r"\1", found[1] or found[2] or "")))


def _of_passfile(path: Path | str) -> Iterator[tuple[str, str]]:
    """The passwords of a libpq password file, lines of host:port:database:user:password."""
    for line in _text(path).splitlines():
        fields = [found[1] for found in _FIELD.finditer(line)]
        if len(fields) >= 5 and not line.startswith("#"):
            yield re.sub(r"\\(.)", r"\1", fields[4]), "a password of the passfile"


def _text(path: Path | str) -> str:
    """The text of a file of libpq's; empty where libpq cannot read it either."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except (OSError, ValueError):
        return ""


def _is_path(value: str) -> bool:
    """A file's place is no secret, only what is in it."""
    with suppress(OSError, ValueError):  # too long for a path, or a NUL in it
        return "\n" not in value and value[:1] in "/~." and Path(value).expanduser().exists()
    return False
