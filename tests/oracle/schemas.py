"""Random schemas with data and relationships: what a database may hold, its edges first.

Everything small is drawn, so that a failing example shrinks; the rows come from a drawn seed, and
their number shrinks too. :meth:`Database.script` is SQL that makes the example by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.oracle.values import CITEXT, DOMAINS, TYPES, Type
from tests.places import HOSTILE

Row = tuple[str | None, ...]

TARGETS = (  # what may be referenced
    *("primary",) * 6,
    *("unique",) * 3,
    *("index",) * 3,
    *("nulls", "include", "pattern", "descending"),
)
NO_TARGETS = (
    "none", "deferrable", "deferred", "partial", "expression", "invalid", "invalid", "wider",
    "exclude",
)  # fmt: skip
INDEXES = (
    "leading", "leading", "leading", "leading", "partial", "one null", "descending", "nulls first",
    "mixed", "longer", "other order", "hash", "half", "expression", "collated", "pattern", "brin",
    "reversed",
)  # fmt: skip
# With a collation that is not deterministic PostgreSQL contradicts itself on these: it hashes the
# bytes of a name, so that a hash join misses what is equal, in the validation of a key too; and in
# a citext it finds conflicts of rows that are none, without an end.
STRICT = ("name", 'oracle."d_name"', "public.citext")
ACTIONS = ("no action",) * 8 + ("cascade", "set null", "set default", "restrict")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def listed(names: Sequence[str]) -> str:
    return ", ".join(map(quoted, names))


def literal(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


@dataclass(frozen=True)
class Server:
    """What the server has that not every server has."""

    version: int
    citext: bool
    loose: bool  # the collation oracle.loose


@dataclass(frozen=True)
class Column:
    name: str
    type: Type
    collation: str = ""
    not_null: bool = False
    generated: str = ""  # stored, virtual
    base: str = ""  # what it is generated from

    @property
    def sql(self) -> str:
        text = f"{quoted(self.name)} {self.type.name}"
        text += f" COLLATE {self.collation}" if self.collation else ""
        if self.generated:
            text += f" GENERATED ALWAYS AS ({quoted(self.base)}) {self.generated.upper()}"
        return text + (" NOT NULL" if self.not_null else "")


@dataclass(frozen=True)
class Index:
    """A unique key or another index, by what is special about it."""

    kind: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table, or the view over one (``kind``: table, view, materialized view, foreign table)."""

    name: str
    number: int
    columns: tuple[Column, ...]
    keys: tuple[Index, ...] = ()
    indexes: tuple[Index, ...] = ()
    kind: str = "table"
    partitioning: str = ""  # hash, list, range
    by: str = ""
    attached: bool = False  # a partition with another order of columns
    dropped: bool = False  # a column was dropped: numbers of columns have gaps
    unlogged: bool = False
    heirs: bool = False
    policy: str = ""  # row security: plain, forced
    analyzed: bool = False
    rows: tuple[Row, ...] = ()
    heir_rows: tuple[Row, ...] = ()

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @property
    def stored(self) -> str:
        """The table that has the rows."""
        return f"under {self.number}" if "view" in self.kind else self.name

    @property
    def leaf(self) -> str:
        return f"leaf {self.number}"

    @property
    def heir(self) -> str:
        return f"heir {self.number}"

    @property
    def written(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if not column.generated)

    @property
    def primary_key(self) -> tuple[str, ...]:
        primary = [key for key in self.keys if key.kind in ("primary", "deferred")]
        return primary[0].columns if primary and self.kind == "table" else ()


@dataclass(frozen=True)
class Link:
    """A relationship; ``declared``: as a key that the database has already, and how."""

    child: str
    columns: tuple[str, ...]
    parent: str
    references: tuple[str, ...]
    match: str = "simple"
    on_delete: str = "no action"
    declared: str = ""  # valid, not valid, not enforced
    number: int = 0

    def target(self, schema: str) -> str:
        parent = f"{quoted(schema)}.{quoted(self.parent)}"
        return f"REFERENCES {parent} ({listed(self.references)}) MATCH {self.match.upper()}"

    def declaration(self, schema: str) -> str:
        how = "" if self.declared == "valid" else f" {self.declared.upper()}"
        return self._key(schema, self.on_delete) + how

    def again(self, schema: str, on_delete: str) -> str:
        """The key, checked against the rows at once, and instead of the one that is declared."""
        drop = f"ALTER TABLE {quoted(schema)}.{quoted(self.child)} DROP CONSTRAINT IF EXISTS "
        return f"{drop}{self._name};" * bool(self.declared) + self._key(schema, on_delete)

    @property
    def _name(self) -> str:
        return quoted(f"key {self.number}")

    def _key(self, schema: str, on_delete: str) -> str:
        return (
            f"ALTER TABLE {quoted(schema)}.{quoted(self.child)} ADD CONSTRAINT {self._name}"
            f" FOREIGN KEY ({listed(self.columns)}) {self.target(schema)}"
            f" ON DELETE {on_delete.upper()}"
        )


