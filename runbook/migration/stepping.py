"""The steps of one relationship, each with its locks, its estimated time and its undo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runbook.findings import Audit, AuditState
from runbook.migration import ddl
from runbook.migration.plan import PlannedKey, PlanStep, StepKind, TableLock
from runbook.migration.presuppositions import NOT_VALID_ON_PARTITIONED
from runbook.migration.surroundings import Surroundings
from runbook.relationships import Relationship
from runbook.schema import Schema, Table, TableName

ROW_SHARE, AE = "ROW SHARE", "ACCESS EXCLUSIVE"
SUE, SHARE, SRE = "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE"
WRITERS = "transactions that write to these tables, for a moment"
READERS = "all transactions that use these tables, readers too, for a moment"
UPKEEP = "VACUUM, ANALYZE and changes of these tables; neither readers nor writers"
LOCAL_SECONDS = 0.02  # to lock and alter without a scan
# a second, below what was measured with text keys on two busy cores: 1.6 to 3.4 million validated,
# 0.8 to 1.1 million indexed
VALIDATED_ROWS = 1_400_000
INDEXED_ROWS = 700_000


@dataclass
class Steps:
    """``index_name`` gives a free name to an index on these columns of a table."""

    schema: Schema
    around: Surroundings
    audits: Mapping[str, Audit]
    index_name: Callable[[TableName, Sequence[str]], str]
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
        old = steps.schema.server_version < NOT_VALID_ON_PARTITIONED
        self._by_partition = self._child.kind == "p" and old and not key.declared
        self._heirs = self._child.has_inheritance_children
        self._audit = steps.audits.get(item.id)

    def index(self) -> Iterator[PlanStep]:
        if self._steps.indexed(self._child, self._item.columns):
            return
        leaves = [part.name for part in self._steps.around.leaves(self._item.child)]
        for table in leaves or [self._item.child]:
            if self._child.kind == "p" and table == self._item.child:
                break  # it has no partition yet
            found = self._steps.schema.tables.get(table)
            if found and found.index_leading_with(self._item.columns):
                continue
            yield self._index(table, found)
        if self._child.kind == "p":
            yield self._index_of_partitioned()

    def _index(self, table: TableName, found: Table | None) -> PlanStep:
        name = self._steps.index_name(table, self._item.columns)
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
            seconds=round(LOCAL_SECONDS + rows / INDEXED_ROWS, 2),
            undo=ddl.drop_index(table.schema, name, True),
        )

    def _index_of_partitioned(self) -> PlanStep:
        table, name = self._item.child, self._steps.index_name(self._item.child, self._item.columns)
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
            seconds=LOCAL_SECONDS,
            undo=ddl.drop_index(table.schema, name, False),
        )

    def add(self) -> Iterator[PlanStep]:
        for table in self._targets():
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
                    ddl.add(self._item, table, self._key.name, only=self._heirs),
                ),
                locks=_once(
                    *self._with_partitions(self._parent, SRE), *self._with_partitions(target, SRE)
                ),
                waits_for=WRITERS,
                seconds=LOCAL_SECONDS,
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
        for table in self._targets():
            target = self._steps.schema.tables.get(table, self._child)
            yield self._step(
                StepKind.VALIDATE,
                f"validate the key on {table.label}({', '.join(self._item.columns)})",
                why="the rows from before the key are looked at, while others read and write",
                name=self._key.name,
                table=table,
                statements=(ddl.validate(table, self._key.name, only=self._heirs),),
                locks=_once(
                    *self._with_partitions(target, SUE),
                    *self._with_partitions(self._parent, ROW_SHARE),
                ),
                waits_for=UPKEEP,
                seconds=self._scan(target),
            )
        if self._by_partition:
            yield self._attach()

    def _attach(self) -> PlanStep:
        table = self._item.child
        return self._step(
            StepKind.ATTACH,
            f"declare the key on the partitioned table {table.label}",
            why="it takes over the keys that the partitions have, without a scan",
            name=self._key.name,
            statements=(
                # in one statement each: the parent first, as everywhere
                ddl.lock(AE, self._parent),
                ddl.lock(SRE, self._child),
                ddl.add(self._item, table, self._key.name, not_valid=False),
            ),
            locks=_once(
                *self._with_partitions(self._parent, AE), *self._with_partitions(self._child, SRE)
            ),
            waits_for=READERS,
            seconds=LOCAL_SECONDS,
            undo=ddl.drop(table, self._key.name, only=self._heirs),
        )

    def drop(self, name: str) -> PlanStep:
        table = self._item.child
        old = next(k for k in self._steps.schema.keys_of(table) if k.name == name)
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
            seconds=LOCAL_SECONDS,
            undo=ddl.add_again(old),
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

    def _targets(self) -> list[TableName]:
        if self._by_partition:
            return [part.name for part in self._steps.around.leaves(self._item.child)]
        return [self._item.child]

    def _scan(self, table: Table) -> float | None:
        """At least what the audit took: it may have had a shorter way than a scan."""
        audit = self._audit
        if audit is None or not audit.exact:
            return None
        rows = (
            table.estimated_rows
            if self._by_partition
            else max(table.estimated_rows, audit.rows or 0)
        )
        known = 0.0 if self._by_partition else audit.seconds
        return round(max(known, LOCAL_SECONDS + rows / VALIDATED_ROWS), 2)

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
