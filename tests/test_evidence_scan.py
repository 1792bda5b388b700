"""The output scan: what it finds, in whatever shape, and what becomes of a run that has it."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from urllib.parse import quote

import nbformat
import pytest

from runbook import record
from runbook.errors import IncompleteError
from runbook.evidence import output, scan
from runbook.evidence.scan import Hit
from runbook.findings import Status
from runbook.settings import Settings
from runbook.verdict import State
from tests.evidence_runs import make_key, recorded, settings_in

SECRET = "cañary<&>\"'\\ 100%/value"


@pytest.fixture(autouse=True)
def _canary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", SECRET)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path / "project")


def kinds(text: str, suffix: str = ".txt") -> list[str]:
    return list(scan.kinds(text.encode(), suffix))


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        (SECRET, ".txt"),
        (SECRET, ""),
        (html.escape(SECRET), ".xml"),
        (html.escape(SECRET, quote=False), ".html"),
        ("".join(f"&#{ord(letter)};" for letter in SECRET), ".xml"),
        (quote(SECRET), ".txt"),
        (quote(SECRET, safe=""), ".txt"),
        (repr(SECRET), ".txt"),
        (json.dumps({"a": [{"b": SECRET}]}), ".json"),
        (json.dumps({SECRET: 1}), ".json"),
        (json.dumps({"a": SECRET}, ensure_ascii=False), ".json"),
        (json.dumps({"a": f"{{'k': {SECRET!r}}}"}), ".json"),
        (json.dumps({"a": html.escape(SECRET)}), ".ipynb"),
        (json.dumps({"a": html.escape(SECRET).replace("&#x27;", "&#39;")}), ".ipynb"),
        (json.dumps({"text": [SECRET[:5], SECRET[5:]]}), ".ipynb"),
        (json.dumps({"text": SECRET[:5] + "\x1b[0;31m" + SECRET[5:]}), ".ipynb"),
        ('{"a": "' + SECRET, ".json"),
    ],
)
def test_a_value_is_found_however_it_is_written(text: str, suffix: str) -> None:
    assert kinds(f"before {text} after" if suffix == ".txt" else text, suffix) == [
        "the value of 'DEPLOY_TOKEN'"
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("password=hunter2", "a password"),
        ("PGPASSWORD = 'hunter2'", "a password"),
        ("postgresql://u:hunter2@h/d", "a password in a URL"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE", "a private key"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", "a private key"),
    ],
)
def test_a_secret_is_found_by_its_place(text: str, kind: str) -> None:
    assert kinds(text) == [kind]
    assert kinds(json.dumps({"outputs": [text.splitlines(keepends=True)]}), ".ipynb") == [kind]


def test_a_key_of_openssh_is_found(tmp_path: Path) -> None:
    assert kinds(make_key(tmp_path).read_text(encoding="utf-8")) == ["a private key"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "password=•••",
        "postgresql://u:•••@h/d and https://example.org:8080/a",
        'FATAL: password authentication failed for user "u"',
        "-----BEGIN PUBLIC KEY-----\nMIIE\n-----END PUBLIC KEY-----",
        "DEPLOY_TOKEN",
        SECRET[:-1],
    ],
)
def test_what_holds_no_secret_is_not_found(text: str) -> None:
    assert kinds(text) == []


def test_what_cannot_be_read_is_not_taken_for_clean() -> None:
    assert list(scan.kinds(b"\x89PNG\xff", ".png")) == ["what is no text"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert scan.look(tmp_path) == (Hit("link", "a link to another file"),)


def test_a_clean_run_is_left_alone(settings: Settings) -> None:
    folder = recorded(settings)
    before = record.digests(folder)
    run = record.read(folder)
    assert scan.guarded(folder, run) is run
    assert record.digests(folder) == before


def test_a_run_with_a_secret_counts_for_nothing(settings: Settings) -> None:
    folder = recorded(settings)
    run = record.read(folder)
    assert run.verdicts[0].state is State.GO
    (folder / "fine.ipynb").write_text(json.dumps({"cells": [SECRET]}), encoding="utf-8")
    (folder / "more.csv").write_text(f"a,b\n1,{SECRET}\n", encoding="utf-8")
    found = scan.guarded(folder, run)
    said = "fine.ipynb held the value of 'DEPLOY_TOKEN' and was removed"
    assert found.verdicts[0].state is State.UNKNOWN
    assert found.verdicts[0].reasons == (said, said.replace("fine.ipynb", "more.csv"))
    assert (found.steps[0].status, found.steps[0].failure) == ("failed", said)
    assert [(check.check, check.status) for check in found.checks if check.check == "keys"] == [
        ("keys", Status.COULD_NOT_LOOK)
    ]
    assert not (folder / "more.csv").exists()
    (cell,) = nbformat.read(folder / "fine.ipynb", as_version=4).cells
    assert cell.source == (
        "**This notebook held the value of 'DEPLOY_TOKEN' and was removed.** Its step counts as"
        " failed."
    )
    assert scan.look(folder) == ()


def test_the_record_itself_is_redacted(settings: Settings) -> None:
    folder = recorded(settings)
    run = record.read(folder)
    step = run.steps[0].model_copy(update={"failure": f"it said {SECRET}"})
    found = scan.guarded(folder, run.model_copy(update={"steps": (step,)}))
    assert found.steps[0].failure == "it said •••"
    assert found.verdicts[0].state is State.GO


def test_a_record_that_cannot_be_redacted_is_not_written(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fact's name is a secret: names are not masked, since others look for them."""
    folder = recorded(settings)
    run = record.read(folder)
    monkeypatch.setenv("DEPLOY_TOKEN", "canary.of.a.name")
    step = run.steps[0].model_copy(update={"facts": {"canary.of.a.name": 1}})
    with pytest.raises(IncompleteError) as caught:
        scan.guarded(folder, run.model_copy(update={"steps": (step,)}))
    assert str(caught.value) == (
        f"{folder}: the run record holds the value of 'DEPLOY_TOKEN' and was not written\n"
        "hint: look for where it comes from: it cannot be masked without breaking the record"
    )


def test_a_notebook_is_redacted_before_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x.ipynb"
    image = base64.b64encode(b"picture").decode()
    outputs = [
        nbformat.v4.new_output("stream", text=f"a\n{SECRET}\npassword=short\n"),
        nbformat.v4.new_output(
            "display_data",
            data={"text/html": f"<b>{html.escape(SECRET)}</b>", "image/png": image},
        ),
        nbformat.v4.new_output(
            "error", ename="E", evalue="postgresql://u:short@h/d", traceback=[f"at {SECRET!r}"]
        ),
    ]
    cell = nbformat.v4.new_code_cell("run()", outputs=outputs, execution_count=1)
    content = nbformat.v4.new_notebook(cells=[cell], metadata={"said": SECRET})
    output.RedactedNotebooks().write(nbformat.writes(content), output.place(path))
    read = nbformat.read(path, as_version=4)
    stream, shown, error = read.cells[0].outputs
    assert stream.text == "a\n•••\npassword=•••\n"
    assert shown.data == {"text/html": "<b>•••</b>", "image/png": image}
    assert (error.evalue, error.traceback) == ("postgresql://u:•••@h/d", ["at '•••'"])
    assert read.metadata.said == "•••"
    assert read.cells[0].source == "run()"
    assert scan.look(tmp_path) == ()