@dataclass(frozen=True, repr=False)
class Database:
    """One example: a schema with tables, and the relationships to look at."""

    schema: str
    tables: tuple[Table, ...]
    links: tuple[Link, ...]

    def __repr__(self) -> str:
        return f"<{len(self.tables)} tables, {len(self.links)} relationships>"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(repr(self))  # hypothesis would print every field; the script says it all

    def owner_of(self, name: str) -> Table:
        """The table that has this name, or whose partition or heir has it."""
        return next(t for t in self.tables if name in (t.name, t.leaf, t.heir))

    def script(self) -> str:
        return ";\n".join(self._statements()) + ";\n"

    def _statements(self) -> Iterator[str]:
        yield f"CREATE SCHEMA {quoted(self.schema)}"
        for table in self.tables:
            yield from _Writer(self.schema, table).structure()
        for link in self.links:
            if link.declared:
                yield f"SELECT oracle.attempt({literal(link.declaration(self.schema))})"
        yield "SET session_replication_role = replica"  # rows that the keys would refuse
        for table in self.tables:
            yield from _Writer(self.schema, table).content()
        yield "RESET session_replication_role"
        for table in self.tables:
            yield from _Writer(self.schema, table).finish()


@dataclass
class _Writer:
    """The statements that make a table."""

    schema: str
    table: Table

    def name(self, table: str) -> str:
        return f"{quoted(self.schema)}.{quoted(table)}"

    def structure(self) -> Iterator[str]:
        table, stored = self.table, self.name(self.table.stored)
        columns = [column.sql for column in table.columns]
        if table.kind == "foreign table":
            yield f"CREATE FOREIGN TABLE {stored} ({', '.join(columns)}) SERVER oracle_nowhere"
            return
        if table.dropped:
            columns.insert(0, "junk int4")
        unlogged = "UNLOGGED " if table.unlogged else ""
        by = f" PARTITION BY {table.partitioning} ({quoted(table.by)})" if table.by else ""
        yield f"CREATE {unlogged}TABLE {stored} ({', '.join(columns)}){by}"
        if table.dropped:
            yield f"ALTER TABLE {stored} DROP COLUMN junk"
        if table.by:
            yield from self._partitions(stored)
        for key in table.keys:
            yield from self._key(key, stored)
        if table.heirs:
            yield f"CREATE TABLE {self.name(table.heir)} () INHERITS ({stored})"
        if "view" in table.kind:
            yield f"CREATE {table.kind} {self.name(table.name)} AS SELECT * FROM {stored}"

    def _partitions(self, stored: str) -> Iterator[str]:
        table = self.table
        edge = literal(max(table.column(table.by).type.literals))
        bounds = {
            "hash": ("WITH (MODULUS 2, REMAINDER 0)", "WITH (MODULUS 2, REMAINDER 1)"),
            "list": (f"IN ({edge})", ""),
            "range": (f"FROM (MINVALUE) TO ({edge})", ""),
        }[table.partitioning]
        leaf, other = self.name(table.leaf), self.name(f"other {table.leaf}")
        first, second = (f"FOR VALUES {bound}" if bound else "DEFAULT" for bound in bounds)
        unlogged = "UNLOGGED " if table.unlogged else ""
        if table.attached:
            columns = ", ".join(column.sql for column in reversed(table.columns))
            yield f"CREATE {unlogged}TABLE {leaf} ({columns})"
            yield f"ALTER TABLE {stored} ATTACH PARTITION {leaf} {first}"
        else:
            yield f"CREATE {unlogged}TABLE {leaf} PARTITION OF {stored} {first}"
        yield f"CREATE {unlogged}TABLE {other} PARTITION OF {stored} {second}"

    def _key(self, key: Index, stored: str) -> Iterator[str]:
        columns = listed(key.columns)
        first = quoted(key.columns[0])
        unique = f"CREATE UNIQUE INDEX ON {stored}"
        constraint = f"ALTER TABLE {stored} ADD"
        only = "ONLY " if self.table.by else ""
        yield {
            "primary": f"{constraint} PRIMARY KEY ({columns})",
            "unique": f"{constraint} UNIQUE ({columns})",
            "nulls": f"{constraint} UNIQUE NULLS NOT DISTINCT ({columns})",
            "index": f"{unique} ({columns})",
            "include": f"{unique} ({columns}) INCLUDE (extra)",
            "descending": f"{unique} ({', '.join(f'{quoted(c)} DESC' for c in key.columns)})",
            "pattern": f"{unique} ({', '.join(map(self._pattern, key.columns))})",
            "deferrable": f"{constraint} UNIQUE ({columns}) DEFERRABLE",
            "deferred": f"{constraint} PRIMARY KEY ({columns}) DEFERRABLE INITIALLY DEFERRED",
            "partial": f"{unique} ({columns}) WHERE {first} IS NOT NULL",
            "expression": f"{unique} ({columns}, (coalesce({first}, {first})))",
            "invalid": f"CREATE UNIQUE INDEX ON {only}{stored} ({columns})",
            "wider": f"{unique} ({columns}, extra)",
            "exclude": f"{constraint} EXCLUDE USING btree"
            f" ({', '.join(f'{quoted(c)} WITH =' for c in key.columns)})",
        }[key.kind]
        if key.kind == "invalid":
            yield (
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid ="
                f" (SELECT max(indexrelid) FROM pg_index WHERE indrelid = {literal(stored)}"
                "::regclass)"
            )

    def _pattern(self, name: str) -> str:
        return f"{quoted(name)} {self.table.column(name).type.pattern}"

    def content(self) -> Iterator[str]:
        table, target = self.table, self.name(self.table.stored)
        columns = listed(table.written)
        if any(key.kind.startswith("deferr") for key in table.keys):
            yield from self._staged(target, columns)
        elif table.rows:
            yield f"INSERT INTO {target} ({columns}) {_values(table.rows)} ON CONFLICT DO NOTHING"
        if table.heir_rows:
            yield f"INSERT INTO {self.name(table.heir)} ({columns}) {_values(table.heir_rows)}"

    def _staged(self, target: str, columns: str) -> Iterator[str]:
        """ON CONFLICT does not take a deferrable key: a copy with a plain one sorts rows out."""
        if not self.table.rows:
            return
        yield f"CREATE TABLE oracle.staged (LIKE {target} INCLUDING GENERATED)"
        for key in self.table.keys:
            patterns = ", ".join(map(self._pattern, key.columns))
            columns_of_key = patterns if key.kind == "pattern" else listed(key.columns)
            yield f"CREATE UNIQUE INDEX ON oracle.staged ({columns_of_key})"
        yield (
            f"INSERT INTO oracle.staged ({columns}) {_values(self.table.rows)}"
            " ON CONFLICT DO NOTHING"
        )
        yield f"INSERT INTO {target} ({columns}) SELECT {columns} FROM oracle.staged"
        yield "DROP TABLE oracle.staged"

    def finish(self) -> Iterator[str]:
        table, stored = self.table, self.name(self.table.stored)
        for index in table.indexes:
            yield self._index(index, stored)
        if table.kind == "materialized view":
            yield f"REFRESH MATERIALIZED VIEW {self.name(table.name)}"
        if table.policy:
            yield f"ALTER TABLE {stored} ENABLE ROW LEVEL SECURITY"
            yield f"CREATE POLICY hidden ON {stored} USING (false)"
        if table.policy == "forced":
            yield f"ALTER TABLE {stored} FORCE ROW LEVEL SECURITY"
        if table.analyzed and table.kind != "foreign table":
            yield f"ANALYZE {stored}"

    def _index(self, index: Index, stored: str) -> str:
        names = [quoted(name) for name in index.columns]
        every = " AND ".join(f"{name} IS NOT NULL" for name in names)
        method = index.kind if index.kind in ("hash", "brin") else "btree"
        terms = {
            "descending": [f"{name} DESC" for name in names],
            "nulls first": [f"{name} NULLS FIRST" for name in names],
            "mixed": [f"{names[0]} DESC NULLS LAST", *names[1:]],
            "longer": [*names, "extra"],
            "other order": ["extra", *names],
            "reversed": names[::-1],
            "hash": names[:1],
            "brin": names[:1],
            "expression": [f"(coalesce({names[0]}, {names[0]}))"],
            "collated": [self._collated(name) for name in index.columns],
            "pattern": [self._pattern(name) for name in index.columns],
        }.get(index.kind, names)
        where = {"partial": every, "one null": f"{names[0]} IS NOT NULL", "half": "extra > 0"}
        condition = f" WHERE {where[index.kind]}" if index.kind in where else ""
        return f"CREATE INDEX ON {stored} USING {method} ({', '.join(terms)}){condition}"

    def _collated(self, name: str) -> str:
        collatable = self.table.column(name).type.collatable
        return quoted(name) + (' COLLATE "POSIX"' if collatable else "")


