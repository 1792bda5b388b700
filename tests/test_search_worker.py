"""The search of a site whose words are numbers: run ids, digests, dates."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from runbook.site import search_worker

WORKERS = "assets/javascripts/workers"
# 30 sets of 3,000 words of hexadecimal digits; the generator is that of POSIX rand()
SETS_THAT_HOLD_OTHER_WORDS = """() => {
  let state = 12345
  const random = (below) => {
    state = (state * 1103515245 + 12345) % 2147483648
    return Math.floor(state / 2147483648 * below)
  }
  let wrong = 0
  for (let round = 0; round < 30; round++) {
    const words = new Set()
    for (let i = 0; i < 3000; i++) {
      let word = ""
      for (let left = 3 + random(6); left > 0; left--) word += "0123456789abcdef"[random(16)]
      words.add(word)
    }
    const wanted = [...words].sort()
    const held = lunr.TokenSet.fromArray(wanted).toArray().sort()
    if (held.join() !== wanted.join()) wrong++
  }
  return wrong
}"""


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A built site as far as its search worker goes, with the one of the installed theme."""
    theme = Path(str(resources.files("material"))) / "templates"
    shutil.copytree(theme / WORKERS, tmp_path / WORKERS)
    return tmp_path


def worker(site: Path) -> str:
    (path,) = (site / WORKERS).glob("search.*.js")
    return path.read_text(encoding="utf-8")


def test_the_installed_theme_s_worker_is_mended_once(built: Path) -> None:
    before = worker(built)
    assert search_worker.mend(built)
    mended = worker(built)
    assert len(mended) == len(before) + len('","+')
    assert search_worker.mend(built)
    assert worker(built) == mended


def test_an_unknown_worker_is_left_and_told(built: Path) -> None:
    (path,) = (built / WORKERS).glob("search.*.js")
    path.write_text("self.onmessage = () => {}", encoding="utf-8")
    assert not search_worker.mend(built)
    assert worker(built) == "self.onmessage = () => {}"


@pytest.mark.browser
@pytest.mark.timeout(120)
def test_the_search_holds_the_words_that_it_was_given(built: Path, chromium: Any) -> None:
    def wrong(script: str) -> int:
        page = chromium.new_page()
        page.add_script_tag(content=script)
        found = int(page.evaluate(SETS_THAT_HOLD_OTHER_WORDS))
        page.close()
        return found

    assert wrong(worker(built)) == 1, "the theme's own fault: if it is gone, so can our mend"
    search_worker.mend(built)
    assert wrong(worker(built)) == 0
