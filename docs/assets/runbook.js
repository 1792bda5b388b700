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
