"""The commands ``runbook bundle``, ``runbook import`` and ``runbook verify``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from runbook import record, run_folders
from runbook.errors import IncompleteError, UsageError
from runbook.evidence import bundle as bundles
from runbook.evidence import signature as signatures
from runbook.evidence import verify as verification
from runbook.evidence.verify import Report
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.terminal import EnvironmentName, Folder, out

RunId = Annotated[
    str | None, typer.Option("--run", help="Id of the run, as 20261231T235959Z; default: newest.")
]
Unsigned = Annotated[
    bool, typer.Option("--unsigned", help="Be content with the digests where nobody has signed.")
]


def bundle(
    environment: EnvironmentName,
    run: RunId = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="Sign with this OpenSSH key before packing.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write; default: by the run's id.")
    ] = None,
    project: Folder = None,
) -> None:
    """Pack a run record into one file that can be carried, and sign it.

    \b
    The same run gives the same bytes. --key takes a private key, or a public one whose private
    half ssh-agent or a hardware key holds; the signature stays with the run as run.json.sig.
    Exit codes:
      0  packed
      1  a file of the run is not as it was recorded
      2  wrong usage or settings
      3  the run cannot be read, or a file of it holds a secret
    \b
    Examples:
      runbook bundle staging
      runbook bundle production --key id_ed25519 -o production.zip
    """
    settings = read_settings(project)
    folder = _folder(settings, environment, run)
    packed = bundles.pack(folder)  # before signing: nobody signs what is not as it was recorded
    if key:
        content = (folder / record.FILE_NAME).read_bytes()
        made = signatures.sign(content, key)
        record.write_atomically(folder / signatures.FILE_NAME, made)
        packed = bundles.pack(folder)
    path = output or Path(f"{environment}-{folder.name}.zip")
    record.write_atomically(path, packed)
    signed = (folder / signatures.FILE_NAME).exists()
    state = "signed" if signed else "unsigned"
    out.print(f"{escape(str(path))}: {len(packed):,} bytes, {state}", soft_wrap=True)


def import_(
    file: Annotated[Path, typer.Argument(help="A file of runbook bundle.")],
    unsigned: Unsigned = False,
    project: Folder = None,
) -> None:
    """Take a run record from a bundle into this project's runs.

    \b
    The run appears whole or not at all, and never in place of another. Where runbook.toml names
    signers, one of them must have signed it.
    Exit codes:
      0  imported, or there already
      1  a digest or the signature is wrong, or the signature is missing
      2  wrong usage or settings, or no bundle
      3  it could not be looked at completely, or a file of it holds a secret
    \b
    Examples:
      runbook import production.zip
      runbook import staging.zip --unsigned
    """
    settings = read_settings(project)
    report, new = bundles.bring(settings, file, unsigned)
    out.print(f"{'imported' if new else 'there already'}: {report.environment} {report.run_id}")
    _show(report)


def verify(
    target: Annotated[
        str | None,
        typer.Argument(help="An environment, a bundle or a run folder; default: all environments."),
    ] = None,
    run: RunId = None,
    unsigned: Unsigned = False,
    project: Folder = None,
) -> None:
    """Hold run records against their digests, their signature and their own results.

    \b
    Only a record that a signer of runbook.toml has signed is verified; digests alone show that
    nothing was damaged, and anybody can write them.
    Exit codes:
      0  verified
      1  a digest or the signature is wrong
      2  wrong usage or settings
      3  undecided: unsigned, no signers to hold it against, or another verdict by its results
    \b
    Examples:
      runbook verify
      runbook verify production
      runbook verify production.zip
    """
    settings = read_settings(project)
    codes = []
    for report in _reports(settings, target, run):
        _show(report)
        codes.append(report.exit_code(unsigned))
    raise typer.Exit(1 if 1 in codes else max(codes))


def _reports(settings: Settings, target: str | None, run: str | None) -> Iterator[Report]:
    if target is None and run is None:
        folders = [run_folders.newest(settings.runs, name) for name in settings.environments]
        found = [folder for folder in folders if folder is not None]
        if not found:
            raise IncompleteError(f"no run in {settings.runs}", "run the runbook, or import a run")
        yield from (verification.look(settings, folder) for folder in found)
    elif target is None or target in settings.environments:
        if target is None:
            raise UsageError("--run needs an environment", "write runbook verify ENV --run RUN")
        yield verification.look(settings, _folder(settings, target, run))
    elif Path(target).is_dir():
        yield verification.look(settings, Path(target))
    elif Path(target).is_file():
        with tempfile.TemporaryDirectory(prefix="fkr-") as folder:
            bundles.unpack(Path(target), Path(folder))
            yield verification.look(settings, Path(folder))
    else:
        known = ", ".join(settings.environments)
        raise UsageError(
            f"no environment, bundle or run folder {target!r}",
            f"name a file, a folder or one of: {known}",
        )


def _folder(settings: Settings, environment: str, run: str | None) -> Path:
    """The folder of a run; raises :class:`UsageError` when there is none."""
    name = settings.environment(environment).name
    folder = settings.runs / name / run if run else run_folders.newest(settings.runs, name)
    if folder is None or not (folder / record.FILE_NAME).is_file():
        which = f"no run {run!r}" if run else "no run"
        raise UsageError(
            f"environment {name!r} has {which} in {settings.runs / name}",
            f"run it: runbook run {name}",
        )
    return folder


def _show(report: Report) -> None:
    colour, word = ("green", "verified") if report.verified else ("yellow", "not verified")
    if report.wrong:
        colour, word = "red", "wrong"
    said = [report.signature.state.value]
    if report.signature.by:
        said = [f"{said[0]} by {report.signature.by}"]
    if report.signature.reason:
        said.append(report.signature.reason)
    digests = "all as recorded" if not report.faults else f"{len(report.faults)} not as recorded"
    out.print(
        f"[bold]{escape(report.environment)}[/bold] {escape(report.run_id)}:"
        f" [{colour}]{word}[/{colour}]; {escape(': '.join(said))}; {report.files} files, {digests}",
        soft_wrap=True,
    )
    for line in (*report.faults, *report.doubts, *report.notes):
        out.print(f"  {escape(line)}", soft_wrap=True)
