"""The relations that models declare, as the foreign keys that Prisma would make of them.

Prisma's own rules: without onDelete a key is RESTRICT where any of its columns is required, else
SET NULL; without onUpdate it is CASCADE; two lists without ``fields`` are a table of pairs,
``_NAME`` with columns A and B, whose keys cascade.
https://www.prisma.io/docs/orm/prisma-schema/data-model/relations/referential-actions
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runbook.errors import FileError
from runbook.prisma.models import ColumnField, Declared, Model, names_of, text_of
from runbook.prisma.syntax import Attribute, Field
from runbook.prisma.tokens import Place, fault
from runbook.relationships import Relationship
from runbook.schema import Action, Shape, TableName

ACTIONS = {
    "Cascade": Action.CASCADE,
    "NoAction": Action.NO_ACTION,
    "Restrict": Action.RESTRICT,
    "SetDefault": Action.SET_DEFAULT,
    "SetNull": Action.SET_NULL,
}
LONGEST_NAME = 63  # bytes of a table's name in PostgreSQL


@dataclass(frozen=True)
class Relation:
    """A relation as a key; ``name`` is the field that declares it, as ``Post.author``.

    ``said`` is true where the schema spells the action out, and false where it is the default.
    """

    name: str
    child: TableName
    columns: tuple[str, ...]
    parent: TableName
    references: tuple[str, ...]
    on_delete: Action
    on_update: Action
    delete_said: bool
    update_said: bool
    place: Place

    @property
    def shape(self) -> Shape:
        return self.child, self.parent, frozenset(zip(self.columns, self.references, strict=True))

    @property
    def relationship(self) -> Relationship:
        """What should hold. An ``on_update`` that nobody wrote is nobody's decision."""
        chosen = "" if self.delete_said else " by Prisma's default"
        return Relationship(
            self.child,
            self.columns,
            self.parent,
            self.references,
            self.on_delete,
            why=f"{self.name} in schema.prisma; on delete {self.on_delete.value}{chosen}",
            on_update=self.on_update if self.update_said else None,
        )


def relationships(declared: Declared) -> tuple[Relationship, ...]:
    """What should hold according to the application, each pair of columns once."""
    found = {relation.shape: relation.relationship for relation in reversed(relations(declared))}
    return tuple(reversed(found.values()))


def relations(declared: Declared) -> tuple[Relation, ...]:
    """Every relation between two tables, in the order of the file; one with a view has no key."""
    return tuple(_relations(declared))


def _relations(declared: Declared) -> Iterator[Relation]:
    done: set[tuple[str, str, str]] = set()
    for model in declared.models.values():
        for field in model.references:
            parent = declared.models[field.type]
            attribute = field.attribute("relation")
            if attribute is not None and attribute.argument("fields") is not None:
                relation = _of_fields(model, field, attribute, parent)
                if not model.is_view and not parent.is_view:
                    yield relation
            elif field.many and not model.is_view and not parent.is_view:
                pair = _pair(model, field, parent)
                first, second = sorted((model, parent), key=lambda one: one.name)
                key = (pair, first.name, second.name)
                if key not in done and _is_mutual(model, field, parent):
                    done.add(key)
                    yield from _of_lists(model, field, first, second)


def _of_fields(model: Model, field: Field, attribute: Attribute, parent: Model) -> Relation:
    names = names_of(attribute.argument("fields"))
    targets = names_of(attribute.argument("references")) or parent.id
    where = f"{model.name}.{field.name}"
    if not names or len(names) != len(targets):
        raise fault(
            attribute.place,
            f"{where}: {len(names)} fields refer to {len(targets)} references,"
            " expected the same number",
            "write @relation(fields: [a, b], references: [x, y])",
        )
    own = [_known(model, name, attribute, where) for name in names]
    theirs = [_known(parent, name, attribute, where) for name in targets]
    required = any(not column.optional for column in own)
    default = Action.RESTRICT if required or not field.optional else Action.SET_NULL
    on_delete = _action(attribute, "onDelete", where)
    on_update = _action(attribute, "onUpdate", where)
    return Relation(
        name=where,
        child=model.table,
        columns=tuple(column.column for column in own),
        parent=parent.table,
        references=tuple(column.column for column in theirs),
        on_delete=on_delete or default,
        on_update=on_update or Action.CASCADE,
        delete_said=on_delete is not None,
        update_said=on_update is not None,
        place=field.place,
    )


def _known(model: Model, name: str, attribute: Attribute, where: str) -> ColumnField:
    if name not in model.by_field:
        raise _unknown(attribute, f"{where}: {model.name} has no field {name!r} that is a column")
    return model.by_field[name]


def _unknown(attribute: Attribute, message: str) -> FileError:
    return fault(attribute.place, message, "correct the name in @relation")


def _action(attribute: Attribute, name: str, where: str) -> Action | None:
    value = attribute.argument(name)
    if value is None:
        return None
    action = ACTIONS.get(text_of(value))
    if action is None:
        raise fault(
            attribute.place,
            f"{where}: {name}: no action {text_of(value)!r}",
            f"one of: {', '.join(ACTIONS)}",
        )
    return action


def _said_name(field: Field) -> str:
    attribute = field.attribute("relation")
    return text_of(attribute.argument("name", 0)) if attribute else ""


def _pair(model: Model, field: Field, parent: Model) -> str:
    """The name of a relation: as said, or both models in the order of the alphabet."""
    return _said_name(field) or "To".join(sorted((model.name, parent.name)))


def _is_mutual(model: Model, field: Field, parent: Model) -> bool:
    """Whether the other model has a list back, so that neither side holds a column."""
    return any(
        other.type == model.name
        and other.many
        and (model is not parent or other.name != field.name)
        and _pair(parent, other, model) == _pair(model, field, parent)
        for other in parent.references
    )


def _of_lists(model: Model, field: Field, first: Model, second: Model) -> Iterator[Relation]:
    """The two keys of a table of pairs; it is in the schema of the first model."""
    where = f"{model.name}.{field.name}"
    name = f"_{_pair(model, field, second if model is first else first)}"
    name = name.encode()[:LONGEST_NAME].decode(errors="ignore")
    for column, parent in (("A", first), ("B", second)):
        if len(parent.id) != 1:
            raise fault(
                field.place,
                f"{where}: {parent.name} has no id of a single field, expected one",
                "name the table of pairs as a model of its own",
            )
        yield Relation(
            name=where,
            child=TableName(first.table.schema, name),
            columns=(column,),
            parent=parent.table,
            references=(parent.by_field[parent.id[0]].column,),
            on_delete=Action.CASCADE,
            on_update=Action.CASCADE,
            delete_said=False,
            update_said=False,
            place=field.place,
        )
