"""The built site: strict, reproducible, inert, and a function of the run records."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from bs4 import BeautifulSoup

from runbook import facts, run_folders
from runbook.embedded import EmbeddedServer
from runbook.settings import read as read_settings
from runbook.site import beside
from runbook.site.documents import required
from tests.demonstration import Demonstration

pytestmark = pytest.mark.timeout(300)


def digests(site: Path) -> dict[str, str]:
    return {
        path.relative_to(site).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in site.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def changed(demonstration: Demonstration, tmp_path: Path) -> Demonstration:
    """A copy of the demo's project, for a test that changes pages or records."""
    folder = tmp_path / "project"
    shutil.copytree(demonstration.folder, folder)
    return Demonstration(folder, demonstration.cache, demonstration.finished)


def test_every_document_is_built(demonstration: Demonstration) -> None:
    settings = read_settings(demonstration.folder)
    for name in required(settings):
        place = name.removesuffix(".md").removesuffix("index")
        assert (demonstration.site / place / "index.html").is_file(), name
    for environment in settings.environments:
        for step in settings.step:
            page = demonstration.site / "results" / environment / step.name / "index.html"
            assert step.title in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_same_records_give_the_same_bytes(changed: Demonstration) -> None:
    before = digests(changed.site)
    shutil.rmtree(changed.folder / ".cache", ignore_errors=True)
    shutil.rmtree(changed.folder / "docs" / "results")
    assert changed.runbook("site", "build").returncode == 0
    assert digests(changed.site) == before


def test_a_folder_of_somebody_else_is_not_replaced(changed: Demonstration) -> None:
    precious = changed.folder / "precious"
    precious.mkdir()
    (precious / "file").write_text("x", encoding="utf-8")
    for target in ("precious", ".", "docs"):
        found = changed.runbook("site", "build", "--output", target)
        assert found.returncode == 2
        assert found.stderr.endswith(
            f"error: {(changed.folder / target).resolve()} is not a site that was built here\n"
            "hint: name an empty or a new folder with --output\n"
        )
    assert (precious / "file").exists()


@pytest.mark.slow
def test_the_build_opens_no_connection(changed: Demonstration) -> None:
    gone = Demonstration(changed.folder, changed.folder / "no cache", changed.finished)
    assert gone.runbook("site", "build").returncode == 0
    assert not gone.cache.exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            '{{ fact("staging.core.foreign_keys.enforcd") }}',
            ["fact 'staging.core.foreign_keys.enforcd' is unknown, the nearest is"],
        ),
        (
            "There are 44 keys missing, or forty. See [there](nowhere.md).",
            ["the figure '44' is no fact", "the figure 'forty' is no fact", "'nowhere.md'"],
        ),
    ],
)
def test_what_is_not_true_fails_the_build(
    changed: Demonstration, text: str, told: list[str]
) -> None:
    page = changed.folder / "docs" / "staging-success.md"
    page.write_text(page.read_text(encoding="utf-8") + f"\n{text}\n", encoding="utf-8")
    before = digests(changed.site)
    found = changed.runbook("site", "build")
    assert found.returncode == 3
    assert "error: the site does not build:" in found.stderr
    for line in told:
        assert line in found.stderr
    assert digests(changed.site) == before


