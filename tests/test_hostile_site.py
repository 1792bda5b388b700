"""A database that means harm: its names and values are inert in everything that is made of it."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import nbformat
import psycopg
import pytest
import tomlkit
import yaml
from bs4 import BeautifulSoup
from psycopg import sql

from runbook.embedded import EmbeddedServer
from runbook.site import serve
from tests import project, shop
from tests.places import HOSTILE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

COMMAND = "{{ cycler.__init__.__globals__.os.popen('touch pwned').read() }}"
NAMES = (
    *HOSTILE, "<script>pwn()</script>", "<img src=x onerror=pwn()>", "{{ 6*7 }}", "{% raw %}",
    "[pwn](javascript:pwn())", "*a* **b** `c`", "</code></pre><h1>", "\u202eevil\u2066", "&lt;",
    '" onmouseover="pwn()', "![pwn](http://pwn.example/)", "<!--", "]]>", "=cmd|'/c calc'!A1",
)  # fmt: skip
VALUES = (
    *NAMES, COMMAND, "<script>pwn()</script>" + "x" * 10_000, "a\nb\r\n<script>pwn()</script>",
    "{% include '/etc/passwd' %}", "<svg onload=pwn()>", '--8<-- "runbook.toml"', "$(pwn) $pwn$",
    "\x1b[31mred\x07", "\u2028\u2029", "</script><script>pwn()</script>",
)  # fmt: skip
# what hides or turns around text: nowhere in what a reader sees, not even escaped for a browser
TURNING = re.compile("[\u202a-\u202e\u2066-\u2069\u200b-\u200f\u2028\u2029\x00-\x08\x1b]")


@dataclass(frozen=True)
class Made:
    """The project's folder after a run and a build, and how both ended."""

    folder: Path
    run: subprocess.CompletedProcess[str]
    build: subprocess.CompletedProcess[str]


def relationships() -> str:
    """One for each hostile name: a column of the child, named like the parent's table."""
    document = tomlkit.document()
    tables = tomlkit.aot()
    for name in NAMES:
        entry = tomlkit.table()
        quoted = '"' + name.replace('"', '""') + '"'
        entry.update(
            {
                "child": "children",
                "columns": [name],
                "parent": f"public.{quoted}",
                "references": ["key"],
                "priority": "high",
                "alert": "critical",
                "why": name,
            }
        )
        tables.append(entry)
    document.append("relationship", tables)
    return tomlkit.dumps(document)


