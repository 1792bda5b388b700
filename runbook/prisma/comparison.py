"""Where the application's schema and the database say different things, in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from runbook.prisma import types
from runbook.prisma.models import Declared, Model
from runbook.prisma.relations import Relation, relations
from runbook.prisma.tokens import Place
from runbook.schema import ForeignKey, Schema, Table


class Kind(StrEnum):
    """What differs. The first two are the same in both directions."""

    NOT_IN_DATABASE = "not in the database"
    NOT_IN_PRISMA = "not in schema.prisma"
    ACTION = "another action"
    TYPE = "another type"
    NULLABILITY = "another nullability"


@dataclass(frozen=True)
class Difference:
    """One difference: what each side says of ``subject``; ``place`` is in schema.prisma."""

    kind: Kind
    subject: str
    prisma: str
    database: str
    place: Place | None = None


def differences(declared: Declared, schema: Schema) -> tuple[Difference, ...]:
    """Everything that differs, grouped by kind, in the order of schema.prisma.

    ``schema`` is the whole database, or the schemas of it that the models are in.
    """
    found = [*_relations(declared, schema), *_keys(declared, schema)]
    for model in declared.models.values():
        found += _model(model, schema)
    order = list(Kind)
    return tuple(sorted(found, key=lambda one: order.index(one.kind)))


def _relations(declared: Declared, schema: Schema) -> Iterator[Difference]:
    for relation in relations(declared):
        subject = _subject(relation)
        keys = [key for key in schema.keys_like(relation.shape) if key.enforced]
        if not keys:
            missing = _absent(relation, schema) or "no foreign key"
            mode = "" if declared.has_keys else ' (relationMode "prisma" makes none)'
            yield Difference(
                Kind.NOT_IN_DATABASE, subject, relation.name, missing + mode, relation.place
            )
        for key in keys:
            yield from _actions(relation, key, subject)


def _absent(relation: Relation, schema: Schema) -> str:
    for name, columns in (
        (relation.child, relation.columns),
        (relation.parent, relation.references),
    ):
        table = schema.tables.get(name)
        if table is None:
            return f"no table {name}"
        for column in columns:
            if table.column(column) is None:
                return f"no column {column!r} in {name}"
    return ""


def _actions(relation: Relation, key: ForeignKey, subject: str) -> Iterator[Difference]:
    for word, wanted, said, real in (
        ("on delete", relation.on_delete, relation.delete_said, key.on_delete),
        ("on update", relation.on_update, relation.update_said, key.on_update),
    ):
        if wanted is not real:
            default = "" if said else " (Prisma's default)"
            yield Difference(
                Kind.ACTION,
                subject,
                f"{word} {wanted.value}{default}",
                f"{word} {real.value} ({key.name})",
                relation.place,
            )


def _keys(declared: Declared, schema: Schema) -> Iterator[Difference]:
    shapes = {relation.shape for relation in relations(declared)}
    tables = {model.table for model in declared.models.values()}
    for key in schema.foreign_keys:
        if key.shape in shapes:
            continue
        child, parent = ", ".join(key.columns), ", ".join(key.references)
        mapped = key.child in tables and key.parent in tables
        yield Difference(
            Kind.NOT_IN_PRISMA,
            f"{key.child}({child}) -> {key.parent}({parent})",
            "no relation" if mapped else "no model for one of the tables",
            key.name,
        )


def _subject(relation: Relation) -> str:
    child, parent = ", ".join(relation.columns), ", ".join(relation.references)
    return f"{relation.child}({child}) -> {relation.parent}({parent})"


def _model(model: Model, schema: Schema) -> Iterator[Difference]:
    table = schema.tables.get(model.table)
    what = "view" if model.is_view else "table"
    if table is None:
        near = schema.nearest(model.table)
        hint = f", the nearest is {near}" if near else ""
        yield Difference(
            Kind.NOT_IN_DATABASE, str(model.table), model.name, f"no {what}{hint}", model.place
        )
        return
    yield from _columns(model, table)
    for column in table.columns:
        if column.name not in model.by_column:
            yield Difference(
                Kind.NOT_IN_PRISMA,
                f"{model.table}.{column.name}",
                f"no field of {model.name}",
                column.type,
                model.place,
            )


def _columns(model: Model, table: Table) -> Iterator[Difference]:
    for field in model.columns:
        subject = f"{model.table}.{field.column}"
        column = table.column(field.column)
        if column is None:
            said = f"{model.name}.{field.field}"
            yield Difference(Kind.NOT_IN_DATABASE, subject, said, "no column", field.place)
            continue
        if types.bare(column.type) != types.bare(field.type):
            yield Difference(Kind.TYPE, subject, field.type, column.type, field.place)
        # a view's columns may always be NULL, and Prisma makes lists without NOT NULL
        if not (model.is_view or field.many) and column.not_null is field.optional:
            words = ("NULL allowed", "NOT NULL")
            yield Difference(
                Kind.NULLABILITY,
                subject,
                words[not field.optional],
                words[column.not_null],
                field.place,
            )