def test_a_corrupt_record_is_named(changed: Demonstration) -> None:
    folder = run_folders.newest(changed.folder / "runs", "production")
    assert folder is not None
    text = (folder / "run.json").read_text(encoding="utf-8")
    (folder / "run.json").write_text(text[: len(text) // 2], encoding="utf-8")
    found = changed.runbook("site", "build")
    assert found.returncode == 3
    assert f"{folder}/run.json: not a run record: invalid JSON: EOF while parsing" in found.stderr
    assert "remove the folder and run the runbook again" in found.stderr


@pytest.mark.slow
def test_a_past_result_is_stale_on_the_page(changed: Demonstration) -> None:
    path = changed.folder / "runbook.toml"
    text = path.read_text(encoding="utf-8").replace('fresh_for = "7d"', 'fresh_for = "0s"')
    path.write_text(text, encoding="utf-8")
    assert changed.runbook("site", "build").returncode == 0
    page = BeautifulSoup((changed.site / "index.html").read_text("utf-8"), "html.parser")
    facts = page.select("a.rb-fact[data-fresh-until]")
    assert facts
    assert all("rb-stale" in fact["class"] for fact in facts)


@pytest.mark.slow
def test_one_changed_row_changes_the_page(
    changed: Demonstration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNBOOK_CACHE", str(changed.cache))
    before = (changed.site / "results/staging/index.html").read_text("utf-8")
    server = EmbeddedServer()
    with server, psycopg.connect(server.conninfo("telecore_staging"), autocommit=True) as admin:
        move = "UPDATE public.punchlist_items SET punchlist_id = %s WHERE id = %s"
        row = admin.execute(
            "SELECT id, punchlist_id FROM public.punchlist_items ORDER BY id LIMIT 1"
        ).fetchone()
        assert row is not None
        admin.execute(move, ("gone", row[0]))
        try:
            found = changed.runbook("run", "staging")
        finally:
            admin.execute(move, (row[1], row[0]))
    assert found.returncode == 1
    assert changed.runbook("site", "build").returncode == 0
    after = (changed.site / "results/staging/index.html").read_text("utf-8")
    assert "1 orphan row in 1 relationship, 45 of 45 relationships looked at" in after
    assert "1 orphan row in 1 relationship," not in before


PAYLOAD = "{{ cycler.__init__.__globals__.os.popen('touch pwned').read() }}<script>pwn()</script>"


@pytest.mark.slow
def test_values_from_a_database_are_inert(changed: Demonstration) -> None:
    """The payload stands wherever a record holds text of the database."""
    folder = run_folders.newest(changed.folder / "runs", "production")
    assert folder is not None
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    for check in run["checks"]:
        check["message"] = PAYLOAD
        for evidence in check["evidence"]:
            evidence["rows"] = [[PAYLOAD for _ in row] for row in evidence["rows"]]
    for audit in run["audits"]:
        audit["samples"] = [PAYLOAD]
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    built = changed.runbook("site", "build")
    assert built.returncode == 0, built.stderr
    assert not list(changed.folder.rglob("pwned"))
    for path in changed.site.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        assert "<script>pwn()" not in page, path
    shown = (changed.site / "results/production/index.html").read_text("utf-8")
    assert "&lt;script&gt;pwn()" in shown


def test_every_page_has_a_policy_that_it_keeps(demonstration: Demonstration) -> None:
    pages = sorted(demonstration.site.rglob("*.html"))
    assert len(pages) > 100
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert text.count('<meta http-equiv="Content-Security-Policy"') == 1, page
        assert not re.findall(r"<[a-z][^>]* (?:style|on[a-z]+)=[^>]*>", text), page


def test_no_page_names_another_host(demonstration: Demonstration) -> None:
    loads = re.compile(
        r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=[\"']?(https?:)?//"
    )
    for path in demonstration.site.rglob("*.html"):
        assert not loads.search(path.read_text(encoding="utf-8")), path


def test_a_fact_links_to_the_cell_that_proves_it(demonstration: Demonstration) -> None:
    seen = 0
    for path in demonstration.site.rglob("index.html"):
        page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for fact in page.select("a.rb-fact"):
            target, _, anchor = str(fact["href"]).partition("#")
            proof = (path.parent / target / "index.html").resolve()
            assert proof.is_file(), (path, fact)
            if anchor:
                seen += 1
                assert f'id="{anchor}"' in proof.read_text(encoding="utf-8"), (path, fact)
    assert seen


def test_pages_are_light(demonstration: Demonstration) -> None:
    for path in (demonstration.site / "results").rglob("index.html"):
        assert path.stat().st_size < 150_000, path
    assert not list(demonstration.site.rglob("*.map"))


@pytest.mark.slow
def test_mkdocs_alone_builds_the_same_site(changed: Demonstration) -> None:
    """Our command writes files beside MkDocs; MkDocs by itself does it too."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RUNBOOK_")}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", "alone"]
    built = subprocess.run(
        command, cwd=changed.folder, env=clean, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    ours, alone = digests(changed.site), digests(changed.folder / "alone")
    assert set(alone) == set(ours)
    beside_it = [name for name in ours if name.startswith("results/") and ".html" not in name]
    beside_it.append(min(name for name in ours if name.startswith("results/relationships/")))
    assert len(beside_it) > 10
    assert {name: alone[name] for name in beside_it} == {name: ours[name] for name in beside_it}


def test_pages_link_to_files_that_mkdocs_does_not_make(demonstration: Demonstration) -> None:
    settings = read_settings(demonstration.folder)
    names = beside.names(settings, facts.collect(settings))
    assert len(names) == len(set(names)) > len(settings.environments)
    for name in names:
        assert (demonstration.site / name).stat().st_size > 100, name
        assert not (demonstration.folder / "docs" / name).exists()
    for name in settings.environments:
        home = demonstration.site / "results" / name / "index.html"
        assert 'href="run.json"' in home.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_menu_of_many_notebooks_has_environments_alone(changed: Demonstration) -> None:
    """Beyond sixty; the page of an environment leads to them all the same."""
    text = (changed.folder / "runbook.toml").read_text(encoding="utf-8")
    step = '[[step]]\nname = "more_{0}"\ntitle = "More {0}"\nnotebook = "more.ipynb"\n'
    more = "".join(step.format(number) for number in range(10))
    (changed.folder / "runbook.toml").write_text(f"{text}\n{more}", encoding="utf-8")
    built = changed.runbook("site", "build")
    assert built.returncode == 0, built.stderr
    page = BeautifulSoup((changed.site / "index.html").read_text("utf-8"), "html.parser")
    menu = [str(link["href"]) for link in page.select("nav.md-nav--primary a[href]")]
    assert "results/staging/changes/" in menu
    assert not [link for link in menu if "schema_integrity" in link]
    home = (changed.site / "results/staging/index.html").read_text("utf-8")
    assert 'href="schema_integrity/"' in home
    assert (changed.site / "results/staging/schema_integrity/index.html").is_file()


def test_search_is_light_and_has_no_tables(demonstration: Demonstration) -> None:
    index = demonstration.site / "search" / "search_index.json"
    assert index.stat().st_size < 1_000_000
    found = json.loads(index.read_text(encoding="utf-8"))["docs"]
    pages = {entry["location"].partition("#")[0] for entry in found}
    assert {"", "orphan-audits/", "results/", "results/staging/"} <= pages
    dumps = re.compile(r"results/(ledger|schema|relationships|\w+/(relationships|history))/")
    assert not [page for page in pages if dumps.match(page)]
    run = demonstration.run_of("production")
    told = " ".join(check.message for check in run.checks)
    keys = {key for audit in run.audits for key in audit.samples if len(key) > 8}
    samples = {key for key in keys if key not in told}
    assert len(samples) > 20
    assert not [key for key in samples if any(key in entry["text"] for entry in found)]
