"""The diagram as SVG for one environment: it prints, and needs no script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from runbook import markup
from runbook.erd import states
from runbook.erd.diagram import BOLD, CHARACTER, HEAD, Diagram, Frame, Line, Table
from runbook.findings import counted
from runbook.ledger import Cell

LEDGER = "../ledger/"
MARGIN = 12
ENTRY = 200  # width of an entry of the legend
CARD = (208, 62)
CARDS = 4  # in a row of the overview
MOST_CARDS = 80  # in the overview, those with orphan rows first
LINKED = 3_000  # lines; beyond, nobody finds one to click, and the file would be megabytes
PAPER, FRAME, EDGE = "#fff", "#f4f4f8", "#7a7a88"  # in light, where no style sheet applies
Cells = Mapping[str, Cell]
Pages = Mapping[str, str]


def ledger_url(table: Table) -> str:
    """The table's relationships in the ledger."""
    return f"{LEDGER}?find={quote(table.name.label[:200], safe='')}"


def svg(diagram: Diagram, cells: Cells, pages: Pages, title: str, *, alone: bool = False) -> str:
    """The whole picture. ``cells`` and ``pages`` (URLs) are by relationship id.

    ``alone``: as a file of its own, with its colours and, up to ``LINKED``, links on the lines;
    otherwise it takes the page's colours, and the page has the links in a table.
    """
    links = pages if alone and len(diagram.lines) <= LINKED else None
    used = _used(cells[line.relationship.id] for line in diagram.lines)
    width = max(diagram.width, 2 * ENTRY)
    legend, rows = _legend(used, width, diagram.height + 34)
    parts = [
        *(_frame(frame) for frame in diagram.frames if len(diagram.frames) > 1),
        *_lines(diagram, cells, links),
        *(_table(table, detailed=diagram.detailed) for table in diagram.tables),
        *_marks(diagram, cells),
        *legend,
    ]
    return _document(title, width, diagram.height + 34 + 22 * rows, parts, alone=alone)


def _document(title: str, width: float, height: float, parts: Sequence[str], *, alone: bool) -> str:
    box = f"{-MARGIN} {-MARGIN} {width + 2 * MARGIN:.0f} {height + 2 * MARGIN:.0f}"
    size = f' width="{width + 2 * MARGIN:.0f}" height="{height + 2 * MARGIN:.0f}"' if alone else ""
    style = f"<style>{_style()}</style>" if alone else ""
    return (
        f'<svg class="rb-erd-picture" xmlns="http://www.w3.org/2000/svg" viewBox="{box}"{size}'
        f' role="group" aria-label="{markup.text(title)}" font-family="system-ui,sans-serif"'
        f' font-size="12">{style}{"".join(parts)}</svg>'
    )


def _class(state: str) -> str:
    return f"rb-tone-{states.TONE_OF[state]}"


def _colour(state: str) -> str:
    """In light; where no style sheet may be used it stays."""
    return states.LIGHT[states.TONE_OF[state]]


def _strokes(state: str, *, far: bool = False) -> str:
    """The start of a group of lines in this state."""
    dash = states.DASHES[state]
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    kind = f"rb-lines{' rb-far' if far else ''} {_class(state)}"
    return f'<g class="{kind}" fill="none" stroke="{_colour(state)}"{dashes}>'


def _frame(frame: Frame) -> str:
    title = states.fitted(frame.title, frame.width - 16, BOLD)
    return (
        f'<g class="rb-frame"><rect x="{frame.x:g}" y="{frame.y:g}" width="{frame.width:g}"'
        f' height="{frame.height:g}" rx="6" fill="{FRAME}"/>'
        f'<text x="{frame.x + 10:g}" y="{frame.y + 18:g}">'
        f"{markup.text(title)}</text></g>"
    )


