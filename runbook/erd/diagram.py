"""The tables of all relationships as boxes, and the relationships as lines between them.

The same relationships give the same diagram, whatever their state is in any environment.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from runbook.erd import families, layers
from runbook.erd.families import Family
from runbook.erd.paths import around, arrow, curves, loop
from runbook.relationships import Relationship
from runbook.schema import TableName

DETAILED = 60  # with more tables than this a box is a name alone
HEAD, LINE, PAD = 26.0, 17.0, 16.0
# wide guesses of a letter's width: the reader's font is not known here
CHARACTER, BOLD = 7.2, 7.8
NARROW, WIDE = 96.0, 236.0
LOOP = 34.0  # how far a reference of a table to itself reaches out
SHELF = 26.0  # between frames
TITLE = 30.0

Columns = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A box; ``keys`` are the columns, one or several, that refer or are referred to."""

    name: TableName
    keys: tuple[Columns, ...]
    referred: frozenset[Columns]
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0

    def row(self, columns: Columns) -> float:
        """The middle of a key's row."""
        return self.y + HEAD + LINE * (self.keys.index(columns) + 0.5)


@dataclass(frozen=True)
class Line:
    """A relationship from a child's box to its parent's (both by number), as an SVG path.

    ``mark`` is the point beside the child where the state of its rows is told; it stands left of
    the box where ``left`` is True. ``near``: both tables are in the same frame.
    """

    relationship: Relationship
    child: int
    parent: int
    path: str
    mark: tuple[float, float]
    left: bool
    near: bool


@dataclass(frozen=True)
class Frame:
    """The tables of a family, by number, and the rectangle around them."""

    title: str
    members: tuple[int, ...]
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Diagram:
    """Tables in the order of their names, lines in that of the relationships."""

    tables: tuple[Table, ...]
    lines: tuple[Line, ...]
    frames: tuple[Frame, ...]
    width: float
    height: float
    detailed: bool


@dataclass(frozen=True)
class _Local:
    """A family laid out by itself: its boxes, and by line the lanes and the side of the parent."""

    family: Family
    boxes: dict[int, tuple[float, float]]
    lanes: dict[int, tuple[tuple[layers.Lane, ...], bool]]
    width: float
    height: float


def draw(relationships: Sequence[Relationship]) -> Diagram:
    """Lay out every table that a relationship names."""
    names = sorted({name for item in relationships for name in (item.child, item.parent)})
    number = {name: at for at, name in enumerate(names)}
    ends = [(number[item.child], number[item.parent]) for item in relationships]
    pairs = sorted({(child, parent) for child, parent in ends if child != parent})
    detailed = len(names) <= DETAILED
    tables = _tables(names, relationships, detailed=detailed)
    group = families.components if detailed else families.families
    locals_ = _locals(group(names, pairs), tables, ends)
    frames, width, height = _shelves(locals_, tables)
    for frame, local in zip(frames, locals_, strict=True):
        for at, (x, y) in local.boxes.items():
            tables[at] = replace(tables[at], x=frame.x + PAD + x, y=frame.y + TITLE + y)
    lanes = {
        at: (tuple((a + f.x + PAD, b + f.x + PAD, y + f.y + TITLE) for a, b, y in found), left)
        for f, local in zip(frames, locals_, strict=True)
        for at, (found, left) in local.lanes.items()
    }
    ports = _ports(ends, relationships, tables, detailed=detailed)
    lines = tuple(
        _line(item, ends[at], tables, ports[at], lanes.get(at))
        for at, item in enumerate(relationships)
    )
    return Diagram(tuple(tables), lines, tuple(frames), width, height, detailed)


def _tables(
    names: Sequence[TableName], relationships: Sequence[Relationship], *, detailed: bool
) -> list[Table]:
    """Boxes that are not yet anywhere."""
    keys: dict[TableName, dict[Columns, None]] = {name: {} for name in names}
    referred: dict[TableName, set[Columns]] = {name: set() for name in names}
    going = dict.fromkeys(names, 0)
    for item in relationships:
        keys[item.parent].setdefault(item.references)
        referred[item.parent].add(item.references)
        going[item.child] += 1
    for item in relationships:
        keys[item.child].setdefault(item.columns)
    found = []
    for name in names:
        order = tuple(sorted(keys[name], key=lambda key, of=name: key not in referred[of]))  # type: ignore[misc]
        longest = max((len(", ".join(key)) for key in order if detailed), default=0)
        wanted = max(BOLD * len(name.label) + 16, CHARACTER * longest + 36)
        width = min(max(wanted, NARROW), WIDE)
        height = HEAD + LINE * len(order) + 5 if detailed else max(24.0, 10.0 * going[name] + 4)
        found.append(Table(name, order, frozenset(referred[name]), round(width), height))
    return found


