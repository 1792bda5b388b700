"""What is read of a database before anything is looked for in it."""

from __future__ import annotations

from dataclasses import replace

import psycopg

from runbook import catalog, census, operators, session
from runbook.checks import Context
from runbook.environment import Environment
from runbook.errors import IncompleteError
from runbook.relationships import Relationship, Relationships
from runbook.session import Session
from runbook.settings import Settings


def look(settings: Settings, environment: Environment, reader: Session) -> Context:
    """Read the schema, the comparisons and the census, in the caller's transaction.

    Raises :class:`IncompleteError` when the catalog cannot be read: printing an index's definition
    waits for whoever holds the table exclusively.
    """
    relationships = settings.relationships()
    try:
        schema = catalog.read(reader, settings.project.schemas)
        census.resolve(relationships, schema, str(settings.project.relationships))
        comparisons = operators.read(reader, relationships.items)
    except psycopg.Error as error:
        raise IncompleteError(
            f"environment {environment.name!r}: the catalog cannot be read:"
            f" {session.reason(error)}",
            "somebody may be changing the schema: try again, or raise timeouts.lock",
        ) from None
    return Context(
        settings=settings,
        environment=environment,
        relationships=relationships,
        session=reader,
        schema=schema,
        comparisons=comparisons,
        census=census.take(relationships, schema, comparisons),
    )


def with_undeclared(context: Context) -> Context:
    """The context with the foreign keys that no relationship mentions: they can be broken too."""
    keys = census.undeclared(context.relationships, context.schema)
    if not keys:
        return context
    found = tuple(
        Relationship(
            child=key.child,
            columns=key.columns,
            parent=key.parent,
            references=key.references,
            on_delete=key.on_delete,
            why="a foreign key of the database that relationships.toml does not mention",
        )
        for key in keys
    )
    extra = Relationships(tuple({item.id: item for item in found}.values()))
    comparisons = operators.read(context.session, extra.items)
    return replace(
        context,
        relationships=replace(
            context.relationships, items=(*context.relationships.items, *extra.items)
        ),
        comparisons=(*context.comparisons, *comparisons),
        census=(*context.census, *census.take(extra, context.schema, comparisons)),
    )
