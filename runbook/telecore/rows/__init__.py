"""The rows of the demo databases, one iterator for each table.

Everything follows from a row's number: no clock, no random numbers, so that two loads hold
the same rows, and a larger scale begins with the rows of a smaller one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

Value = str | int | bool | date | datetime | None
Row = tuple[Value, ...]
Rows = Iterator[Row]
