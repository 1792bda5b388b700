// The ledger: filter, sort, page and link to any of it. Every value becomes text, never markup.
(() => {
  const place = document.getElementById("rb-ledger");
  if (!place) return;
  const PAGE = 100;
  const BAD = ["orphans", "could not look", "not looked", "estimated"];

  const make = (tag, properties = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name.includes("-") || name === "for" || name === "role") element.setAttribute(name, value);
      else element[name] = value;
    }
    element.append(...children);
    return element;
  };
  const badge = (state) =>
    make("span", {
      className: `rb-state rb-${state.toLowerCase().replace(/[^a-z]+/g, "-")}`,
      textContent: state,
    });

  function start(ledger) {
    for (const row of ledger.rows) {
      row.cells = row.cells.map((cell) => Object.fromEntries(ledger.cell.map((name, at) => [name, cell[at]])));
    }
    const states = [...new Set(ledger.rows.flatMap((row) => row.cells.flatMap((c) => [c.key, c.rows])))];
    const query = new URLSearchParams(location.search);
    const view = {
      find: query.get("find") || "",
      state: query.get("state") || "",
      environment: query.get("environment") || "",
      differ: query.has("differ"),
      sort: query.get("sort") || "",
      down: query.has("down"),
      page: Math.max(0, Number(query.get("page") || 1) - 1),
    };

    const search = make("input", { type: "search", id: "rb-find", value: view.find });
    const select = (id, options, chosen) => {
      const box = make("select", { id });
      for (const [value, title] of options) {
        box.append(make("option", { value, textContent: title, selected: value === chosen }));
      }
      return box;
    };
    const environment = select(
      "rb-environment",
      [["", "any environment"], ...ledger.environments.map((e) => [e.name, e.title])],
      view.environment,
    );
    const state = select(
      "rb-state",
      [["", "any state"], ...states.sort().map((name) => [name, name])],
      view.state,
    );
    const differ = make("input", { type: "checkbox", id: "rb-differ", checked: view.differ });
    const said = make("p", { role: "status" });
    const body = make("div");
    const label = (text, control) => make("label", { for: control.id }, `${text} `, control);
    place.replaceChildren(
      make(
        "form",
        { className: "rb-filter", role: "search" },
        label("Search", search),
        label("State", state),
        label("in", environment),
        make("label", { for: differ.id }, differ, " environments disagree"),
      ),
      said,
      body,
    );
    place.firstChild.addEventListener("submit", (event) => event.preventDefault());

    const wanted = (row) => {
      const words = view.find.toLowerCase().split(/\s+/).filter(Boolean);
      const text = `${row.label} ${row.target} ${row.group} ${row.priority} ${row.alert}`.toLowerCase();
      if (!words.every((word) => text.includes(word))) return false;
      if (view.differ && !row.disagreement) return false;
      if (!view.state) return true;
      return row.cells.some(
        (cell, at) =>
          (!view.environment || ledger.environments[at].name === view.environment) &&
          (cell.key === view.state || cell.rows === view.state),
      );
    };
    const RANK = { critical: 0, high: 1, medium: 2, low: 3 };
    const value = (row) => {
      if (view.sort === "label" || view.sort === "target" || view.sort === "group") return row[view.sort];
      if (view.sort === "priority") return RANK[row.priority];
      const at = ledger.environments.findIndex((e) => e.name === view.sort);
      if (at < 0) return 0;
      const cell = row.cells[at];
      return cell.orphans === null ? -1 : cell.orphans;
    };
    const compare = (a, b) => {
      const [one, other] = [value(a), value(b)];
      const order = typeof one === "string" ? one.localeCompare(other) : one - other;
      return view.down ? -order : order;
    };

    const columns = [
      ["label", "relationship"],
      ["target", "refers to"],
      ["group", "group"],
      ["priority", "priority"],
      ...ledger.environments.map((e) => [e.name, e.title]),
    ];
    function heading([name, title]) {
      const button = make("button", { type: "button", textContent: title });
      const sorted = view.sort === name ? (view.down ? "descending" : "ascending") : "none";
      button.addEventListener("click", () => {
        view.down = view.sort === name ? !view.down : false;
        view.sort = name;
        view.page = 0;
        show();
        place.querySelector(`th[data-name="${CSS.escape(name)}"] button`).focus();
      });
      return make("th", { scope: "col", "aria-sort": sorted, "data-name": name }, button);
    }
    function line(row) {
      const link = make("a", { href: row.page, textContent: row.label });
      const cells = row.cells.map((cell, at) => {
        const { measured, fresh_until } = cell.key === "not looked" ? {} : ledger.environments[at];
        const old = fresh_until && Date.parse(fresh_until) < Date.now();
        const rows = cell.orphans ? `${cell.orphans.toLocaleString("en")} orphan rows` : cell.rows;
        const title = measured ? `looked at ${measured}${old ? ", stale" : ""}` : "no run";
        const small = make("small", { textContent: rows + (old ? " (stale)" : "") });
        if (BAD.includes(cell.rows)) small.className = "rb-attention";
        return make("td", { title }, badge(cell.key), " ", small);
      });
      return make(
        "tr",
        { title: row.disagreement },
        make("td", {}, link),
        make("td", { textContent: row.target }),
        make("td", { textContent: row.group }),
        make("td", { textContent: row.priority }),
        ...cells,
      );
    }
    function turn(title, by, possible) {
      const button = make("button", { type: "button", textContent: title, disabled: !possible });
      button.addEventListener("click", () => {
        view.page += by;
        show();
      });
      return button;
    }
    function show() {
      const found = ledger.rows.filter(wanted);
      if (view.sort) found.sort(compare);
      const pages = Math.max(1, Math.ceil(found.length / PAGE));
      view.page = Math.min(view.page, pages - 1);
      const shown = found.slice(view.page * PAGE, (view.page + 1) * PAGE);
      said.textContent = `${found.length.toLocaleString("en")} of ${ledger.rows.length.toLocaleString("en")} relationships`;
      const table = make(
        "table",
        {},
        make("thead", {}, make("tr", {}, ...columns.map(heading))),
        make("tbody", {}, ...shown.map(line)),
      );
      const parts = [
        make(
          "div",
          { className: "rb-table", tabIndex: 0, role: "region", "aria-label": "Ledger" },
          table,
        ),
      ];
      if (pages > 1) {
        parts.push(
          make(
            "p",
            { className: "rb-pages" },
            turn("Back", -1, view.page > 0),
            ` ${view.page + 1} of ${pages} `,
            turn("Next", 1, view.page < pages - 1),
          ),
        );
      }
      body.replaceChildren(...parts);
      remember();
    }
    function remember() {
      const kept = new URLSearchParams();
      for (const name of ["find", "state", "environment", "sort"]) if (view[name]) kept.set(name, view[name]);
      if (view.differ) kept.set("differ", "");
      if (view.down) kept.set("down", "");
      if (view.page) kept.set("page", view.page + 1);
      const text = kept.toString();
      history.replaceState(null, "", text ? `?${text}` : location.pathname);
    }
    const changed = () => {
      Object.assign(view, {
        find: search.value,
        state: state.value,
        environment: environment.value,
        differ: differ.checked,
        page: 0,
      });
      show();
    };
    for (const control of [search, state, environment, differ]) {
      control.addEventListener("input", changed);
    }
    show();
  }

  fetch(place.dataset.source)
    .then((answer) => (answer.ok ? answer.json() : Promise.reject(answer.status)))
    .then(start)
    .catch(() => {
      // the plain table stays: it says the same
    });
})();