def _values(rows: Sequence[Row]) -> str:
    return "VALUES " + ", ".join(f"({', '.join(map(literal, row))})" for row in rows)


@dataclass
class _Maker:
    """Draws one example; what is drawn as zero is the plain case."""

    draw: Callable[[st.SearchStrategy[Any]], Any]
    server: Server
    tables: list[Table] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    random: Random = field(default_factory=Random)

    def database(self) -> Database:
        self.random = Random(self.draw(st.integers(0, 1 << 16)))  # noqa: S311 - rows, no secrets
        schema = self.name("s")
        for _ in range(self.draw(st.integers(1, 2))):
            self.parent()
        for _ in range(self.draw(st.integers(1, 3))):
            self.child()
        shapes = {
            (link.child, link.parent, frozenset(zip(link.columns, link.references, strict=True))): (
                link
            )
            for link in self.links
        }
        return Database(schema, tuple(self.tables), tuple(shapes.values()))

    # --- small draws ---

    def chance(self, percent: int) -> bool:
        return bool(self.draw(st.integers(0, 99)) >= 100 - percent)

    def one(self, items: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(items))

    def order(self, items: Sequence[Any]) -> list[Any]:
        if len(items) < 2 or not self.chance(50):
            return list(items)
        return list(self.draw(st.permutations(items)))

    def name(self, prefix: str) -> str:
        name: str = f"{prefix}{len(self.names)}"
        if self.chance(12):
            name = self.one(HOSTILE)
        if name in self.names:
            name = f"{prefix}{len(self.names)}"
        self.names.add(name)
        return name

    # --- columns ---

    def type(self) -> Type:
        types = (*TYPES, *DOMAINS, *((CITEXT,) if self.server.citext else ()))
        if self.chance(8):
            types = tuple(item for item in types if item.family in ("enum", "row"))
            return self.one(types)  # type: ignore[no-any-return]
        if self.chance(25):
            return self.one(types)  # type: ignore[no-any-return]
        return self.one(TYPES[:15])  # type: ignore[no-any-return]

    def other_type(self, mine: Type) -> Type:
        """The type of a child column: of the same family, and most often one that fits."""
        types = (*TYPES, *DOMAINS, *((CITEXT,) if self.server.citext else ()))
        family = [item for item in types if item.family == mine.family]
        if self.chance(3):
            return self.one(types)  # type: ignore[no-any-return]
        if self.chance(6):
            return self.one(family)  # type: ignore[no-any-return]
        if self.chance(40):
            return self.one([item for item in family if item.wide <= mine.wide])  # type: ignore[no-any-return]
        return mine

    def collation(self, kind: Type) -> str:
        if not (kind.collatable and self.chance(45)):
            return ""
        names = ['"C"', '"POSIX"', '"default"', "ucs_basic"]
        if self.server.loose and kind.name not in STRICT:
            names += ["oracle.loose", "oracle.loose"]
        return str(self.one(names))

    def columns(self, kind: Type, *, not_null: bool, of_key: bool) -> tuple[Column, ...]:
        """One column to compare; and before it, what it is generated from."""
        column = Column(self.name("k"), kind, self.collation(kind), not_null)
        if not self.chance(8):
            return (column,)
        base = replace(column, name=self.name("base"))
        virtual = not of_key and kind.builtin and self.server.version >= 180000 and self.chance(50)
        how = "virtual" if virtual else "stored"
        return (base, replace(column, generated=how, base=base.name))

    # --- tables ---

    def trimmings(self, table: Table) -> Table:
        """What any table may have."""
        return replace(
            table,
            dropped=self.chance(15),
            unlogged=self.chance(6) and not table.by,
            heirs=self.chance(12) and not table.by,
            policy=self.one(("plain", "forced")) if self.chance(5) else "",
            analyzed=self.chance(50),
        )

    def partitioned(self, table: Table, candidates: Sequence[str]) -> Table:
        plain = [table.column(name) for name in candidates if not table.column(name).generated]
        if not plain or not self.chance(20):
            return table
        column = self.one(plain)
        ways = ["list", "range"]
        if column.type.hashable and column.collation != "oracle.loose":
            ways.append("hash")
        if column.type.family == "row":
            return table
        return replace(table, partitioning=self.one(ways), by=column.name, attached=self.chance(40))

    def parent(self) -> None:
        kind = self.one(TARGETS) if not self.chance(15) else self.one(NO_TARGETS)
        not_null = kind in ("primary", "deferred") or self.chance(20)
        groups = [
            self.columns(self.type(), not_null=not_null, of_key=True)
            for _ in range(self.one((1, 1, 1, 2, 2, 3, 4)))
        ]
        key = tuple(self.order([group[-1].name for group in groups]))
        columns = [column for group in groups for column in group]
        columns.append(Column("extra", TYPES[0]))
        table = Table(self.name("p"), len(self.tables), tuple(self.order(columns)))
        if kind not in ("expression", "exclude"):
            table = self.partitioned(table, key)
        patterns = self.patterns(table, key)
        builtin = all(table.column(name).type.builtin for name in key)
        if (kind == "pattern" and not patterns) or (kind == "exclude" and not builtin):
            kind = "index"
        keys = [Index(kind, key)] if kind != "none" else []
        if keys and self.chance(20):  # PostgreSQL takes the one that was made first
            keys.insert(0, Index("pattern" if patterns else "descending", key))
        table = self.trimmings(replace(table, keys=tuple(keys)))
        if self.chance(4) and not table.by:
            table = replace(table, kind=self.one(("view", "materialized view")), policy="")
        table = replace(table, rows=self.rows(table, {}), heir_rows=self.heir_rows(table, {}))
        self.tables.append(table)
        if table.kind == "table" and self.chance(15):
            self.self_reference(table, key)

    def patterns(self, table: Table, names: Sequence[str]) -> bool:
        """Whether these columns take an operator class that is not their type's own."""
        columns = [table.column(name) for name in names]
        partition = table.by in names and table.column(table.by).type.family == "number"
        return not partition and all(
            column.type.pattern and column.collation != "oracle.loose" for column in columns
        )

    def self_reference(self, table: Table, key: tuple[str, ...]) -> None:
        """The table refers to itself, by columns of its own."""
        references = tuple(self.order(key))
        added = [self.referring(table.column(name)) for name in references]
        columns = (*table.columns, *(column for group in added for column in group))
        names = tuple(group[-1].name for group in added)
        table = replace(table, columns=columns)
        taken = self.values_of(table, references)
        sources = {(tuple(group[0].name for group in added)): taken}
        table = replace(table, rows=self.rows(table, sources), heir_rows=())
        table = replace(table, indexes=self.indexes(table, names))
        self.tables[-1] = table
        self.link(table, names, table, references)

    def referring(self, target: Column) -> tuple[Column, ...]:
        kind = self.other_type(target.type)
        if target.collation == "oracle.loose" and kind.name in STRICT:
            kind = target.type
        return self.columns(kind, not_null=self.chance(10), of_key=False)

    def child(self) -> None:
        identity = Column("id", TYPES[0], not_null=True)
        columns: list[Column] = [identity, Column("extra", TYPES[0])]
        wanted = []
        for _ in range(2 if self.chance(20) else 1):
            parent = self.one(self.tables)
            references = self.references(parent)
            groups = [self.referring(parent.column(name)) for name in references]
            columns += [column for group in groups for column in group]
            wanted.append((parent, references, groups))
        table = Table(self.name("c"), len(self.tables), tuple(self.order(columns)))
        if self.chance(3):
            written = tuple(replace(column, generated="") for column in table.columns)
            table = replace(table, kind="foreign table", columns=written)
        else:
            table = self.stored_child(table, wanted[0][2])
        sources = {
            tuple(group[0].name for group in groups): self.values_of(parent, references)
            for parent, references, groups in wanted
        }
        if table.kind != "foreign table":
            table = replace(
                table, rows=self.rows(table, sources), heir_rows=self.heir_rows(table, sources)
            )
        for parent, references, groups in wanted:
            names = tuple(group[-1].name for group in groups)
            if table.kind != "foreign table":
                table = replace(table, indexes=(*table.indexes, *self.indexes(table, names)))
            self.link(table, names, parent, references)
        self.tables.append(table)

    def stored_child(self, table: Table, groups: Sequence[tuple[Column, ...]]) -> Table:
        by = self.one(("id", groups[0][0].name)) if groups else "id"
        table = self.partitioned(table, [by])
        if table.by in ("", "id") and self.chance(80):
            table = replace(table, keys=(Index("primary", ("id",)),))
        table = self.trimmings(table)
        if self.chance(4) and not table.by:
            table = replace(table, kind=self.one(("view", "materialized view")), policy="")
        return table

    def indexes(self, table: Table, names: tuple[str, ...]) -> tuple[Index, ...]:
        columns = [table.column(name) for name in names]
        if self.chance(25) or any(column.generated == "virtual" for column in columns):
            return ()
        kind = self.one(INDEXES)
        unfit = {
            "hash": not columns[0].type.hashable,
            "pattern": not self.patterns(table, names),
            "brin": columns[0].type.family != "number",
        }
        if unfit.get(kind):
            kind = "leading"
        return (Index(kind, tuple(dict.fromkeys(names))),)

    # --- relationships ---

    def references(self, parent: Table) -> tuple[str, ...]:
        key = parent.keys[-1].columns if parent.keys else (parent.columns[0].name,)
        references = list(self.order(key))
        if self.chance(6):
            references = [*references, "extra"]
        if self.chance(4):
            references = references[:-1] or references
        if self.chance(2):
            references = [*references, references[0]]
        return tuple(references)

    def link(
        self, child: Table, names: tuple[str, ...], parent: Table, references: tuple[str, ...]
    ) -> None:
        mine, theirs = child.name, parent.name
        if child.by and self.chance(8):
            mine = child.leaf
        elif child.heirs and "view" not in child.kind and self.chance(20):
            mine = child.heir
        if parent.by and self.chance(8):
            theirs = parent.leaf
        elif parent.heirs and "view" not in parent.kind and self.chance(10):
            theirs = parent.heir
        declared = ""
        if self.chance(30):
            ways = ["valid"]
            if not child.by or self.server.version >= 180000:
                ways.append("not valid")
            if self.server.version >= 180000:
                ways.append("not enforced")
            declared = self.one(ways)
        match = "full" if declared and self.chance(60) else "simple"
        on_delete = self.one(ACTIONS)
        number = len(self.links)
        self.links.append(Link(mine, names, theirs, references, match, on_delete, declared, number))

    # --- rows ---

    def values_of(self, table: Table, names: Sequence[str]) -> list[Row]:
        """The values of columns in the rows of a table, through what they are generated from."""
        written = table.written
        places = [written.index(table.column(name).base or name) for name in names]
        return [
            tuple(row[place] for place in places) for row in table.rows if len(row) > max(places)
        ]

    def rows(self, table: Table, sources: dict[tuple[str, ...], list[Row]]) -> tuple[Row, ...]:
        number = self.draw(st.one_of(st.integers(0, 8), st.integers(0, 60)))
        pool = self.one(("edges", "edges", "all", "four"))
        columns = [table.column(name) for name in table.written]
        return tuple(self.row(n, columns, sources, pool=pool) for n in range(number))

    def heir_rows(self, table: Table, sources: dict[tuple[str, ...], list[Row]]) -> tuple[Row, ...]:
        return self.rows(table, sources)[:6] if table.heirs else ()

    def row(
        self,
        number: int,
        columns: Sequence[Column],
        sources: dict[tuple[str, ...], list[Row]],
        *,
        pool: str,
    ) -> Row:
        random = self.random
        values: dict[str, str | None] = {}
        for column in columns:
            kind = column.type
            literals = {"all": kind.literals, "edges": kind.edges, "four": kind.edges[:4]}[pool]
            empty = not column.not_null and random.random() < 0.12
            values[column.name] = None if empty else random.choice(literals)
        for names, rows in sources.items():
            if rows and random.random() < 0.7:
                self.borrow(values, columns, names, random.choice(rows))
        if "id" in values:
            values["id"] = str(number)
        return tuple(values.values())

    def borrow(
        self,
        values: dict[str, str | None],
        columns: Sequence[Column],
        names: tuple[str, ...],
        row: Row,
    ) -> None:
        """Take a parent's key, where the types allow it; some rows miss one column of it."""
        known = {column.name: column.type.literals for column in columns}
        values |= {
            name: value
            for name, value in zip(names, row, strict=True)
            if value in known[name] and self.random.random() < 0.95
        }


@st.composite
def databases(draw: Callable[[st.SearchStrategy[Any]], Any], server: Server) -> Database:
    """Examples for this server."""
    return _Maker(draw, server).database()