def _locals(
    found: Sequence[Family], tables: Sequence[Table], ends: Sequence[tuple[int, int]]
) -> list[_Local]:
    """Each family with the lines that begin and end in it."""
    home = {table: at for at, family in enumerate(found) for table in family.members}
    inside: list[list[int]] = [[] for _ in found]
    for at, (child, parent) in enumerate(ends):
        if home[child] == home[parent]:
            inside[home[child]].append(at)
    return [
        _local(family, tables, ends, lines) for family, lines in zip(found, inside, strict=True)
    ]


def _local(
    family: Family,
    tables: Sequence[Table],
    ends: Sequence[tuple[int, int]],
    inside: Sequence[int],
) -> _Local:
    here = {table: at for at, table in enumerate(family.members)}
    drawn = [at for at in inside if ends[at][0] != ends[at][1]]
    sizes = [(tables[table].width, tables[table].height) for table in family.members]
    edges = [(here[ends[at][0]], here[ends[at][1]]) for at in drawn]
    found = layers.place(sizes, edges)
    loop = LOOP if len(drawn) < len(inside) else 0.0
    return _Local(
        family,
        {table: found.boxes[here[table]] for table in family.members},
        {at: (found.lanes[n], found.left_of[n]) for n, at in enumerate(drawn)},
        found.width + loop,
        found.height,
    )


def _shelves(found: Sequence[_Local], tables: Sequence[Table]) -> tuple[list[Frame], float, float]:
    """Frames in rows, each schema on rows of its own, the tallest first in each."""
    area = sum((one.width + 2 * PAD) * (one.height + TITLE + PAD) for one in found)
    limit = max(math.sqrt(area * 1.7), *(one.width + 2 * PAD for one in found), 0.0)
    schema = [tables[one.family.members[0]].name.schema for one in found]
    order = sorted(range(len(found)), key=lambda at: (schema[at], -found[at].height, at))
    frames: dict[int, Frame] = {}
    x = y = tallest = widest = 0.0
    before = None
    for at in order:
        one = found[at]
        width, height = one.width + 2 * PAD, one.height + TITLE + PAD
        if x and (x + width > limit or schema[at] != before):
            x, y, tallest = 0.0, y + tallest + SHELF, 0.0
        family = one.family
        frames[at] = Frame(family.title, family.members, round(x), round(y), width, height)
        x, tallest, before = x + width + SHELF, max(tallest, height), schema[at]
        widest = max(widest, x - SHELF)
    return [frames[at] for at in range(len(found))], widest, y + tallest


def _ports(
    ends: Sequence[tuple[int, int]],
    relationships: Sequence[Relationship],
    tables: Sequence[Table],
    *,
    detailed: bool,
) -> list[tuple[float, float]]:
    """The heights at which each line leaves the child and reaches the parent."""
    going: dict[int, list[int]] = {}
    for at, (child, _) in enumerate(ends):
        going.setdefault(child, []).append(at)
    ports = []
    for at, (child, parent) in enumerate(ends):
        item, table, target = relationships[at], tables[child], tables[parent]
        if detailed:
            ports.append((table.row(item.columns), target.row(item.references)))
            continue
        share = (going[child].index(at) + 1) / (len(going[child]) + 1)
        ports.append((table.y + table.height * share, target.y + target.height / 2))
    return ports


def _line(
    item: Relationship,
    ends: tuple[int, int],
    tables: Sequence[Table],
    port: tuple[float, float],
    lanes: tuple[tuple[layers.Lane, ...], bool] | None,
) -> Line:
    child, parent = tables[ends[0]], tables[ends[1]]
    start, end = port
    if ends[0] == ends[1]:
        x = child.x + child.width
        end = end if end != start else start + 7
        path = loop((x, start), end - start, LOOP)
        return Line(item, *ends, path + arrow(x, end, 1), (x + 4, start - 2), left=False, near=True)
    left = lanes[1] if lanes else _is_left(child, parent)
    x1 = child.x if left else child.x + child.width
    x2 = parent.x + parent.width if left else parent.x
    side = 1 if left else -1
    if not lanes and left and x1 < x2:  # one stands above the other: around their left sides
        x2 = parent.x
        bend = min(x1, x2) - 24
        path = around((x1, start), (x2, end), bend)
        side = -1
    else:
        path = curves((x1, start), (x2, end), lanes[0] if lanes else ())
    mark = (x1 - 4 if left else x1 + 4, start - 2)
    return Line(item, *ends, path + arrow(x2, end, side), mark, left=left, near=bool(lanes))


def _is_left(child: Table, parent: Table) -> bool:
    """Whether a line to a table of another frame leaves the child on the left."""
    return parent.x < child.x + child.width
