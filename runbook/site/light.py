"""A page of a few kilobytes, for what there are thousands of: one for each relationship.

MkDocs and its theme cost milliseconds and tens of kilobytes a page. These pages share the site's
style sheets, follow the reader's choice of light or dark, and work without a script.
"""

from __future__ import annotations

from runbook import markup
from runbook.markup import Html

# nothing from another host, no inline script; inline style only as attributes of our own SVG
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:;"
    " font-src 'self'; base-uri 'none'; form-action 'none'"
)


def page(title: str, body: str, root: str, trail: tuple[tuple[str, str], ...]) -> str:
    """A whole HTML document.

    ``root`` is the relative URL of the site's root and ends with a slash; ``trail`` are titles and
    URLs, relative to the root, of the pages above it; ``body`` is HTML that is inert already.
    """
    name = markup.text(title)
    crumbs = "".join(
        f'<li><a href="{root}{url}">{markup.text(above)}</a></li>' for above, url in trail
    )
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}</title>"
        f'<link rel="icon" href="{root}assets/images/favicon.png">'
        f'<link rel="stylesheet" href="{root}assets/runbook.css">'
        f'<link rel="stylesheet" href="{root}assets/light.css">'
        f'<script src="{root}assets/light.js"></script>'
        f'<script src="{root}assets/runbook.js" defer></script></head>\n'
        '<body class="rb-light md-typeset"><a class="rb-skip" href="#content">Skip to content</a>\n'
        f'<header><nav aria-label="Breadcrumb"><ol>{crumbs}</ol></nav></header>\n'
        f'<main id="content"><h1>{name}</h1>\n{body}\n</main></body></html>\n'
    )


def definitions(rows: tuple[tuple[str, str | Html], ...]) -> str:
    """A list of terms and what they are; those that are empty are left out."""
    entries = "".join(
        f"<dt>{markup.text(term)}</dt><dd>{markup.cell(value)}</dd>"
        for term, value in rows
        if value
    )
    return f"<dl>{entries}</dl>"
