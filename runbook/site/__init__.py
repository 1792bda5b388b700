"""The published site: run records in, Markdown and HTML out.

:mod:`pages` writes the result pages into docs/results, :mod:`plugin` and :mod:`macros` serve
MkDocs, :mod:`build` runs it. Nothing here opens a database connection.
"""

from __future__ import annotations
