"""``runbook site check``: what is wrong with the documents and the built site, all at once.

Figures in prose that are no facts; facts that are unknown, or stale; links that lead nowhere, also
those that MkDocs does not look at. SQL blocks are looked at by :mod:`runbook.sql_blocks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from runbook import facts as all_facts
from runbook.settings import Settings
from runbook.site import documents, figures
from runbook.site.pages import FOLDER

_LINKS = {"a": "href", "link": "href", "img": "src", "script": "src"}


@dataclass(frozen=True)
class Fault:
    """Where something is wrong (a file and a line, or a page), and what."""

    place: str
    said: str


def pages(settings: Settings) -> tuple[Path, ...]:
    """The hand-written documents."""
    docs = settings.path(settings.project.docs)
    return tuple(
        docs / name
        for name in documents.required(settings)
        if name.endswith(".md") and not name.startswith(f"{FOLDER}/")
    )


def everything(settings: Settings, site: Path) -> tuple[Fault, ...]:
    """All faults of the documents and of a built site, but for those of the SQL."""
    return (*of_figures(settings), *of_facts(settings), *of_links(site))


def of_figures(settings: Settings) -> Iterator[Fault]:
    for page in _there(settings):
        for figure in figures.bare(page.read_text(encoding="utf-8")):
            said = f"the figure {figure.text!r} is no fact"
            yield Fault(f"{name(settings, page)}:{figure.line}", said)


def of_facts(settings: Settings) -> Iterator[Fault]:
    facts = all_facts.collect(settings)
    for page in _there(settings):
        for fact in documents.quoted(page):
            fault = documents.fault_of(facts, fact)
            if fault:
                yield Fault(name(settings, page), f"fact {fact!r}: {fault}")


class _Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := values.get(key))}
        target = values.get(_LINKS.get(tag, ""))
        if target is not None:
            self.links.append(target)


def of_links(site: Path) -> Iterator[Fault]:
    """Links inside the built site to files or anchors that are not there."""
    known: dict[Path, _Page] = {}
    for path in sorted(site.rglob("*.html")):
        known[path] = _Page()
        known[path].feed(path.read_text(encoding="utf-8"))
    for path, page in known.items():
        for target in dict.fromkeys(page.links):
            fault = _dead(site, path, target, known)
            if fault:
                yield Fault(path.relative_to(site).as_posix(), fault)


def _dead(site: Path, page: Path, target: str, known: dict[Path, _Page]) -> str:
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or page.name == "404.html":
        return ""  # another host; and the page for what is not there has absolute links
    found = page
    if parts.path:
        found = (page.parent / unquote(parts.path)).resolve()
        found = found / "index.html" if found.is_dir() else found
    if not found.is_file() or not found.is_relative_to(site.resolve()):
        return f"the link {target!r} leads nowhere"
    anchor = unquote(parts.fragment)
    there = known[found].anchors if found in known else set()
    if anchor and found in known and anchor not in there and anchor != "__top":
        return f"the link {target!r} leads to no anchor"
    return ""


def _there(settings: Settings) -> Iterable[Path]:
    return (page for page in pages(settings) if page.is_file())


def name(settings: Settings, page: Path) -> str:
    return page.relative_to(settings.folder).as_posix()
