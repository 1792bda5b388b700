"""PostgreSQL's names of Prisma's types, as ``format_type`` prints them.

https://www.prisma.io/docs/orm/overview/databases/postgresql#type-mappings
"""

from __future__ import annotations

import re

from runbook.prisma.syntax import Attribute, Field
from runbook.prisma.tokens import fault

SCALARS = {
    "String": "text",
    "Boolean": "boolean",
    "Int": "integer",
    "BigInt": "bigint",
    "Float": "double precision",
    "Decimal": "numeric(65,30)",
    "DateTime": "timestamp(3) without time zone",
    "Json": "jsonb",
    "Bytes": "bytea",
}
_NATIVE = {
    "Bit": "bit",
    "Boolean": "boolean",
    "ByteA": "bytea",
    "Char": "character",
    "Citext": "citext",
    "Date": "date",
    "Decimal": "numeric",
    "DoublePrecision": "double precision",
    "Inet": "inet",
    "Integer": "integer",
    "BigInt": "bigint",
    "Json": "json",
    "JsonB": "jsonb",
    "Money": "money",
    "Oid": "oid",
    "Real": "real",
    "SmallInt": "smallint",
    "Text": "text",
    "Uuid": "uuid",
    "VarBit": "bit varying",
    "VarChar": "character varying",
    "Xml": "xml",
}
_TIMES = {
    "Time": ("time", "without"),
    "Timetz": ("time", "with"),
    "Timestamp": ("timestamp", "without"),
    "Timestamptz": ("timestamp", "with"),
}
_QUALIFIED = re.compile(r'(?:"(?:[^"]|"")+"|[\w$]+)\.(.+)', re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"]|"")+)"(.*)', re.DOTALL)


def of_field(field: Field, enum: str) -> str:
    """The type of the field's column; ``enum`` is the database's name where it is of one."""
    native = next((one for one in field.attributes if "." in one.name), None)
    if field.unsupported:
        name = field.unsupported
    elif native is not None:
        name = _of_native(native)
    else:
        name = enum or SCALARS[field.type]
    return f"{name}[]" if field.many else name


def _of_native(attribute: Attribute) -> str:
    """The type that ``@db.VarChar(80)`` asks for; one length or precision and scale."""
    kind = attribute.name.rpartition(".")[2]
    sizes = ",".join(str(argument.value) for argument in attribute.arguments)
    size = f"({sizes})" if sizes else ""
    if kind in _TIMES:
        name, zone = _TIMES[kind]
        return f"{name}{size} {zone} time zone"
    if kind not in _NATIVE:
        raise fault(
            attribute.place,
            f"no type {attribute.name!r} of PostgreSQL",
            f"one of: {', '.join(sorted({*_NATIVE, *_TIMES}))}",
        )
    if kind in ("Char", "Bit") and not size:
        size = "(1)"
    if kind == "Decimal":
        size = size or "(65,30)"
        size = size.replace(")", ",0)") if "," not in size else size
    return f"{_NATIVE[kind]}{size}"


def bare(type_: str) -> str:
    """A type of the database without its schema and quotes, as Prisma would name it."""
    qualified = _QUALIFIED.fullmatch(type_)
    name = qualified[1] if qualified else type_
    quoted = _QUOTED.fullmatch(name)
    return quoted[1].replace('""', '"') + quoted[2] if quoted else name
