"""Where boxes stand that refer to each other: in layers, what is referred to on the left.

The steps are those of Sugiyama, Tagawa and Toda (https://doi.org/10.1109/TSMC.1981.4308636): break
cycles, choose layers, order each layer so that few lines cross, then align. No randomness: the same
boxes give the same places.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

GAP = 18.0  # between boxes of a layer
LANE = 4.0  # between lines that run side by side
SWEEPS = 8

Size = tuple[float, float]
Edge = tuple[int, int]  # child, parent
Lane = tuple[float, float, float]  # a line runs level from one x to another, at y


@dataclass(frozen=True)
class Placement:
    """``boxes`` are x and y of each box; ``lanes`` where an edge passes each layer between.

    Lanes are in the order from the child to the parent. ``left_of`` says for each edge whether the
    parent is on the left.
    """

    boxes: tuple[tuple[float, float], ...]
    lanes: tuple[tuple[Lane, ...], ...]
    left_of: tuple[bool, ...]
    width: float
    height: float


@dataclass
class _Item:
    """A box or, where ``box`` is None, the trunk of all lines to one box through a layer."""

    layer: int
    height: float
    box: int | None
    before: dict[int, int] = field(default_factory=dict)  # item on the left: number of lines
    after: dict[int, int] = field(default_factory=dict)
    y: float = 0.0  # of its middle


def place(sizes: Sequence[Size], edges: Sequence[Edge]) -> Placement:
    """Places for boxes of ``sizes`` (width, height); no edge refers to its own box."""
    order = _acyclic(len(sizes), edges)
    ranks = _ranks(sizes, edges, order)
    items, routes = _items(sizes, edges, ranks)
    layers = _ordered(items, max(ranks, default=-1) + 1)
    _align(items, layers)
    lefts, widths = _columns(sizes, items, layers)
    top = min((item.y - item.height / 2 for item in items), default=0.0)
    height = max((item.y + item.height / 2 for item in items), default=0.0) - top
    boxes = tuple(
        (lefts[item.layer], round(item.y - item.height / 2 - top, 1))
        for item in items[: len(sizes)]
    )
    left_of = tuple(ranks[parent] < ranks[child] for child, parent in edges)

    def lane(at: int, number: int, *, left: bool) -> Lane:
        item = items[at]
        y = round(item.y - item.height / 2 + LANE * (number + 0.5) - top, 1)
        ends = lefts[item.layer], lefts[item.layer] + widths[item.layer]
        return (ends[1], ends[0], y) if left else (*ends, y)

    lanes = tuple(
        tuple(lane(*step, left=left) for step in (reversed(route) if left else route))
        for route, left in zip(routes, left_of, strict=True)
    )
    width = lefts[-1] + widths[-1] if lefts else 0.0
    return Placement(boxes, lanes, left_of, width, round(height, 1))


def _acyclic(count: int, edges: Sequence[Edge]) -> list[int]:
    """The boxes in an order in which parents come first, except where references form a cycle."""
    parents: list[list[int]] = [[] for _ in range(count)]
    for child, parent in edges:
        parents[child].append(parent)
    found: list[int] = []
    seen = [False] * count
    for start in range(count):
        stack = [(start, iter(parents[start]))] if not seen[start] else []
        seen[start] = True
        while stack:
            node, rest = stack[-1]
            for parent in rest:
                if not seen[parent]:
                    seen[parent] = True
                    stack.append((parent, iter(parents[parent])))
                    break
            else:
                found.append(node)
                stack.pop()
    return found


def _ranks(sizes: Sequence[Size], edges: Sequence[Edge], order: Sequence[int]) -> list[int]:
    """The layer of each box: right of its parents, in the first one that has room."""
    place_of = {node: at for at, node in enumerate(order)}
    above: list[list[int]] = [[] for _ in sizes]
    below: list[list[int]] = [[] for _ in sizes]
    for pair in edges:
        high, low = sorted(pair, key=place_of.__getitem__)
        above[low].append(high)
        below[high].append(low)
    room = max(5, math.ceil(1.5 * math.sqrt(len(sizes))))
    ranks, load = [0] * len(sizes), [0] * (len(sizes) + 1)
    for node in order:
        rank = max((ranks[parent] + 1 for parent in above[node]), default=0)
        while load[rank] >= room:
            rank += 1
        ranks[node] = rank
        load[rank] += 1
    for node in reversed(order):  # who has no parents stands beside the first child
        nearest = min((ranks[child] for child in below[node]), default=0) - 1
        if not above[node] and nearest > ranks[node] and load[nearest] < room:
            load[ranks[node]] -= 1
            load[nearest] += 1
            ranks[node] = nearest
    used = {rank: number for number, rank in enumerate(sorted(set(ranks)))}
    return [used[rank] for rank in ranks]


def _items(
    sizes: Sequence[Size], edges: Sequence[Edge], ranks: Sequence[int]
) -> tuple[list[_Item], list[list[tuple[int, int]]]]:
    """Boxes and trunks; and for each edge (trunk, number of its lane) from left to right."""
    items = [
        _Item(rank, size[1], at) for at, (rank, size) in enumerate(zip(ranks, sizes, strict=True))
    ]
    trunks: dict[tuple[int, int], int] = {}
    routes: list[list[tuple[int, int]]] = []
    for child, parent in edges:
        left, right = (parent, child) if ranks[parent] < ranks[child] else (child, parent)
        route: list[tuple[int, int]] = []
        before = left
        for layer in range(ranks[left] + 1, ranks[right]):
            at = trunks.get((left, layer))
            if at is None:
                at = trunks[left, layer] = len(items)
                items.append(_Item(layer, 0.0, None))
            route.append((at, round(items[at].height / LANE)))
            items[at].height += LANE
            _link(items, before, at)
            before = at
        _link(items, before, right)
        routes.append(route)
    return items, routes


def _link(items: Sequence[_Item], left: int, right: int) -> None:
    items[left].after[right] = items[left].after.get(right, 0) + 1
    items[right].before[left] = items[right].before.get(left, 0) + 1


def _ordered(items: Sequence[_Item], count: int) -> list[list[int]]:
    """The items of each layer from top to bottom, in the order with the fewest crossings seen."""
    layers: list[list[int]] = [[] for _ in range(count)]
    for at, item in enumerate(items):
        layers[item.layer].append(at)
    best, least = [list(layer) for layer in layers], _crossings(items, layers)
    for sweep in range(SWEEPS):
        if not least:
            break
        forward = sweep % 2 == 0
        for number in range(1, count) if forward else range(count - 2, -1, -1):
            beside = layers[number - 1 if forward else number + 1]
            place_of = {at: place for place, at in enumerate(beside)}
            own = {at: place for place, at in enumerate(layers[number])}
            share = len(beside) / max(len(own), 1)
            layers[number].sort(key=_barycentre(items, place_of, own, share, forward=forward))
        crossed = _crossings(items, layers)
        if crossed < least:
            best, least = [list(layer) for layer in layers], crossed
    return best


def _barycentre(
    items: Sequence[_Item],
    place_of: dict[int, int],
    own: dict[int, int],
    share: float,
    *,
    forward: bool,
) -> Callable[[int], float]:
    """The mean place of an item's neighbours in the layer beside; without any, where it is."""

    def key(at: int) -> float:
        near = items[at].before if forward else items[at].after
        if not near:
            return own[at] * share
        return sum(place_of[n] * lines for n, lines in near.items()) / sum(near.values())

    return key


