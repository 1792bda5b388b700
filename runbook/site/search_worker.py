"""The theme's search worker, without a fault of lunr that breaks search on a site of numbers.

lunr names a node of its token set by its edges, each written as its letter and then the number of
the node that it leads to. Where the letters are digits two different nodes get one name: ``1``
to 2 and ``3`` to 4 reads ``1234``, and so does ``1`` to 234. They are merged, the set then holds
words that no page has, and every query that meets one of them fails: after a build whose run ids
collide, "run" finds nothing (https://github.com/olivernn/lunr.js/issues/503 is the same).
A separator between the edges ends it.
"""

from __future__ import annotations

from pathlib import Path

_NAME = "e=e+s+o.id}return e}"  # the end of lunr.TokenSet.prototype.toString in Material 9
_CLEAR_NAME = 'e=e+","+s+o.id}return e}'


def mend(site: Path) -> bool:
    """Mend the workers of a built site; false if one of them is not the known script."""
    known = True
    for path in sorted((site / "assets" / "javascripts" / "workers").glob("search.*.js")):
        script = path.read_text(encoding="utf-8")
        known &= _NAME in script or _CLEAR_NAME in script
        if _NAME in script:
            path.write_text(script.replace(_NAME, _CLEAR_NAME), encoding="utf-8")
    return known
