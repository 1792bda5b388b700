"""Reference tables that are generated from the program itself: settings, relationships, counts."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from runbook import markup
from runbook.errors import UsageError
from runbook.facts import Facts
from runbook.settings import Settings


def render(name: str, settings: Settings, facts: Facts) -> str:
    """The reference of that name as Markdown and HTML."""
    kinds = {
        "settings": lambda: model(Settings),
        "relationships": lambda: relationships(settings),
        "artefacts": lambda: artefacts(facts),
    }
    if name not in kinds:
        raise UsageError(f"no reference {name!r}", f"choose one of: {', '.join(kinds)}")
    return kinds[name]()


def model(kind: type[BaseModel]) -> str:
    """The keys of runbook.toml, section by section, from the models that read it."""
    definitions: dict[str, Any] = kind.model_json_schema()
    parts = []
    for section in (definitions, *definitions["$defs"].values()):
        if "properties" not in section:
            continue
        rows = [
            (
                name,
                _type(entry),
                "yes" if name in section.get("required", []) else "",
                str(entry.get("default", "")),
            )
            for name, entry in section["properties"].items()
            if name != "folder"
        ]
        about = str(section.get("description", "")).replace("``", "`")
        title = section["title"]
        parts.append(f"## {markup.text(title)}\n\n{about}")
        parts.append(markup.table(("key", "type", "required", "default"), rows, title))
    return "\n\n".join(parts)


def _type(entry: dict[str, Any]) -> str:
    if "$ref" in entry:
        return "section"
    if "anyOf" in entry:
        return " or ".join(_type(option) for option in entry["anyOf"])
    if entry.get("type") == "array":
        return f"list of {_type(entry.get('items', {}))}"
    if entry.get("format") == "duration":
        return "duration"
    return str(entry.get("type", "any"))


def relationships(settings: Settings) -> str:
    """Every relationship with its decision and the reason for it."""
    rows = [
        (
            item.label,
            item.target,
            item.on_delete.value,
            item.decided_by,
            item.priority.value,
            item.alert.value,
            item.group,
            item.why,
        )
        for item in settings.relationships()
    ]
    columns = (
        "relationship",
        "refers to",
        "on delete",
        "decided by",
        "priority",
        "alert",
        "group",
        "why",
    )
    return markup.table(columns, rows, "Relationships")


def artefacts(facts: Facts) -> str:
    """Everything that this repository counts about itself."""
    rows = [
        (fact.name.removeprefix("project."), fact.value)
        for fact in facts
        if fact.name.startswith("project.")
    ]
    return markup.table(("counted", "in this repository"), rows, "Artefacts")
