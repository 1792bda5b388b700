"""The tables and relationships of a project as a picture, coloured by their state.

:func:`draw` lays out the diagram, :func:`svg` and :func:`overview` draw it for one environment,
:func:`as_json` is what the page's script draws from. All of it is pure and byte-stable.
"""

from runbook.erd.diagram import Diagram, draw
from runbook.erd.export import as_json
from runbook.erd.picture import LINKED, overview, svg

__all__ = ["LINKED", "Diagram", "as_json", "draw", "overview", "svg"]