def _lines(diagram: Diagram, cells: Cells, pages: Pages | None) -> Iterator[str]:
    """Lines by state, those that leave a frame below all others; with ``pages`` they are links."""
    for near in (False, True):
        for state in states.DASHES:
            found = [
                line
                for line in diagram.lines
                if line.near is near and cells[line.relationship.id].key == state
            ]
            if found:
                yield _strokes(state, far=not near)
                yield from (_link(line, cells, pages) for line in found)
                yield "</g>"


def _link(line: Line, cells: Cells, pages: Pages | None) -> str:
    if pages is None:
        return f'<path d="{line.path}"/>'
    item = line.relationship
    title = f"{item.label}: {states.said(cells[item.id])}"
    return (
        f'<a href="{pages[item.id]}"><title>{markup.text(states.shown(title))}</title>'
        f'<path d="{line.path}"/></a>'
    )


def _table(table: Table, *, detailed: bool) -> str:
    x, y = f"{table.x:g}", f"{table.y:g}"
    name = states.fitted(table.name.label, table.width - 14, BOLD)
    title = states.shown(table.name.label)
    told = f"<title>{markup.text(title)}</title>" if name != title else ""
    rows = [
        f'<text x="{table.x + 10:g}" y="{table.row(key) + 4:g}">'
        f"{'◆ ' if key in table.referred else '→ '}"
        f"{markup.text(states.fitted(', '.join(key), table.width - 34, CHARACTER))}</text>"
        for key in table.keys
        if detailed
    ]
    line = (
        f'<path d="M{x} {table.y + HEAD - 3:g}h{table.width:g}"/>' if rows else ""
    )  # below the name
    down = 16 if detailed else table.height / 2 + 4
    return (
        f'<a class="rb-table-box" href="{ledger_url(table)}">{told}'
        f'<rect x="{x}" y="{y}" width="{table.width:g}" height="{table.height:g}" rx="4"'
        f' fill="{PAPER}" stroke="{EDGE}"/>{line}'
        f'<text class="rb-name" x="{table.x + 8:g}" y="{table.y + down:g}">{markup.text(name)}'
        f"</text>{''.join(rows)}</a>"
    )


def _marks(diagram: Diagram, cells: Cells) -> Iterator[str]:
    size = 10 if diagram.detailed else 8
    for state in states.MARKS:
        for left in (True, False):
            found = [
                (line, cells[line.relationship.id])
                for line in diagram.lines
                if line.left is left and cells[line.relationship.id].rows == state
            ]
            if found:
                anchor = "end" if left else "start"
                kind = f'class="rb-marks {_class(state)}" fill="{_colour(state)}"'
                yield f'<g {kind} text-anchor="{anchor}" font-size="{size}">'
                for line, cell in found:
                    yield (
                        f'<text x="{line.mark[0]:g}" y="{line.mark[1]:g}">'
                        f"{markup.text(states.mark(cell))}</text>"
                    )
                yield "</g>"


def _used(cells: Iterator[Cell]) -> set[str]:
    return {state for cell in cells for state in (f"key {cell.key}", f"rows {cell.rows}")}


