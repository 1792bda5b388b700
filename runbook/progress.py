"""Progress on standard error: bars on a terminal, else plain lines, or JSON objects."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from runbook import messages
from runbook.messages import Field, Level

SIGN_OF_LIFE_SECONDS = 10.0


class Task:
    """One row of progress: something with ``total`` steps, or of unknown length (None)."""

    def __init__(self, progress: Progress, name: str, total: int | None) -> None:
        self._progress = progress
        self._name = name
        self._total = total
        self._done = 0
        self._running: list[str] = []
        self._lock = threading.RLock()
        self._row = progress.bars.add_task(name, total=total, what="", start=False)

    def step(self, name: str, state: str) -> None:
        """A step ``started``, or ended with any other state."""
        with self._lock:
            if state == "started":
                self._running.append(name)
            else:
                self._running = [other for other in self._running if other != name]
                self._done += 1
            failed = state == "failed"
            self._say(
                f"{name} {state}",
                what=", ".join(self._running),
                level=Level.ERROR if failed else Level.INFO,
                plain_only=not failed,
                step=name,
                state=state,
            )

    def of(self, total: int, text: str) -> None:
        """One of a ``total`` that was not known at first is done; ``text`` says what."""
        self._total = total
        self.advance(text)

    def advance(self, text: str) -> None:
        """One of the total is done; ``text`` says what."""
        with self._lock:
            self._done += 1
            self._say(text)

    def line(self, text: str) -> None:
        """What is happening now, or what is waited for."""
        with self._lock:
            self._say(text)

    @contextmanager
    def waiting(self, text: str, every: float = SIGN_OF_LIFE_SECONDS) -> Iterator[None]:
        """Say what is waited for, and again ``every`` so many seconds while it lasts.

        A terminal shows the seconds in the bar instead.
        """
        self.line(text)
        ended = threading.Event()
        started = time.monotonic()

        def tell() -> None:
            while not ended.wait(every):
                self.line(f"{text}, {time.monotonic() - started:.0f} s so far")

        thread = threading.Thread(target=tell, daemon=True, name=f"waiting-{self._name}")
        if not self._progress.live:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            if thread.ident is not None:
                thread.join()

    def done(self) -> None:
        with self._lock:
            self._total = self._total or 1
            self._done = self._total
            self._say("done", what="")

    def _say(
        self,
        text: str,
        *,
        what: str | None = None,
        level: Level = Level.INFO,
        plain_only: bool = True,
        **fields: Field,
    ) -> None:
        bars = self._progress.bars
        bars.start_task(self._row)
        shown = text if what is None else what
        bars.update(self._row, completed=self._done, total=self._total, what=shown)
        counts: dict[str, Field] = {"task": self._name, "done": self._done, "total": self._total}
        if not messages.emit(level, text, **counts, **fields):
            self._progress.line(f"{self._name}: {text}", plain_only=plain_only)


class Progress:
    """A context that shows the rows of its tasks while it lasts."""

    def __init__(self, console: Console) -> None:
        self.live = console.is_terminal and not messages.is_json()
        self._console = console
        self.bars = Bars(
            TextColumn("{task.description:>12}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[what]}", markup=False),
            console=console,
            disable=not self.live,
        )

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bars.stop()

    def task(self, name: str, total: int | None) -> Task:
        return Task(self, name, total)

    def line(self, text: str, *, plain_only: bool) -> None:
        """Print a line; ``plain_only``: not where bars already say it."""
        if not (self.live and plain_only):
            self._console.print(text, markup=False, soft_wrap=True)
