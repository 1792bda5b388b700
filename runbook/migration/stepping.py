"""The steps of one relationship, each with its locks, its estimated time and its undo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runbook.findings import Audit, AuditState
from runbook.migration import ddl, estimates, indexes
from runbook.migration.plan import PlannedKey, PlanStep, StepKind, TableLock
from runbook.migration.presuppositions import takes_no_not_valid
from runbook.migration.surroundings import Surroundings
from runbook.relationships import Relationship
from runbook.schema import ForeignKey, Schema, Table, TableName

ROW_SHARE, AE = "ROW SHARE", "ACCESS EXCLUSIVE"
SUE, SHARE, SRE = "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE"
WRITERS = "transactions that write to these tables, for a moment"
READERS = "all transactions that use these tables, readers too, for a moment"
UPKEEP = "VACUUM, ANALYZE and changes of these tables; neither readers nor writers"


@dataclass
class Steps:
    """``index_name`` gives a name to an index on these columns of a table.

    It is free, or one of the names given last: of invalid indexes that may be dropped for it.
    """

    schema: Schema
    around: Surroundings
    audits: Mapping[str, Audit]
    index_name: Callable[[TableName, Sequence[str], Sequence[str]], str]
    _indexed: set[tuple[TableName, frozenset[str]]] = field(default_factory=set)

    def of(self, item: Relationship, key: PlannedKey, counting: str) -> Iterator[PlanStep]:
        """The steps in their order; ``counting`` is the statement that counts orphan rows."""
        one = _One(self, item, key)
        yield from one.index()
        if not key.declared:
            yield from one.add()
        if not key.validated:
            yield from one.remediate(counting)
            yield from one.validate()
        for name in key.replaces:
            yield one.drop(name)
        yield one.prove(counting)

    def indexed(self, child: Table, columns: tuple[str, ...]) -> bool:
        """Whether an index serves, or an earlier step makes it; from now on one does."""
        wanted = (child.name, frozenset(columns))
        before = wanted in self._indexed or child.index_leading_with(columns) is not None
        self._indexed.add(wanted)
        return before


class _One:
    """The steps of one relationship."""

    def __init__(self, steps: Steps, item: Relationship, key: PlannedKey) -> None:
        self._steps, self._item, self._key = steps, item, key
        self._child = steps.schema.tables[item.child]
        self._parent = steps.schema.tables[item.parent]
        # until 18 a partitioned table takes no NOT VALID: each partition gets the key by itself
        self._old = takes_no_not_valid(self._child, steps.schema.server_version)
        self._by_partition = self._old and not key.declared
        self._heirs = self._child.has_inheritance_children
        self._audit = steps.audits.get(item.id)

    def index(self) -> Iterator[PlanStep]:
        if self._steps.indexed(self._child, self._item.columns):
            return
        whole = self._child.kind == "p"
        leaves = [part.name for part in self._steps.around.leaves(self._item.child)]
        for table in leaves if whole else [self._item.child]:
            found = self._steps.schema.tables.get(table)
            if found and indexes.serving(found, self._item.columns, partition=whole):
                continue
            yield self._index(table, found)
        if whole:
            yield self._index_of_partitioned()

    def _index(self, table: TableName, found: Table | None) -> PlanStep:
        left = indexes.invalid(found, self._item.columns) if found else ()
        name = self._steps.index_name(table, self._item.columns, left)
        rows = found.estimated_rows if found else 0
        return self._step(
            StepKind.INDEX,
            f"build an index on {table.label}({', '.join(self._item.columns)})",
            why="without it every delete of a parent row would scan the child",
            name=name,
            table=table,
            statements=(ddl.create_index(table, name, self._item.columns, True),),
            locks=(_lock(table, SUE),),
            waits_for="transactions that were begun before it; it makes no reader or writer wait",
            seconds=estimates.index(rows),
            undo=ddl.drop_index(table.schema, name, True),
        )

    def _index_of_partitioned(self) -> PlanStep:
        table = self._item.child
        name = self._steps.index_name(table, self._item.columns, ())
        return self._step(
            StepKind.INDEX,
            f"declare the index on the partitioned table {table.label}",
            why="it takes over the indexes that the partitions have, and new partitions get theirs",
            name=name,
            statements=(
                ddl.lock(SHARE, self._child),
                ddl.create_index(table, name, self._item.columns, False),
            ),
            locks=self._with_partitions(self._child, SHARE),
            waits_for=WRITERS,
            seconds=estimates.LOCAL_SECONDS,
            undo=ddl.drop_index(table.schema, name, False),
        )

    def add(self) -> Iterator[PlanStep]:
        for table, there in self._targets():
            if there:
                continue
            target = self._steps.schema.tables.get(table, self._child)
            yield self._step(
                StepKind.ADD,
                f"add the key on {table.label}({', '.join(self._item.columns)}) to"
                f" {self._item.target}, on delete {self._item.on_delete}, not valid",
                why=self._item.why,
                name=self._key.name,
                table=table,
                statements=(
                    ddl.lock(SRE, self._parent, target),
                    self._add(table, not_valid=True),
                ),
                locks=_once(
                    *self._with_partitions(self._parent, SRE), *self._with_partitions(target, SRE)
                ),
                waits_for=WRITERS,
                seconds=estimates.LOCAL_SECONDS,
                undo=ddl.drop(table, self._key.name, only=self._heirs),
            )

    def remediate(self, counting: str) -> Iterator[PlanStep]:
        audit = self._audit
        counted = audit is not None and audit.exact and audit.orphans is not None
        if audit is not None and counted and not audit.orphans:
            return
        told = f"{audit.orphans:,} were counted" if audit and counted else "they were not counted"
        if audit and not counted and audit.state is AuditState.ESTIMATED:
            told = f"about {audit.orphans:,} were estimated"
        yield self._step(
            StepKind.REMEDIATE,
            f"remediate the orphan rows of {self._item.label}: {told}",
            why="the key takes no new ones from here on; what is there needs a person's decision",
            statements=(counting,),
            seconds=round(audit.seconds, 2) if audit and counted else None,
            orphans=audit.orphans if audit and counted else None,
        )

    def validate(self) -> Iterator[PlanStep]:
        for table, there in self._targets():
            if there and there.validated:
                continue
            name = there.name if there else self._key.name
            target = self._steps.schema.tables.get(table, self._child)
            yield self._step(
                StepKind.VALIDATE,
                f"validate the key on {table.label}({', '.join(self._item.columns)})",
                why="the rows from before the key are looked at, while others read and write",
                name=name,
                table=table,
                statements=(ddl.validate(table, name, only=self._heirs),),
                locks=_once(
                    *self._with_partitions(target, SUE),
                    *self._with_partitions(self._parent, ROW_SHARE),
                ),
                waits_for=UPKEEP,
                seconds=estimates.validation(
                    target.estimated_rows, self._audit, partition=self._by_partition
                ),
            )
        if self._by_partition:
            yield self._attach()

    def _attach(self) -> PlanStep:
        table = self._item.child
        on_child = AE if self._parent.kind == "p" else SRE  # its partitions get their keys anew
        return self._step(
            StepKind.ATTACH,
            f"declare the key on the partitioned table {table.label}",
            why="it takes over the keys that the partitions have, without a scan",
            name=self._key.name,
            statements=(
                # in one statement each: the parent first, as everywhere
                ddl.lock(AE, self._parent),
                ddl.lock(on_child, self._child),
                self._add(table, not_valid=False),
            ),
            locks=_once(
                *self._with_partitions(self._parent, AE),
                *self._with_partitions(self._child, on_child),
            ),
            waits_for=READERS,
            seconds=estimates.LOCAL_SECONDS,
            undo=ddl.drop(table, self._key.name, only=self._heirs),
        )

    def drop(self, name: str) -> PlanStep:
        table = self._item.child
        old = next(k for k in self._steps.schema.keys_of(table) if k.name == name)
        before = self._steps.around.declared(table, name).definition
        parent = self._steps.schema.tables.get(old.parent, self._parent)
        return self._step(
            StepKind.DROP,
            f"drop the key {name!r} of {table.label}, which is not as decided",
            why="the key that is as decided has taken its place",
            name=name,
            statements=(ddl.lock(AE, parent, self._child), ddl.drop(table, name, only=self._heirs)),
            locks=_once(
                *self._with_partitions(parent, AE), *self._with_partitions(self._child, AE)
            ),
            waits_for=READERS,
            seconds=estimates.LOCAL_SECONDS,
            undo=ddl.add_again(table, name, before, not_valid=not self._old),
        )

    def prove(self, counting: str) -> PlanStep:
        return self._step(
            StepKind.PROVE,
            f"prove that {self._item.label} holds",
            why="valid, enforced, its triggers enabled, and a count of its own finds no orphan row",
            name=self._key.name,
            statements=(counting,),
            seconds=round(self._audit.seconds, 2) if self._audit and self._audit.exact else None,
        )

    def _add(self, table: TableName, *, not_valid: bool) -> str:
        late, only = self._key.late or "", self._heirs
        return ddl.add(self._item, table, self._key.name, not_valid=not_valid, only=only, late=late)

    def _targets(self) -> list[tuple[TableName, ForeignKey | None]]:
        """The tables that get the key; with the one that a partition already has."""
        if not self._by_partition:
            return [(self._item.child, None)]
        found: list[tuple[TableName, ForeignKey | None]] = []
        for part in self._steps.around.leaves(self._item.child):
            own = [k for k in self._steps.schema.keys_of(part.name) if self._key.is_that_of(k)]
            found.append((part.name, max(own, key=lambda k: k.validated, default=None)))
        return found

    def _with_partitions(self, table: Table, mode: str) -> tuple[TableLock, ...]:
        below = self._steps.around.below(table.name)
        return (_lock(table.name, mode), *(_lock(part.name, mode) for part in below))

    def _step(
        self, kind: StepKind, title: str, *, table: TableName | None = None, **values: object
    ) -> PlanStep:
        place = table or self._item.child
        return PlanStep.model_validate(
            {
                "id": "",
                "kind": kind,
                "relationship": self._item.id,
                "title": title,
                "schema_name": place.schema,
                "table": place.table,
                **values,
            }
        )


def _lock(table: TableName, mode: str) -> TableLock:
    return TableLock(table=str(table), mode=mode)


def _once(*locks: TableLock) -> tuple[TableLock, ...]:
    """Each table once, with the first mode given: a table may refer to itself."""
    found: dict[str, TableLock] = {}
    for lock in locks:
        found.setdefault(lock.table, lock)
    return tuple(found.values())
