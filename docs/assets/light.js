// Before anything is painted: the palette that the reader chose on the other pages.
(() => {
  let scheme = matchMedia("(prefers-color-scheme: dark)").matches ? "slate" : "default";
  try {
    for (const key of Object.keys(localStorage)) {
      if (!key.endsWith(".__palette")) continue;
      const palette = JSON.parse(localStorage.getItem(key));
      const chosen = palette && palette.color && palette.color.scheme;
      if (palette && palette.color && palette.color.media === "(prefers-color-scheme)") continue;
      if (chosen === "slate" || chosen === "default") scheme = chosen;
    }
  } catch {
    // storage may be closed to us; then the system decides
  }
  document.documentElement.dataset.mdColorScheme = scheme;
})();
