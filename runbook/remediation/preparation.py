"""Reads what a remedy needs, in the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from runbook import catalog, census, operators
from runbook.audit.target import Target
from runbook.errors import UsageError
from runbook.relationships import Relationships
from runbook.remediation import allowed, parents, surroundings
from runbook.remediation.document import Remediation
from runbook.remediation.remedy import Remedy, Strategy
from runbook.schema import TableName
from runbook.session import Session
from runbook.statistics import UNKNOWN


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line."""

    relationship: str
    strategy: Strategy
    to: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    from_table: str = ""
    from_file: Path | None = None
    minimum_age: timedelta | None = None
    without_key: str = ""

    def refuse(self) -> None:
        """Raise :class:`UsageError` where the options do not belong to the strategy."""
        sources = [self.from_table, self.from_file or ""]
        if self.strategy is Strategy.RESTORE and sum(map(bool, sources)) != 1:
            raise UsageError(
                "restore: expected either --from-table or --from-file",
                "name where the parents come back from",
            )
        if self.strategy is not Strategy.RESTORE and any(sources):
            raise UsageError(
                f"{self.strategy}: --from-table and --from-file belong to restore", "leave them out"
            )
        if (self.strategy is Strategy.REASSIGN) != bool(self.to):
            raise UsageError(
                "reassign: expected --to" if not self.to else f"{self.strategy}: --to is unknown",
                "--to is the key of the parent that reassign gives the rows",
            )


def remedy(session: Session, declared: Relationships, place: str, request: Request) -> Remedy:
    """Everything about the relationship that was asked for; a file of parents is loaded.

    ``place`` is the relationships file, for messages.
    """
    found = _known(session, declared, place, request)
    item, schema, strategy = found.relationship, found.schema, found.strategy
    known = [other for other in declared if not census.unresolved(Relationships((other,)), schema)]
    source, columns = _source(session, found, request)
    return replace(
        found,
        dependents=surroundings.dependents(session, item, strategy, schema, known),
        source=source,
        source_columns=columns,
        source_name=request.from_file.name if request.from_file else request.from_table,
        minimum_age=request.minimum_age,
        birth=_birth(Target(item, schema, found.comparisons, UNKNOWN)),
    )


def of_document(
    session: Session, declared: Relationships, place: str, document: Remediation
) -> Remedy:
    """The remedy of a remediation on record, to undo it."""
    request = Request(document.relationship, document.strategy, document.to, document.missing)
    return _known(session, declared, place, request)


def _known(session: Session, declared: Relationships, place: str, request: Request) -> Remedy:
    item = allowed.find(declared.items, request.relationship)
    schema = catalog.read(session)  # of all schemas: a key of any of them can reach the rows
    census.resolve(Relationships((item,)), schema, place)
    (comparisons,) = operators.read(session, (item,))
    if request.missing and len(request.missing) != len(item.columns):
        raise UsageError(
            f"--missing: expected {len(item.columns)} values, got {len(request.missing)}",
            f"one for each of {', '.join(item.columns)}",
        )
    subject = item.parent if request.strategy is Strategy.RESTORE else item.child
    return Remedy(
        item,
        schema,
        comparisons,
        request.strategy,
        key=surroundings.primary_key(session, subject),
        to=request.to,
        missing=request.missing,
        nulled=surroundings.nulled(session, item, schema),
    )


def _source(
    session: Session, found: Remedy, request: Request
) -> tuple[TableName | None, tuple[str, ...]]:
    item, parent = found.relationship, found.parent
    if request.from_file:
        rows = parents.read(request.from_file)
        return parents.LOADED, parents.load(session, item, parent, request.from_file, rows)
    if request.from_table:
        try:
            source = TableName.parse(request.from_table)
        except ValueError as error:
            raise UsageError(f"--from-table: {error}", "write it as schema.table") from None
        return source, parents.from_table(session, item, parent, source)
    return None, ()


def _birth(target: Target) -> str:
    """The column that says when a row was made, where it is a time and no number."""
    column = target.schema.tables[target.relationship.child].column(target.birth)
    timed = column is not None and column.type.startswith(("timestamp", "date"))
    return target.birth if timed else ""