def make_database(server: EmbeddedServer) -> str:
    dsn = shop.make_database(server, "hostile")
    with psycopg.connect(server.conninfo("hostile"), autocommit=True) as owner:
        columns = sql.SQL(", ").join(
            sql.SQL("{} text").format(sql.Identifier(name)) for name in NAMES
        )
        owner.execute(sql.SQL("CREATE TABLE children (id text PRIMARY KEY, {})").format(columns))
        for name in NAMES:
            owner.execute(
                sql.SQL("CREATE TABLE {} (key text PRIMARY KEY)").format(sql.Identifier(name))
            )
        insert = sql.SQL("INSERT INTO children VALUES ({})").format(
            sql.SQL(", ").join([sql.Placeholder()] * (len(NAMES) + 1))
        )
        short = [value[:2000] for value in VALUES]  # an index row holds no more
        for key in short:
            owner.execute(insert, [key, *(short[n % len(short)] for n in range(len(NAMES)))])
    return dsn


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with tempfile.TemporaryDirectory(prefix="fkr-test-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedServer(Path(folder) / "server") as own:
            yield own


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, server: EmbeddedServer) -> Made:
    folder = tmp_path_factory.mktemp("hostile")
    shop.make(folder)
    (folder / "relationships.toml").write_text(relationships(), encoding="utf-8")
    assert len(tomllib.loads(relationships())["relationship"]) == len(NAMES)
    for step, body in {
        "census": "from runbook.report import show\nshow(step.take_census())",
        "orders": "from runbook.report import show\nshow(step.audit())\n"
        "show(step.look_alikes())\nshow(step.check('types_aligned'))",
        "verdict": "from runbook.report import show\nshow(step.judge())",
    }.items():
        cells = (shop.OPEN.format(step), body, "step.finish()")
        project.notebook(folder / "notebooks" / f"{step}.ipynb", *cells)
    shutil.copytree(project.ROOT / "docs" / "assets", folder / "docs" / "assets")
    (folder / "docs" / "index.md").write_text("# Start\n", encoding="utf-8")
    config = yaml.safe_load((project.ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    config["nav"] = [{"Start": "index.md"}, {"Results": "results/index.md"}]
    (folder / "mkdocs.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "PG"))}
    clean |= {"PYTHONPATH": str(project.ROOT), "SHOP_URL": make_database(server)}

    def runbook(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "runbook", *arguments]
        return subprocess.run(
            command, cwd=folder, env=clean, capture_output=True, text=True, check=False
        )

    return Made(folder, runbook("run", "shop"), runbook("site", "build"))


def test_it_was_looked_at_and_published(made: Made) -> None:
    assert made.run.returncode == 0, made.run.stderr
    assert made.build.returncode == 0, made.build.stderr
    (record,) = made.folder.glob("runs/shop/*/run.json")
    found = json.loads(record.read_text(encoding="utf-8"))
    audits = [a for a in found["audits"] if a["relationship"]["child"]["table"] == "children"]
    assert [audit["state"] for audit in audits] == ["orphans"] * len(NAMES)
    assert all(audit["samples"] for audit in audits)
    pages = list(made.folder.glob("site/results/relationships/*.html"))
    assert len(pages) == len(NAMES)
    assert not list(made.folder.rglob("pwned"))


def test_no_page_has_markup_of_the_database(made: Made) -> None:
    pages = sorted(made.folder.glob("site/**/*.html"))
    assert len(pages) > len(NAMES)
    for path in pages:
        text = path.read_text(encoding="utf-8")
        page = BeautifulSoup(text, "html.parser")
        ours = [tag for tag in page.find_all("script") if "pwn" in (tag.string or "")]
        assert ours == [], path
        assert not page.select('[onerror], [onload], [onmouseover], [src="x"]'), path
        urls = [str(tag.get(name, "")) for tag in page.find_all(True) for name in ("href", "src")]
        assert not [url for url in urls if url.startswith(("javascript:", "http://pwn"))], path
        assert not TURNING.search(text), path
        shown = page.get_text()
        assert "42" not in re.findall(r"refers to (\S+)", shown), path


def test_pictures_and_files_for_machines_are_whole(made: Made) -> None:
    site = made.folder / "site"
    pictures = list(site.rglob("*.svg"))
    assert pictures
    for path in pictures:
        names = {element.tag.rpartition("}")[2] for element in ET.parse(path).iter()}  # noqa: S314 - our own
        assert not names & {"script", "foreignObject", "img", "image"}, path
        assert not TURNING.search(path.read_text(encoding="utf-8")), path
    for path in site.rglob("*.json"):
        json.loads(path.read_text(encoding="utf-8"))
    for path in (*site.rglob("*.xml"), *made.folder.glob("runs/**/*.xml")):
        ET.parse(path)  # noqa: S314 - our own
    with (site / "results" / "ledger" / "ledger.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert {len(row) for row in rows} == {8}
    assert not [value for row in rows for value in row if value[:1] in "=+-@\t\r" and value]
    for path in made.folder.glob("runs/**/*.ipynb"):
        nbformat.validate(nbformat.read(path, as_version=4))


def test_a_terminal_gets_no_control_characters(made: Made) -> None:
    said = made.run.stdout + made.run.stderr + made.build.stdout + made.build.stderr
    assert not re.findall("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", said)


@pytest.mark.browser
def test_nothing_runs_in_a_browser(made: Made, chromium: Any) -> None:
    server = serve.server(made.folder / "site", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    context = chromium.new_context()
    said: list[str] = []
    context.add_init_script("window.pwn = () => { throw new Error('pwned') }")
    page = context.new_page()
    page.on("console", lambda line: said.append(line.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on(
        "request", lambda asked: None if asked.url.startswith((address, "data:", "blob:"))
        else said.append(asked.url)
    )  # fmt: skip
    paths = [path.parent.relative_to(made.folder / "site").as_posix()
             for path in sorted((made.folder / "site").glob("**/index.html"))]  # fmt: skip
    for path in paths:
        page.goto(f"{address}{path}/")
        page.wait_for_load_state("networkidle")
    server.shutdown()
    server.server_close()
    context.close()
    assert said == []
