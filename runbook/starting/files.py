"""The files of a new project, and how they get into a folder without overwriting anything."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tomlkit

from runbook import __version__
from runbook.discovery.proposal import Found
from runbook.errors import UsageError
from runbook.schema import Schema
from runbook.starting import declaring

TEMPLATE = Path(__file__).parent / "template"
PACKAGE = Path(__file__).parent.parent
# the wheel carries a copy of docs/assets, a checkout has the folder itself
ASSETS = (PACKAGE / "site" / "assets", PACKAGE.parent / "docs" / "assets")
WORKFLOW = ".github/workflows/runbook.yml"
IGNORED = ".gitignore"  # written where there is none; a repository mostly has one
# what the site or the facts call something else by
RESERVED = ("bench", "fleet", "history", "ledger", "limits", "project", "relationships", "schema")

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_PLAIN = re.compile(r"[\w .-]{1,80}")


@dataclass(frozen=True)
class Start:
    """What a person decides at the start; ``schemas`` None: all of them."""

    environment: str
    title: str
    schemas: tuple[str, ...] | None = None
    superuser: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.environment) or self.environment in RESERVED:
            raise UsageError(
                f"not a name for an environment: {self.environment!r}, expected small letters,"
                f" digits, _ and -, and none of: {', '.join(RESERVED)}",
                "name it as in: runbook init --name staging",
            )
        if not _PLAIN.fullmatch(self.title):
            raise UsageError(
                f"not a title: {self.title!r}, expected letters, digits, spaces, dots and dashes",
                "name it as in: runbook init --title 'Shop'",
            )

    @property
    def variable(self) -> str:
        """The environment variable that holds the connection string."""
        return f"{self.environment.upper().replace('-', '_')}_DATABASE_URL"

    def filled(self, text: str) -> str:
        """A template's text with what was decided in it."""
        head = self.environment.upper().replace("-", "_")
        schemas = tomlkit.item(list(self.schemas)).as_string() if self.schemas else ""
        values = {
            "TITLE": json.dumps(self.title, ensure_ascii=False),  # also right in TOML and YAML
            "ENVIRONMENT": self.environment,
            "HEADING": self.environment.capitalize(),
            "VARIABLE": self.variable,
            "OWNER_VARIABLE": f"{head}_OWNER_URL",
            "SCHEMAS": f"schemas = {schemas}\n" if schemas else "",
            "SUPERUSER": "superuser = true\n" if self.superuser else "",
            "VERSION": __version__,
        }
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        return text


def plain_title(database: str) -> str:
    """A database's name as the project's title, where it can be shown as it is."""
    return database if _PLAIN.fullmatch(database) else "Database"


def names() -> tuple[str, ...]:
    """The files that are written, relative to the project's folder, in order."""
    return tuple(sorted({*_templates(), "relationships.toml", *_assets()} - {IGNORED}))


def content(start: Start, schema: Schema, found: Found) -> Mapping[str, bytes]:
    """The content of every file by its name; :data:`IGNORED` among them."""
    written = {name: path.read_bytes() for name, path in _assets().items()}
    for name, path in _templates().items():
        written[name] = start.filled(path.read_text(encoding="utf-8")).encode()
    written["relationships.toml"] = declaring.text(schema, found).encode()
    return dict(sorted(written.items()))


def _templates() -> dict[str, Path]:
    places = {"gitignore": IGNORED, "runbook.yml": WORKFLOW}
    found = {}
    for path in sorted(TEMPLATE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            name = path.relative_to(TEMPLATE).as_posix()
            found[places.get(name, name)] = path
    return found


def _assets() -> dict[str, Path]:
    folder = next(place for place in ASSETS if place.is_dir())
    return {f"docs/assets/{path.name}": path for path in sorted(folder.iterdir())}


def existing(folder: Path) -> tuple[str, ...]:
    """Which of our files are in ``folder`` already, or cannot be because a file is in the way."""
    found = []
    for name in names():
        path = folder / name
        above = [folder.joinpath(*path.relative_to(folder).parts[:n]) for n in range(_depth(name))]
        blocked = [parent for parent in above if parent.exists() and not parent.is_dir()]
        if blocked:
            found.append(str(blocked[0].relative_to(folder)))
        elif path.exists() or path.is_symlink():
            found.append(name)
    return tuple(dict.fromkeys(found))


def _depth(name: str) -> int:
    return len(Path(name).parts)


def write(folder: Path, data: Mapping[str, bytes]) -> tuple[str, ...]:
    """Write the files, and return their names; one that has come into being is not overwritten.

    Raises OSError, after what was written has been removed again. An existing
    :data:`IGNORED` is left alone and not among the names.
    """
    written: list[Path] = []
    try:
        for name, text in data.items():
            path = folder / name
            if name == IGNORED and path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                written.append(path)
                file.write(text)
    except OSError:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return tuple(path.relative_to(folder).as_posix() for path in written)


def unignored(folder: Path, data: Mapping[str, bytes]) -> tuple[str, ...]:
    """The lines of our :data:`IGNORED` that the one of ``folder`` does not have."""
    path = folder / IGNORED
    if not path.exists():
        return ()
    have = {line.strip() for line in path.read_text(encoding="utf-8").splitlines()}
    wanted = data[IGNORED].decode().splitlines()
    return tuple(line for line in wanted if line.startswith("/") and line not in have)