def _legend(used: set[str], width: float, top: float) -> tuple[list[str], int]:
    """The states of this picture with their patterns and marks; and how many rows they take."""
    keys = [state for state in reversed(states.DASHES) if f"key {state}" in used]
    rows = [state for state in states.MARKS if f"rows {state}" in used]
    each = max(1, int(width // ENTRY))
    parts = []
    for number, (state, kind) in enumerate(
        [*((k, "key") for k in keys), *((r, "rows") for r in rows)]
    ):
        x, y = number % each * ENTRY, top + number // each * 22
        if kind == "key":
            sign = f'{_strokes(state)}<path d="M{x} {y - 4:g}h44"/></g>'
        else:
            sign = (
                f'<text class="rb-marks {_class(state)}" x="{x + 22}" y="{y:g}"'
                f' text-anchor="middle">{states.MARKS[state]}</text>'
            )
        text = f"{kind} {state}" if kind == "key" else f"rows: {state}"
        parts.append(f'{sign}<text class="rb-legend-text" x="{x + 54}" y="{y:g}">{text}</text>')
    return parts, -(-len(parts) // each)


def _style() -> str:
    """The colours of a picture that is a file of its own, light and dark."""

    def colours(tones: Mapping[str, str], text: str, back: str, frame: str, edge: str) -> str:
        found = "".join(
            f".rb-lines.rb-tone-{name}{{stroke:{colour}}}"
            f".rb-marks.rb-tone-{name}{{fill:{colour};stroke:{back}}}"
            for name, colour in tones.items()
        )
        return (
            f"svg{{background:{back}}}text{{fill:{text}}}.rb-marks text{{fill:inherit}}"
            f".rb-table-box rect{{fill:{back};stroke:{edge}}}.rb-table-box path{{stroke:{edge}}}"
            f".rb-frame rect{{fill:{frame}}}{found}"
        )

    light = colours(states.LIGHT, "#1f1f24", PAPER, FRAME, EDGE)
    dark = colours(states.DARK, "#e3e3ea", "#1e1e26", "#262630", "#8a8a99")
    return (
        ".rb-lines{fill:none;stroke-width:1.4}.rb-far{opacity:.25}.rb-name{font-weight:600}"
        ".rb-marks{font-weight:700;stroke-width:2.5px;paint-order:stroke}"
        f"{light}@media (prefers-color-scheme:dark){{{dark}}}"
    )


def overview(diagram: Diagram, cells: Cells, title: str) -> str:
    """A card for each family of tables, for a page that could not hold the whole picture.

    Beyond ``MOST_CARDS`` the least remarkable ones are left out, and the last line says how many.
    """
    owner = {member: at for at, frame in enumerate(diagram.frames) for member in frame.members}
    found: list[list[Cell]] = [[] for _ in diagram.frames]
    for line in diagram.lines:
        found[owner[line.child]].append(cells[line.relationship.id])
    order = sorted(range(len(found)), key=lambda at: (-_orphans(found[at]), -len(found[at]), at))
    parts = [
        _card(diagram.frames[at], found[at], place % CARDS, place // CARDS)
        for place, at in enumerate(order[:MOST_CARDS])
    ]
    height = -(-len(parts) // CARDS) * (CARD[1] + 10) - 10
    if len(order) > MOST_CARDS:
        height += 24
        said = f"and {counted(len(order) - MOST_CARDS, 'more group')} of tables"
        parts.append(f'<text x="0" y="{height - 4}">{said}</text>')
    return _document(title, CARDS * (CARD[0] + 10) - 10, height, parts, alone=False)


def _orphans(cells: Sequence[Cell]) -> int:
    return sum(bool(cell.orphans) for cell in cells)


def _card(frame: Frame, cells: Sequence[Cell], column: int, row: int) -> str:
    x, y = column * (CARD[0] + 10), row * (CARD[1] + 10)
    bad = _orphans(cells)
    unknown = sum(cell.rows != "clean" and not cell.orphans for cell in cells)
    enforced = sum(cell.key == "enforced" for cell in cells)
    words = [f"orphan rows in {bad:,}"] if bad else []
    words += [f"? in {unknown:,}"] if unknown else []
    last = ", ".join(words) or "✓ no orphan rows"
    tone = "bad" if bad else "unknown" if unknown else "good"
    name = states.fitted(frame.title, CARD[0] - 16, BOLD)
    return (
        f'<g class="rb-family"><rect x="{x}" y="{y}" width="{CARD[0]}" height="{CARD[1]}" rx="6"'
        f' fill="{FRAME}"/>'
        f'<text class="rb-name" x="{x + 8}" y="{y + 18}">{markup.text(name)}</text>'
        f'<text x="{x + 8}" y="{y + 35}">{counted(len(frame.members), "table")},'
        f" {enforced:,} of {len(cells):,} enforced</text>"
        f'<text class="rb-marks rb-tone-{tone}" x="{x + 8}" y="{y + 52}">{last}</text></g>'
    )
