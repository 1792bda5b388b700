"""Models, views and enums by the names and types that they have in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qs, urlsplit

from runbook.errors import FileError
from runbook.prisma import types
from runbook.prisma.syntax import Attribute, Block, Call, Field, Value
from runbook.prisma.tokens import Place, fault
from runbook.schema import TableName

PROVIDERS = ("postgresql", "postgres")
MODES = ("foreignKeys", "prisma")


@dataclass(frozen=True)
class ColumnField:
    """A field that is a column; ``type`` as ``format_type`` prints it, without a schema."""

    field: str
    column: str
    type: str
    optional: bool
    many: bool
    place: Place


@dataclass(frozen=True)
class Model:
    """A model or view: its relation, its columns, and the fields of its id (none: empty)."""

    name: str
    table: TableName
    is_view: bool
    columns: tuple[ColumnField, ...]
    id: tuple[str, ...]
    references: tuple[Field, ...]
    place: Place

    @cached_property
    def by_field(self) -> Mapping[str, ColumnField]:
        return {column.field: column for column in self.columns}

    @cached_property
    def by_column(self) -> Mapping[str, ColumnField]:
        return {column.column: column for column in self.columns}


@dataclass(frozen=True)
class Declared:
    """All that a schema.prisma declares; ``has_keys`` is false under ``relationMode = "prisma"``.

    There Prisma keeps the relations in the application, and makes no foreign key.
    """

    models: Mapping[str, Model]
    has_keys: bool = True


def resolve(blocks: Iterable[Block], schema: str) -> Declared:
    """``blocks`` of all files together; what names no schema is in ``schema``.

    Raises :class:`FileError` with line and column for a name that is not declared.
    """
    blocks = tuple(blocks)
    _once(blocks)
    sources = [block for block in blocks if block.kind == "datasource"]
    for source in sources:
        _postgresql(source)
    default = next((found for source in sources if (found := _schema_of(source))), schema)
    enums = {block.name: _mapped(block) for block in blocks if block.kind == "enum"}
    composites = {block.name for block in blocks if block.kind == "type"}
    relations = {block.name for block in blocks if block.kind in ("model", "view")}
    models = {}
    for block in blocks:
        if block.kind not in ("model", "view"):
            continue
        columns, references = [], []
        for field in block.fields:
            if field.type in relations:
                references.append(field)
            elif field.type in types.SCALARS or field.type in enums or field.unsupported:
                columns.append(_column(field, enums.get(field.type, "")))
            elif field.type not in composites:
                raise fault(
                    field.place,
                    f"{block.name}.{field.name}: no type {field.type!r} is declared",
                    "declare the model or the enum, or correct the name",
                )
        models[block.name] = Model(
            name=block.name,
            table=TableName(_schema(block, default), _mapped(block)),
            is_view=block.kind == "view",
            columns=tuple(columns),
            id=_id(block),
            references=tuple(references),
            place=block.place,
        )
    return Declared(models, all(_has_keys(source) for source in sources))


def _once(blocks: Iterable[Block]) -> None:
    seen: dict[str, Place] = {}
    for block in blocks:
        if block.kind in ("datasource", "generator"):
            continue
        if block.name in seen:
            raise fault(
                block.place,
                f"{block.name!r} is already declared at {seen[block.name]}",
                "rename or remove one of the two",
            )
        seen[block.name] = block.place
        names: set[str] = set()
        for field in block.fields:
            if field.name in names:
                raise fault(
                    field.place,
                    f"{block.name}.{field.name} is declared twice",
                    "rename or remove one of the two",
                )
            names.add(field.name)


def _postgresql(source: Block) -> None:
    provider = source.property("provider")
    if provider not in PROVIDERS:
        raise _property_fault(source, "provider", f"expected 'postgresql', got {provider!r}")


def _has_keys(source: Block) -> bool:
    name = "relationMode" if source.property("relationMode") else "referentialIntegrity"
    mode = source.property(name) or MODES[0]
    if mode not in MODES:
        raise _property_fault(source, name, f"expected 'foreignKeys' or 'prisma', got {mode!r}")
    return mode != "prisma"


def _property_fault(source: Block, name: str, message: str) -> FileError:
    place = next((one.place for one in source.properties if one.name == name), source.place)
    return fault(place, f"{name}: {message}", "give the schema of a PostgreSQL database")


def _schema_of(source: Block) -> str:
    """The schema that a connection address in the file itself names; or empty."""
    url = source.property("url")
    return parse_qs(urlsplit(url).query).get("schema", [""])[0] if isinstance(url, str) else ""


def text_of(value: Value | None) -> str:
    """A value that has to be a text or a name; empty for another."""
    return value if isinstance(value, str) else value.name if isinstance(value, Call) else ""


def names_of(value: Value | None) -> tuple[str, ...]:
    """The names in ``[a, b(sort: Desc)]``; a single name is a list of one."""
    values = value if isinstance(value, tuple) else () if value is None else (value,)
    return tuple(text_of(one) for one in values)


def _mapped(block: Block) -> str:
    return _text(block.attribute("map"), "name") or block.name


def _schema(block: Block, default: str) -> str:
    return _text(block.attribute("schema"), "name") or default


def _text(attribute: Attribute | None, name: str) -> str:
    return text_of(attribute.argument(name, 0)) if attribute else ""


def _column(field: Field, enum: str) -> ColumnField:
    return ColumnField(
        field=field.name,
        column=_text(field.attribute("map"), "name") or field.name,
        type=types.of_field(field, enum),
        optional=field.optional,
        many=field.many,
        place=field.place,
    )


def _id(block: Block) -> tuple[str, ...]:
    of_block = block.attribute("id")
    if of_block is not None:
        return names_of(of_block.argument("fields", 0))
    return tuple(field.name for field in block.fields if field.attribute("id"))
