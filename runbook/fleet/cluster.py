"""Where the workers are: Dask processes of this machine's own, or those of a given scheduler."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import dask
from distributed import Client, LocalCluster, Security

from runbook import __version__
from runbook.errors import IncompleteError, UsageError

SECONDS_TO_ANSWER = 10
SECONDS_TO_RESTART = 20
ADDRESS = re.compile(r"(?:tcp|tls)://(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):\d{1,5}")
# Dask serves pages about its tasks without TLS; ours serves none
NO_PAGES: dict[str, list[str]] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
INSTALL = "pip install 'fk-runbook[fleet]'"


@dataclass
class Cluster:
    """A connection to a scheduler. ``own``: its workers are ours alone, and may be restarted."""

    client: Any
    own: bool
    threads: int = field(default=0)

    def count_threads(self) -> int:
        """The databases that the workers can look at at a time; 0 when nobody answers."""
        self.threads = 0
        with suppress(OSError):  # Dask's own errors of a lost connection are of this kind
            if self.reached():
                self.threads = sum(self.client.nthreads().values())
        return self.threads

    def reached(self) -> bool:
        """Whether the scheduler is there."""
        return bool(self.client.status == "running")

    def end_worker(self, address: str) -> None:
        """Restart the worker that does not answer: its sessions end with its process."""
        if self.own:
            self.client.restart_workers(
                [address], timeout=SECONDS_TO_RESTART, raise_for_error=False
            )


@contextmanager
def local(workers: int, hidden: frozenset[str]) -> Iterator[Cluster]:
    """Worker processes of one thread each on this machine, ended on leaving.

    They inherit the environment without the ``hidden`` variables. They listen on the loopback
    interface with certificates made for this run: no other user of the machine can give them work.
    """
    with _without(hidden), dask.config.set(NO_PAGES):
        try:
            processes = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                memory_limit=0,
                security=Security.temporary(),
                silence_logs=logging.CRITICAL,  # what matters of it is in the results
            )
        except ImportError as error:
            raise UsageError(f"TLS between the workers: {error}", INSTALL) from None
        except (OSError, RuntimeError) as error:
            raise IncompleteError(
                f"{workers} workers cannot be started: {error}", "start fewer with --workers"
            ) from None
        with processes, Client(processes) as client:
            yield Cluster(client, own=True)


@contextmanager
def _without(names: frozenset[str]) -> Iterator[None]:
    """The environment without these variables, as long as workers may be started."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


@contextmanager
def remote(address: str, patience: float) -> Iterator[Cluster]:
    """The workers of the scheduler at ``address``; raises :class:`IncompleteError` without one.

    ``patience`` is how many seconds the first worker may be waited for.
    """
    if not ADDRESS.fullmatch(address):
        raise UsageError(
            f"--scheduler: not an address: {address!r}, expected tcp://host:port or"
            " tls://host:port",
            "dask scheduler prints its address when it starts",
        )
    try:
        client = Client(address, timeout=SECONDS_TO_ANSWER, set_as_default=False)
    except OSError:
        raise IncompleteError(
            f"no Dask scheduler answers at {address!r} within {SECONDS_TO_ANSWER} s",
            "start one with dask scheduler, or leave --scheduler out for workers of this machine",
        ) from None
    with client:
        _wait_for_a_worker(client, address, patience)
        _check(client)
        yield Cluster(client, own=False)


def _wait_for_a_worker(client: Any, address: str, patience: float) -> None:
    try:
        client.wait_for_workers(1, timeout=patience)
    except TimeoutError:
        raise IncompleteError(
            f"the scheduler at {address!r} has no worker after {patience:g} s",
            f"start some: dask worker {address}",
        ) from None


def _check(client: Any) -> None:
    """Raise :class:`IncompleteError` unless every worker has this version of the package."""
    found = client.run(_versions, on_error="return")
    wanted = _versions()
    for worker, versions in sorted(found.items()):
        if isinstance(versions, BaseException):
            raise IncompleteError(
                f"the worker {worker!r} cannot import fk-runbook: {versions}",
                f"on that machine: {INSTALL}",
            )
        for package, expected in wanted.items():
            if versions[package] != expected:
                raise IncompleteError(
                    f"the worker {worker!r} has {package} {versions[package]}, expected {expected}",
                    "install the same versions on all machines",
                )


def _versions() -> dict[str, str]:
    """The versions that have to be the same on both ends, asked on a worker."""
    return {"fk-runbook": __version__, "distributed": version("distributed")}
