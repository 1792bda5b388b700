"""Progress on the terminal: bars where it is one, plain lines where it is not."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars


class Task:
    """One row of progress: something with ``total`` steps, or of unknown length (None)."""

    def __init__(self, progress: Progress, name: str, total: int | None) -> None:
        self._progress = progress
        self._name = name
        self._running: list[str] = []
        self._row = progress.bars.add_task(name, total=total, what="", start=False)

    def step(self, name: str, state: str) -> None:
        """A step ``started``, or ended with any other state."""
        self._progress.bars.start_task(self._row)
        if state == "started":
            self._running.append(name)
        else:
            self._running.remove(name)
            self._progress.bars.advance(self._row)
        self._progress.bars.update(self._row, what=", ".join(self._running))
        if state != "started" or not self._progress.live:
            self._progress.line(f"{self._name}: {name} {state}", plain_only=state != "failed")

    def of(self, total: int, text: str) -> None:
        """One of a ``total`` that was not known at first is done; ``text`` says what."""
        self._progress.bars.update(self._row, total=total)
        self.advance(text)

    def advance(self, text: str) -> None:
        """One of the total is done; ``text`` says what."""
        self._progress.bars.start_task(self._row)
        self._progress.bars.advance(self._row)
        self._progress.bars.update(self._row, what=text)
        self._progress.line(f"{self._name}: {text}", plain_only=True)

    def line(self, text: str) -> None:
        """What is happening now."""
        self._progress.bars.start_task(self._row)
        self._progress.bars.update(self._row, what=text)
        self._progress.line(f"{self._name}: {text}", plain_only=True)

    def done(self) -> None:
        self._progress.bars.start_task(self._row)
        self._progress.bars.update(self._row, total=1, completed=1, what="")
        self._progress.line(f"{self._name}: done", plain_only=True)


class Progress:
    """A context that shows the rows of its tasks while it lasts."""

    def __init__(self, console: Console) -> None:
        self.live = console.is_terminal
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