def _crossings(items: Sequence[_Item], layers: Sequence[Sequence[int]]) -> int:
    """How many pairs of lines between neighbouring layers cross."""
    total = 0
    for left, right in pairwise(layers):
        place_of = {at: place for place, at in enumerate(right)}
        ends: list[int] = []
        for at in left:
            for end in sorted(place_of[n] for n in items[at].after):
                total += len(ends) - bisect.bisect_right(ends, end)
                bisect.insort(ends, end)
    return total


def _align(items: Sequence[_Item], layers: Sequence[Sequence[int]]) -> None:
    """Set each ``y``: near its neighbours, in the order of the layer and without overlap."""
    for layer in layers:
        _settle(items, layer, [0.0] * len(layer))
    for sweep in range(2 * SWEEPS):
        for layer in layers if sweep % 2 else reversed(layers):
            _settle(items, layer, [_wanted(items, at) for at in layer])


def _wanted(items: Sequence[_Item], at: int) -> float:
    near = [*items[at].before.items(), *items[at].after.items()]
    # a trunk should rather be straight than near to a box
    weights = [(n, lines * (4 if items[n].box is None else 1)) for n, lines in near]
    total = sum(weight for _, weight in weights)
    return sum(items[n].y * weight for n, weight in weights) / total if total else items[at].y


def _settle(items: Sequence[_Item], layer: Sequence[int], wanted: Sequence[float]) -> None:
    """The places nearest to ``wanted`` (least squares) that keep order and distance.

    Less the distances the places only have to ascend, which pooling neighbours gives exactly.
    """
    offsets = list(_offsets(items, layer))
    pools: list[tuple[float, int]] = []  # mean, members
    for target, offset in zip(wanted, offsets, strict=True):
        mean, members = target - offset, 1
        while pools and pools[-1][0] >= mean:
            other, more = pools.pop()
            mean, members = (mean * members + other * more) / (members + more), members + more
        pools.append((mean, members))
    means = (mean for mean, members in pools for _ in range(members))
    for at, mean, offset in zip(layer, means, offsets, strict=True):
        items[at].y = round(mean + offset, 3)


def _offsets(items: Sequence[_Item], layer: Sequence[int]) -> Iterator[float]:
    """How far below the first item each of a layer is when they stand as close as they may."""
    below = 0.0
    for number, at in enumerate(layer):
        half = items[at].height / 2
        below += (half + GAP) if number else 0.0
        yield below
        below += half


def _columns(
    sizes: Sequence[Size], items: Sequence[_Item], layers: Sequence[Sequence[int]]
) -> tuple[list[float], list[float]]:
    """Left and width of each layer; the more lines between two, the wider the gap."""
    lefts: list[float] = []
    widths = [
        max((sizes[items[at].box or 0][0] for at in layer if items[at].box is not None), default=0)
        for layer in layers
    ]
    left = 0.0
    for layer, width in zip(layers, widths, strict=True):
        lefts.append(left)
        lines = sum(sum(items[at].after.values()) for at in layer)
        left += width + min(40 + 1.5 * lines, 70)
    return lefts, widths
