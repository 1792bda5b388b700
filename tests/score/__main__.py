"""Scores discovery on schemas whose keys are known: ``python -m tests.score --help``."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from runbook import charts
from runbook.discovery.proposal import Found
from runbook.schema import Shape
from tests.bench import results
from tests.bench.results import Value
from tests.conftest import ROOT
from tests.score import adjudicated, fit, fit_rows, layout, others, rows, tracks
from tests.score.layout import Known
from tests.score.measure import Score, macro, micro, score
from tests.score.rows import WithRows
from tests.score.tracks import Tracks

PLOT = "discovery-calibration.svg"
BINS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("schemas", type=Path, help="folder of NAME.json, and data/NAME/*.csv.gz")
    parser.add_argument("--no-data", action="store_true", help="from declarations alone")
    parser.add_argument("--leave-one-out", action="store_true", help="fit without the schema too")
    parser.add_argument("--fit", action="store_true", help="print weights fitted to the schemas")
    parser.add_argument("--fit-rows", action="store_true", help="the same for rows alone")
    parser.add_argument("--further", type=Path, help="folder of schemas that weigh less in --fit")
    parser.add_argument("--name", default="score", help="what the facts are called")
    parser.add_argument("--save", type=Path, help="JSON file whose facts the site quotes")
    return parser.parse_args()


def of_score(name: str, found: Score) -> dict[str, Value]:
    values = {"f1": found.f1, "precision": found.precision, "recall": found.recall}
    return {f"score.{name}.{key}": results.rounded(value) for key, value in values.items()}


def of_tracks(known: Sequence[Known], found: Tracks, seconds: float) -> dict[str, Value]:
    """The facts of the tracks that need no rows."""
    facts: dict[str, Value] = {
        "score.schemas": len(known),
        "score.tables": sum(len(each.schema.tables) for each in known),
        "score.keys": sum(len(each.answer) for each in known),
        "score.seconds": results.rounded(seconds),
        "score.macro": results.rounded(macro(found.ddl.values())),
        "score.scrubbed": results.rounded(macro(found.scrubbed.values())),
        "score.half": results.rounded(macro(micro(each) for each in found.half.values())),
        "score.half_whole": results.rounded(
            macro(micro(each) for each in found.half_whole.values())
        ),
        "score.polymorphic": found.polymorphic,
        "score.polymorphic_proposed": found.polymorphic_proposed,
    }
    facts |= of_score("micro", micro(found.ddl.values()))
    facts |= of_accepted("accepted", known, found.accepted)
    facts |= of_score("composite", micro(found.composite.values()))
    for name, each in found.ddl.items():
        facts |= of_score(f"of.{name}", each)
    for low, right, of in calibration(found):
        facts |= {f"score.at.{low:.1f}.share": right, f"score.at.{low:.1f}.proposals": of}
    return facts


def of_accepted(
    head: str, known: Sequence[Known], proposed: Mapping[str, frozenset[Shape]]
) -> dict[str, Value]:
    """The tier that is taken without a person: against declared keys, then adjudicated."""
    answers = {each.name: each.answer for each in known}
    strict = [score(shapes, answers[name]) for name, shapes in proposed.items()]
    judged = adjudicated.judge(proposed, answers, adjudicated.read())
    return of_score(head, micro(strict)) | {
        f"score.{head}.proposals": judged.proposals,
        f"score.{head}.adjudicated.precision": results.rounded(judged.precision),
        f"score.{head}.adjudicated.references": judged.references,
        f"score.{head}.adjudicated.wrong": judged.wrong,
        f"score.{head}.adjudicated.undecided": judged.undecided,
        f"score.{head}.adjudicated.without_entry": judged.without_entry,
    }


def of_unseen(known: Sequence[Known], found: Mapping[str, Found]) -> dict[str, Value]:
    """What is found with weights that were fitted to the other schemas alone."""
    scores = [score(tracks.proposed(found[each.name]), each.answer) for each in known]
    accepted = {name: tracks.accepted(each) for name, each in found.items()}
    return {
        "score.unseen.macro": results.rounded(macro(scores)),
        "score.unseen.micro": results.rounded(micro(scores).f1),
    } | of_accepted("unseen.accepted", known, accepted)


def calibration(found: Tracks) -> list[tuple[float, float, int]]:
    """For each tenth of confidence: its lower end, the share that was right, and of how many."""
    table = []
    for low in BINS:
        inside = [ok for chance, ok in found.confidences if low <= chance < low + 0.1 - 1e-9]
        if low == BINS[-1]:
            inside = [ok for chance, ok in found.confidences if chance >= low]
        if inside:
            table.append((low, results.rounded(sum(inside) / len(inside)), len(inside)))
    return table


def of_others(known: Sequence[Known]) -> dict[str, Value]:
    facts: dict[str, Value] = {}
    for title, rule in others.RULES.items():
        found = [score(frozenset(rule(each.stripped)), each.answer) for each in known]
        head = f"score.other.{results.slug(title)}"
        facts |= {f"{head}.micro": results.rounded(micro(found).f1)}
        facts |= {f"{head}.macro": results.rounded(macro(found))}
    return facts


def of_rows(found: Sequence[WithRows]) -> dict[str, Value]:
    facts: dict[str, Value] = {
        "score.data.macro": results.rounded(macro(each.score for each in found)),
        "score.data.schemas": len(found),
    }
    facts |= of_hashed(found)
    for each in found:
        facts[f"score.data.{each.name}.f1"] = results.rounded(each.score.f1)
        facts[f"score.data.{each.name}.seconds"] = results.rounded(each.seconds)
        facts[f"score.data.{each.name}.tests"] = each.tests
        facts[f"score.hashed.{each.name}.f1"] = results.rounded(each.hashed.score.f1)
    for number, share in enumerate(rows.SHARES):
        head = f"score.orphans.{str(share * 100).rstrip('0').rstrip('.').replace('.', '_')}"
        injected = [each.injections[number] for each in found]
        facts[f"{head}.keys"] = sum(each.keys for each in injected)
        facts[f"{head}.exact"] = sum(each.exact for each in injected)
        facts[f"{head}.proposed"] = sum(each.proposed for each in injected)
    return facts


def of_hashed(found: Sequence[WithRows]) -> dict[str, Value]:
    """What rows alone tell: the tiers that count, all tiers, and weights of other schemas."""
    facts: dict[str, Value] = {}
    lessons = [each.hashed.lesson for each in found], [each.lesson for each in found]
    for head, scores in (
        ("hashed", [each.hashed.score for each in found]),
        ("hashed.every", [each.hashed.every for each in found]),
        ("hashed.unseen", fit_rows.unseen(*lessons)),
    ):
        facts[f"score.{head}.macro"] = results.rounded(macro(scores))
        facts[f"score.{head}.proposals"] = micro(scores).proposed
        facts |= of_score(f"{head}.micro", micro(scores))
    return facts


def plot(found: Tracks) -> str:
    """Bars: of the proposals of each tenth of confidence, the share that was right."""
    bars = [
        charts.Bar(f"{low:.1f} to {low + 0.1:.1f} ({of:,})", right)
        for low, right, of in calibration(found)
    ]
    figure = charts.bars("Proposals that were right, by confidence", "right", bars)
    svg = re.search(r"<svg.*</svg>", figure, re.DOTALL)
    if svg is None:
        raise ValueError("the chart holds no SVG")
    return svg[0] + "\n"


def show(facts: Mapping[str, Value], say: Console) -> None:
    table = Table("fact", "value")
    for name, value in facts.items():
        table.add_row(name, str(value))
    say.print(table)


def main() -> None:
    given, say = arguments(), Console()
    known = layout.read(given.schemas)
    if given.fit:
        further = layout.read(given.further) if given.further else ()
        say.print(fit.source(fit.weights(known, further)), markup=False)
        return
    if given.fit_rows:
        measured = list(rows.measure(known))
        lessons = [each.hashed.lesson for each in measured] + [each.lesson for each in measured]
        say.print(fit.source(fit_rows.weights(lessons)), markup=False)
        return
    started = time.perf_counter()
    found = tracks.measure(known)
    facts = of_tracks(known, found, time.perf_counter() - started) | of_others(known)
    if given.leave_one_out:
        facts |= of_unseen(known, fit.leave_one_out(known))
    if not given.no_data and any(each.data for each in known):
        facts |= of_rows(list(rows.measure(known)))
    facts = {f"{given.name}{name.removeprefix('score')}": value for name, value in facts.items()}
    show(facts, say)
    if given.save:
        results.save(given.save, given.name, {}, facts)
    if given.save and given.name == "score":
        (ROOT / "docs" / PLOT).write_text(plot(found), encoding="utf-8")


if __name__ == "__main__":
    main()
