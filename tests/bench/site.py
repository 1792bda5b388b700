"""How a large site builds: ``python -m tests.bench.site --help``.

A made-up project is built with ``runbook site build``, once whole and once after one environment
got a new run; then the same notebooks are built the stock way, with MkDocs and mkdocs-jupyter.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.console import Console

from runbook import run_folders
from runbook.site import serve
from tests import browsing
from tests.bench import results, site_project
from tests.bench.site_project import Size

MEGABYTE = 1_000_000
QUIET = {"DISABLE_MKDOCS_2_WARNING": "true", "NO_COLOR": "1"}
RELATIONSHIPS = "results/relationships/*.html"
FIRST_VIEWS = tuple(
    f"{folder}index.html" for folder in ("", "results/ledger/", "results/schema/", "results/*/*/")
)
PAINTED = 'performance.getEntriesByName("first-contentful-paint")[0].startTime'
STOCK = """site_name: Stock
theme: material
plugins:
  - search
  - mkdocs-jupyter:
      include: ["*.ipynb"]
"""


@dataclass(frozen=True)
class Built:
    """A site in bytes, and the seconds that it took."""

    seconds: float
    all_bytes: int
    largest_page: int
    largest_relationship: int
    search_index: int


def build(folder: Path, command: Sequence[str]) -> Built:
    """Run ``command`` in ``folder``, which builds into site/; ends the benchmark if it fails."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=os.environ | QUIET,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - begun
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    site = folder / "site"
    sizes = {path: path.stat().st_size for path in site.rglob("*") if path.is_file()}
    pages = {path: size for path, size in sizes.items() if path.suffix == ".html"}
    relationships = [s for path, s in pages.items() if path.match(RELATIONSHIPS)]
    return Built(
        seconds,
        sum(sizes.values()),
        max(pages.values()),
        max(relationships, default=0),
        sizes.get(site / "search" / "search_index.json", 0),
    )


def stock(project: Path, folder: Path, names: Sequence[str]) -> Built:
    """The newest notebooks of ``project`` by MkDocs and mkdocs-jupyter as they come."""
    for name in names:
        newest = run_folders.newest(project / "runs", name)
        if newest is None:
            raise SystemExit(f"no run of {name}")
        (folder / "docs" / name).mkdir(parents=True)
        for notebook in newest.glob("*.ipynb"):
            shutil.copy(notebook, folder / "docs" / name)
    (folder / "docs" / "index.md").write_text("# Start\n", encoding="utf-8")
    (folder / "mkdocs.yml").write_text(STOCK, encoding="utf-8")
    return build(folder, ("mkdocs", "build"))


def first_view(site: Path) -> float:
    """The most milliseconds until something was painted, over a page of each kind.

    In a headless Chromium with an empty cache, from a server on this machine
    (https://developer.mozilla.org/en-US/docs/Glossary/First_contentful_paint).
    """
    server = serve.server(site, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    times = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browsing.CHROMIUM, args=browsing.OPTIONS
        )
        for pattern in (*FIRST_VIEWS, RELATIONSHIPS):
            found = min(site.glob(pattern))
            page = browser.new_context().new_page()
            page.goto(address + found.relative_to(site).as_posix())
            page.wait_for_load_state("networkidle")
            times.append(page.evaluate(PAINTED))
        browser.close()
    server.shutdown()
    server.server_close()
    return float(max(times))


def measure(folder: Path, size: Size, say: Console) -> dict[str, results.Value]:
    project, plain = folder / "project", folder / "stock"
    project.mkdir()
    plain.mkdir()
    site_project.write(project, size)
    whole = build(project, ("runbook", "site", "build"))
    say.print(f"whole: {whole}")
    items = site_project.relationships(size)
    number = size.runs // size.environments
    end = datetime.now(UTC).replace(microsecond=0)
    site_project.add_run(project, size, items, size.names[0], number, end)
    again = build(project, ("runbook", "site", "build"))
    say.print(f"after one more run: {again}")
    painted = first_view(project / "site")
    say.print(f"first view: {painted:.0f} ms")
    other = stock(project, plain, size.names)
    say.print(f"stock, the notebooks alone: {other}")
    return facts_of(size, whole, again, other) | {"site.first_view_ms": round(painted)}


def facts_of(size: Size, whole: Built, again: Built, other: Built) -> dict[str, results.Value]:
    """Seconds, megabytes (a million bytes) and kilobytes, and ratios of the stock way to ours."""
    return {
        "site.tables": size.tables,
        "site.relationships": size.relationships,
        "site.environments": size.environments,
        "site.runs": size.runs,
        "site.findings": size.findings_a_step * size.steps * size.environments,
        "site.pages": size.steps * size.environments,
        "site.rows": size.rows,
        "site.seconds": results.rounded(whole.seconds),
        "site.megabytes": results.rounded(whole.all_bytes / MEGABYTE),
        "site.largest_page_kb": round(whole.largest_page / 1000),
        "site.relationship_page_kb": results.rounded(whole.largest_relationship / 1000),
        "site.search_index_kb": round(whole.search_index / 1000),
        "site.again_seconds": results.rounded(again.seconds),
        "site.stock_seconds": results.rounded(other.seconds),
        "site.stock_megabytes": results.rounded(other.all_bytes / MEGABYTE),
        "site.stock_search_index_kb": round(other.search_index / 1000),
        "site.stock_largest_page_kb": round(other.largest_page / 1000),
        "site.load": f"{os.getloadavg()[0]:.1f}",
        "site.cores": os.cpu_count() or 1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Size()
    for name in vars(default):
        parser.add_argument(f"--{name}", type=int, default=getattr(default, name))
    parser.add_argument("--save", type=Path, help="JSON file whose facts the site quotes")
    given = vars(parser.parse_args())
    save = given.pop("save")
    with tempfile.TemporaryDirectory(prefix="fkr-site-") as folder:
        facts = measure(Path(folder), Size(**given), Console(width=140))
    if save:
        results.save(save, "site", {}, facts)


if __name__ == "__main__":
    main()
