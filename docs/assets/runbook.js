// A result past its time turns stale in the reader's browser, without a new build.
(() => {
  const now = Date.now();
  for (const element of document.querySelectorAll("[data-fresh-until]")) {
    if (Date.parse(element.dataset.freshUntil) < now) {
      element.classList.add("rb-stale");
      const state = element.querySelector(".rb-state");
      if (state && element.classList.contains("rb-verdict")) {
        state.title = `was ${state.textContent}`;
        state.textContent = "STALE";
        state.className = "rb-state rb-stale";
      }
    }
  }
})();

// What the theme leaves out for the keyboard and for a screen reader.
(() => {
  const each = (selector, act) => document.querySelectorAll(selector).forEach(act);
  const text = (element) => (element ? element.textContent.trim() : "");

  each(".md-search[role=dialog]:not([aria-label])", (dialog) => dialog.setAttribute("aria-label", "Search"));
  // a section with a page of its own has an arrow without a word, and names its list by the arrow
  each("nav.md-nav[aria-labelledby]", (list) => {
    const arrow = document.getElementById(list.getAttribute("aria-labelledby"));
    const title = text(list.querySelector(".md-nav__title"));
    if (!arrow || text(arrow) || !title) return;
    const word = document.createElement("span");
    word.className = "rb-hidden";
    word.textContent = `Pages of ${title}`;
    arrow.append(word);
  });
  // the corner of a table heads nothing
  each("thead th:empty", (corner) => corner.replaceWith(document.createElement("td")));

  // What scrolls sideways can be reached and scrolled with the keyboard, and each code block's tools
  // have a name of their own. The theme adds both when it gets to them.
  const SCROLLS = ".md-typeset__scrollwrap, .jp-InputArea, .jp-RenderedHTMLCommon, pre, pre > code";
  const complete = () => {
    each(SCROLLS, (box) => {
      const scrolls = getComputedStyle(box).overflowX !== "visible" && box.scrollWidth > box.clientWidth;
      if (scrolls && !box.hasAttribute("tabindex")) box.tabIndex = 0;
    });
    document
      .querySelectorAll("nav.md-code__nav")
      .forEach((tools, at) => tools.setAttribute("aria-label", `Code block ${at + 1}`));
  };
  addEventListener("load", complete);
  addEventListener("resize", complete);
  let waiting = 0;
  const later = () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(complete);
  };
  const content = document.querySelector(".md-content");
  if (content) new MutationObserver(later).observe(content, { childList: true, subtree: true });

  // Escape closes what a fact says about itself, until the pointer and the focus have left it
  const FACT = ".rb-fact[data-about]";
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    each(`${FACT}:is(:hover, :focus)`, (fact) => fact.classList.add("rb-dismissed"));
  });
  const again = (event) => event.target.classList.remove("rb-dismissed");
  each(FACT, (fact) => {
    fact.addEventListener("pointerleave", again);
    fact.addEventListener("blur", again);
  });
})();
