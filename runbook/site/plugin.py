"""The MkDocs plugin ``runbook``: result pages, their place in the navigation, light notebooks.

List it before ``macros`` and ``mkdocs-jupyter`` in mkdocs.yml.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mkdocs.config.base import Config
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import BasePlugin
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pathspec.gitignore import GitIgnoreSpec

from runbook import facts
from runbook.errors import RunbookError
from runbook.facts import Facts
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.site import (
    aside,
    beside,
    build,
    changes_page,
    erd_page,
    figures,
    fleet,
    ledger_page,
    pages,
    policy,
    search_worker,
    templates,
)

RESULTS = f"{pages.FOLDER}/index.md"

_log = logging.getLogger("mkdocs.plugins.runbook")
MOST_IN_MENU = 60  # notebooks; beyond, the page of an environment leads to its own
LARGEST_SEARCHED = 50_000  # characters of a notebook page; a larger one is tables
_TABLE = re.compile(r'<div\b(?=[^>]*\bclass="rb-table")')  # nbconvert sorts the attributes
REFERENCE = "reference/"  # whose tables are there to be found
_STYLE = re.compile(r"<style\b.*?</style>", re.DOTALL)
_SCRIPT = re.compile(r"<script\b.*?</script>", re.DOTALL)
_PLAIN = re.compile(r'<div class="clipboard-copy-txt".*?</div>', re.DOTALL)
_COPY = re.compile(r'<div class="zeroclipboard-container">.*?</clipboard-copy>\s*</div>', re.DOTALL)


class Options(Config):
    """The plugin has no options: everything is in runbook.toml."""


class RunbookPlugin(BasePlugin[Options]):
    """Serves MkDocs from run records; opens no connection."""

    _settings: Settings
    _facts: Facts
    _aside: Mapping[str, Sequence[str]]  # the tables of a result page, by its path in docs/

    def on_config(self, config: MkDocsConfig) -> MkDocsConfig:
        """Write the result pages and put them into the navigation."""
        build.collect_less_garbage()
        templates.compile_once()
        try:
            self._settings = read_settings(Path(config.config_file_path).parent)
            self._facts = facts.collect(self._settings)
            self._aside = pages.write(self._settings, self._facts)
        except RunbookError as error:
            raise PluginError(str(error)) from None
        unlisted = GitIgnoreSpec.from_lines([f"/{pages.FOLDER}/*/*.ipynb"])
        config.not_in_nav = unlisted + config.not_in_nav if config.not_in_nav else unlisted
        if config.nav is not None:
            config.nav = [self._entry(entry) for entry in config.nav]
        return config

    def on_files(self, files: Files, *, config: MkDocsConfig) -> Files:
        """Tell MkDocs of the files that it does not make, so that pages can link to them."""
        for name in beside.names(self._settings, self._facts):
            files.append(File.generated(config, name, content=""))
        return files

    def _entry(self, entry: Any) -> Any:
        """An entry of the navigation; that of the results gets a section an environment."""
        if not isinstance(entry, dict) or RESULTS not in entry.values():
            return entry
        docs = self._settings.path(self._settings.project.docs)
        few = len(self._settings.step) * len(self._settings.environments) <= MOST_IN_MENU
        section: list[Any] = [RESULTS, {"Ledger": f"{ledger_page.FOLDER}/index.md"}]
        section.append({"Schema": f"{erd_page.FOLDER}/index.md"})
        for environment in self._settings.environments.values():
            home = f"{pages.FOLDER}/{environment.name}"
            inside: list[Any] = [f"{home}/index.md"]
            if (docs / home / "relationships.md").exists():
                inside.append({"Relationships": f"{home}/relationships.md"})
            if (docs / home / "history.md").exists():
                inside.append({"Runs": f"{home}/history.md"})
            inside.append({"Changes": f"{home}/{changes_page.NAME}"})
            if few:
                inside += [
                    {step.title: f"{home}/{step.name}.ipynb"}
                    for step in self._settings.step
                    if (docs / home / f"{step.name}.ipynb").exists()
                ]
            section.append({environment.title: inside})
        if (docs / pages.FOLDER / fleet.PAGE).exists():
            section.append({"Fleet": f"{pages.FOLDER}/{fleet.PAGE}"})
        return {next(iter(entry)): section}

    def on_page_markdown(
        self, markdown: str, *, page: Page, config: MkDocsConfig, files: Files
    ) -> str:
        """Warn, and so fail a strict build, for every figure that is no fact."""
        if page.file.src_uri.startswith(f"{pages.FOLDER}/"):
            return markdown
        source = Path(str(page.file.abs_src_path)).read_text(encoding="utf-8")
        for figure in figures.bare(source):
            _log.warning(
                "%s:%s: the figure %r is no fact; write it as a fact, or as code",
                page.file.src_uri,
                figure.line,
                figure.text,
            )
        return markdown

    def on_post_page(self, output: str, *, page: Page, config: MkDocsConfig) -> str:
        """Allow the page its own scripts, and nothing else."""
        return policy.with_policy(output)

    def on_post_template(
        self, output_content: str, *, template_name: str, config: MkDocsConfig
    ) -> str:
        """The same for the page of what is not there, which is no page to MkDocs."""
        is_page = template_name.endswith(".html")
        return policy.with_policy(output_content) if is_page else output_content

    def on_post_build(self, *, config: MkDocsConfig) -> None:
        """Add what MkDocs does not make, and mend the search."""
        site = Path(config.site_dir)
        if beside.WRITTEN_ELSEWHERE not in os.environ:
            try:
                beside.write(self._settings, site)
            except RunbookError as error:
                raise PluginError(str(error)) from None
        for source_map in site.glob("assets/**/*.map"):  # megabytes for who debugs the theme
            source_map.unlink()
        if not search_worker.mend(site):
            _log.info("the theme's search script is not a known one: it is left as it is")

    def on_page_content(self, html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
        """Take tables of results out of the search, and nbconvert's styles and scripts out of a
        notebook page; the site has its own.
        """
        is_notebook = page.file.src_uri.endswith(".ipynb")
        if is_notebook:
            for pattern in (_STYLE, _SCRIPT, _COPY, _PLAIN):
                html = pattern.sub("", html)
            html = html.replace("highlight-ipynb", "highlight")
        html = aside.put_back(html, self._aside.get(page.file.src_uri, ()))
        if not page.file.src_uri.startswith(REFERENCE):
            html = _TABLE.sub("<div data-search-exclude", html)
        if is_notebook and len(html) > LARGEST_SEARCHED:
            page.meta["search"] = {"exclude": True}
        return html
