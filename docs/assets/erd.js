// The schema as a picture: pan, zoom, search, and one table with its neighbours. Every value becomes
// text, never markup; places are SVG attributes, so a Content-Security-Policy without inline styles
// holds. Nothing moves by itself.
(() => {
  const place = document.getElementById("rb-erd");
  if (!place) return;
  const SVG = "http://www.w3.org/2000/svg";
  const LETTER = 7.2; // wide guesses, as in the picture without a script
  const BOLD = 7.8;
  const DISTANT = 0.42; // pixels a unit: smaller, names cannot be read
  const STOPS = 60; // with more tables than this, the tab key does not stop at each
  const MATCHES = 12;

  const set = (element, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  };
  const make = (tag, attributes = {}, ...children) => set(document.createElement(tag), attributes, children);
  const draw = (tag, attributes = {}, ...children) =>
    set(document.createElementNS(SVG, tag), attributes, children);
  const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
  const cut = (text, letters) => (text.length <= letters ? text : `${text.slice(0, Math.max(letters - 1, 1))}…`);

  function start(erd) {
    const dash = Object.fromEntries(erd.keys.map((state) => [state.name, state.dash || null]));
    const tone = Object.fromEntries([...erd.rows, ...erd.keys].map((state) => [state.name, `rb-tone-${state.tone}`]));
    const now = { environment: 0, table: null, box: null, left: 0, top: 0, scale: 1, moved: false };

    // --- what stands around the picture ---------------------------------------------------------
    const button = (text, name, action) => {
      const element = make("button", { type: "button", "aria-label": name, title: name }, text);
      element.addEventListener("click", action);
      return element;
    };
    const chooser = make(
      "select",
      { id: "rb-erd-environment" },
      ...erd.environments.map((environment, at) => make("option", { value: at }, environment.title)),
    );
    const query = make("input", {
      type: "search",
      id: "rb-erd-q",
      role: "combobox",
      autocomplete: "off",
      "aria-expanded": "false",
      "aria-controls": "rb-erd-list",
      "aria-autocomplete": "list",
    });
    const list = make("ul", { id: "rb-erd-list", role: "listbox", "aria-label": "Tables", hidden: "" });
    const whole = button("Whole picture", "Whole picture (Escape)", () => choose(null));
    const svg = draw("svg", { class: "rb-erd-picture", role: "group", "font-size": 12 });
    const view = make(
      "div",
      { class: "rb-erd-view", tabindex: 0, role: "group", "aria-describedby": "rb-erd-help" },
      svg,
    );
    const status = make("p", { role: "status", class: "rb-erd-status" });
    const legend = make("ul", { class: "rb-erd-legend", "aria-label": "Legend" });
    place.replaceChildren(
      make(
        "div",
        { class: "rb-erd-tools", role: "search", "aria-label": "Tables" },
        make("label", { for: chooser.id }, "Environment "),
        chooser,
        make("label", { for: query.id }, "Table "),
        make("span", { class: "rb-erd-search" }, query, list),
        make(
          "span",
          { class: "rb-erd-zoom" },
          button("+", "Zoom in (+)", () => zoom(1.4)),
          " ",
          button("−", "Zoom out (-)", () => zoom(1 / 1.4)),
          " ",
          button("Fit", "Fit: show all (0)", () => fit()),
        ),
        whole,
      ),
      status,
      view,
      legend,
      make(
        "p",
        { class: "rb-erd-help", id: "rb-erd-help" },
        "Drag or use the arrow keys to move, + and - or Ctrl with the wheel to zoom, 0 to show all. Choose a table to see it with its neighbours; Escape leads back.",
      ),
    );

    // --- the part that is seen ------------------------------------------------------------------
    const titles = [];
    function look() {
      const { clientWidth: width, clientHeight: height } = view;
      svg.setAttribute("viewBox", `${now.left} ${now.top} ${width / now.scale} ${height / now.scale}`);
      const distant = now.table === null && now.scale < DISTANT;
      view.classList.toggle("rb-distant", distant);
      const size = distant ? Math.min(11 / now.scale, 60) : 12;
      for (const { element, text, width: room } of titles) {
        element.setAttribute("font-size", size.toFixed(1));
        element.textContent = cut(text, Math.floor((room - 12) / (size * 0.6)));
      }
    }
    function fit() {
      const { clientWidth: width, clientHeight: height } = view;
      const [left, top, wide, high] = now.box;
      now.moved = false;
      now.scale = Math.min(width / (wide + 40), height / (high + 40), 1.4);
      now.left = left + wide / 2 - width / now.scale / 2;
      now.top = top + high / 2 - height / now.scale / 2;
      look();
    }
    function zoom(by, x = view.clientWidth / 2, y = view.clientHeight / 2) {
      const scale = Math.min(4, Math.max(0.02, now.scale * by));
      now.moved = true;
      now.left += x / now.scale - x / scale;
      now.top += y / now.scale - y / scale;
      now.scale = scale;
      look();
    }
    function pan(x, y) {
      now.moved = true;
      now.left += x / now.scale;
      now.top += y / now.scale;
      look();
    }

    // --- drawing --------------------------------------------------------------------------------
    const cell = (line) => {
      const [key, rows, orphans, mark, said] = erd.cells[line.cells[now.environment]];
      return { key, rows, orphans, mark, said };
    };
    const link = (line, path) =>
      draw(
        "a",
        { href: line.page, tabindex: -1 },
        draw("title", {}, `${line.label}: ${cell(line).said}`),
        draw("path", { d: path, class: "rb-hit" }),
        draw("path", { d: path }),
      );
    function lines(near) {
      const groups = erd.keys.map((state) =>
        draw("g", {
          class: `rb-lines ${near ? "" : "rb-far "}${tone[state.name]}`,
          "stroke-dasharray": dash[state.name],
        }),
      );
      const of = Object.fromEntries(erd.keys.map((state, at) => [state.name, groups[at]]));
      for (const line of erd.lines) if (Boolean(line.near) === near) of[cell(line).key].append(link(line, line.path));
      return groups.filter((group) => group.firstChild);
    }
    function marks() {
      return erd.lines.map((line) => {
        const { rows, mark } = cell(line);
        const [x, y, left] = line.mark;
        const anchor = left ? "end" : "start";
        return draw("text", { class: `rb-marks ${tone[rows]}`, x, y, "text-anchor": anchor }, mark);
      });
    }
    function name(at, [x, y, width, height], down, stop) {
      const table = erd.tables[at];
      const element = draw(
        "a",
        { class: "rb-table-box", href: table.ledger, tabindex: stop ? 0 : -1, "data-table": table.id },
        draw("title", {}, table.label),
        draw("rect", { x, y, width, height, rx: 4 }),
        draw("text", { class: "rb-name", x: x + 8, y: y + down }, cut(table.label, Math.floor((width - 14) / BOLD))),
      );
      element.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return; // a new tab
        event.preventDefault();
        choose(at);
      });
      return element;
    }
    function keys(table, x, y, width) {
      return table.keys.map(([text, referred], row) =>
        draw(
          "text",
          { x: x + 10, y: y + 26 + 17 * (row + 0.5) + 4 },
          `${referred ? "◆" : "→"} ${cut(text, Math.floor((width - 34) / LETTER))}`,
        ),
      );
    }
    function map() {
      const stop = erd.tables.length <= STOPS;
      const frames = erd.frames.length > 1 ? erd.frames : [];
      titles.length = 0;
      const heads = frames.map(({ title, box: [x, y, width] }) => {
        const element = draw("text", { x: x + 10, y: y + 18 }, title);
        titles.push({ element, text: title, width });
        return element;
      });
      const bad = new Set();
      const unknown = new Set();
      for (const line of erd.lines) {
        const { rows, orphans } = cell(line);
        if (orphans) bad.add(line.child);
        else if (rows !== "clean") unknown.add(line.child);
      }
      const boxes = erd.tables.map((table, at) => {
        const [x, y, width, height] = table.box;
        const box = name(at, table.box, erd.detailed ? 16 : height / 2 + 4, stop);
        if (bad.has(at)) box.classList.add("rb-with-orphans");
        else if (unknown.has(at)) box.classList.add("rb-not-counted");
        if (erd.detailed) box.append(draw("path", { d: `M${x} ${y + 23}h${width}` }), ...keys(table, x, y, width));
        return box;
      });
      now.box = [0, 0, erd.width, erd.height];
      return [
        ...frames.map(({ box: [x, y, width, height] }) =>
          draw("g", { class: "rb-frame" }, draw("rect", { x, y, width, height, rx: 6 })),
        ),
        ...lines(false),
        ...lines(true),
        ...boxes,
        draw("g", { "font-size": erd.detailed ? 10 : 8 }, ...marks()),
        draw("g", { class: "rb-frame rb-heads" }, ...heads),
      ];
    }

    // --- one table and its neighbours -----------------------------------------------------------
    const HEAD = 26;
    const ROW = 18;
    const TALL = 1000;
    function neighbours(at, side, other) {
      const found = new Map();
      for (const line of erd.lines) {
        if (line[side] !== at || line[other] === at) continue;
        if (!found.has(line[other])) found.set(line[other], []);
        found.get(line[other]).push(line);
      }
      return [...found].map(([table, of]) => ({ table, lines: of }));
    }
    // boxes below each other, in as many columns as they need; x grows away from the middle
    function stack(found, x, away) {
      const height = Math.max(TALL, Math.sqrt(found.reduce((sum, one) => sum + HEAD + ROW * one.lines.length + 20, 0) * 300));
      let column = [];
      let top = 0;
      let number = 0;
      const done = [];
      const close = () => {
        const width = Math.max(...column.map((one) => one.width));
        for (const one of column) {
          one.x = away > 0 ? x : x - one.width;
          one.y -= (top - 18) / 2;
          one.column = number;
        }
        x += away * (width + 60);
        done.push(...column);
        number += 1;
        column = [];
        top = 0;
      };
      for (const one of found) {
        const texts = one.lines.map((line) => `${line.columns}: ${cell(line).said}`);
        one.width = Math.min(380, Math.max((erd.tables[one.table].label.length * BOLD) / 7, ...texts.map((t) => t.length)) * 7 + 24);
        one.height = HEAD + ROW * one.lines.length + 6;
        if (column.length && top + one.height > height) close();
        one.y = top;
        top += one.height + 18;
        column.push(one);
      }
      if (column.length) close();
      return done;
    }
    const bow = (x1, y1, x2, y2) => {
      const half = (x1 + x2) / 2;
      const back = x2 + (x1 < x2 ? -7 : 7);
      return `M${x1} ${y1}C${half} ${y1} ${half} ${y2} ${x2} ${y2}M${back} ${y2 - 3.5}L${x2} ${y2}L${back} ${y2 + 3.5}`;
    };
    function row(line, x, y, width) {
      const { key, rows, said } = cell(line);
      const text = `${line.columns}: ${said}`;
      return draw(
        "a",
        { class: `rb-row ${tone[rows === "clean" ? key : rows]}`, href: line.page },
        draw("title", {}, `${line.label}: ${said}`),
        draw("text", { x: x + 10, y: y + 4 }, cut(text, Math.floor((width - 18) / 6.6))),
      );
    }
    // one line to all of them, in place of a line to each
    function bundle(found, from, isParent) {
      const [left, top] = [Math.min(...found.map((one) => one.x)) - 14, Math.min(...found.map((one) => one.y)) - 14];
      const right = Math.max(...found.map((one) => one.x + one.width)) + 14;
      const low = Math.max(...found.map((one) => one.y + one.height)) + 14;
      const middle = (top + low) / 2;
      return draw(
        "g",
        { class: "rb-bundle" },
        draw("rect", { x: left, y: top, width: right - left, height: low - top, rx: 6 }),
        draw("path", { d: isParent ? bow(from, 0, right, middle) : bow(left, middle, from, 0) }),
      );
    }
    function around(at) {
      const table = erd.tables[at];
      const own = erd.lines.filter((line) => line.child === at && line.parent === at);
      const longest = Math.max((table.label.length * BOLD) / 7, ...table.keys.map(([text]) => text.length + 3), ...own.map((line) => line.columns.length + cell(line).said.length + 4));
      const width = Math.min(420, Math.max(120, longest * 7 + 24));
      const height = HEAD + 17 * table.keys.length + ROW * own.length + 6;
      const top = -height / 2;
      const keyAt = (text) => top + HEAD + 17 * (table.keys.findIndex(([key]) => key === text) + 0.5);
      const parents = stack(neighbours(at, "child", "parent"), -110, -1);
      const children = stack(neighbours(at, "parent", "child"), width + 110, 1);
      const paths = [];
      const boxes = [];
      for (const [found, isParent] of [[parents, true], [children, false]]) {
        // a line to a second column would seem to come from the box before it
        const bundled = found.some((one) => one.column);
        if (bundled) paths.push(bundle(found, isParent ? 0 : width, isParent));
        for (const one of found) {
          boxes.push(name(one.table, [one.x, one.y, one.width, one.height], 17, true));
          one.lines.forEach((line, number) => {
            const y = one.y + HEAD + ROW * (number + 0.5);
            boxes.push(row(line, one.x, y, one.width));
            if (bundled) return; // the row says its state in words
            const path = isParent
              ? bow(0, keyAt(line.columns), one.x + one.width, y)
              : bow(one.x, y, width, keyAt(line.references));
            const { key } = cell(line);
            paths.push(draw("g", { class: `rb-lines ${tone[key]}`, "stroke-dasharray": dash[key] }, link(line, path)));
          });
        }
      }
      const middle = name(at, [0, top, width, height], 17, true);
      middle.classList.add("rb-chosen");
      middle.setAttribute("aria-current", "true");
      middle.append(...keys(table, 0, top, width));
      const selves = own.map((line, number) =>
        row(line, 0, top + HEAD + 17 * table.keys.length + ROW * (number + 0.5), width),
      );
      const all = [...parents, ...children, { x: 0, y: top, width, height }];
      const [left, high] = [Math.min(...all.map((one) => one.x)), Math.min(...all.map((one) => one.y))];
      const right = Math.max(...all.map((one) => one.x + one.width));
      const low = Math.max(...all.map((one) => one.y + one.height));
      now.box = [left, high, right - left, low - high];
      return { parts: [...paths, ...boxes, middle, ...selves], parents, children, own };
    }

    // --- what is said about it ------------------------------------------------------------------
    function age() {
      const { measured, fresh_until: until, title } = erd.environments[now.environment];
      if (!measured) return `${title}: no run yet, so nothing was looked at.`;
      const stale = Date.parse(until) < Date.now() ? ", stale" : "";
      return `${title}, looked at ${measured.slice(0, 16).replace("T", " ")} UTC${stale}.`;
    }
    function summary() {
      const cells = erd.lines.map(cell);
      const states = erd.keys
        .map((state) => [cells.filter(({ key }) => key === state.name).length, state.name])
        .filter(([number]) => number)
        .map(([number, state]) => `${number.toLocaleString("en")} ${state}`);
      const bad = cells.filter(({ orphans }) => orphans).length;
      const unknown = cells.filter(({ rows }) => rows === "not looked" || rows === "could not look").length;
      const unsure = unknown ? ` ${unknown.toLocaleString("en")} not looked at or could not be.` : "";
      return `${count(erd.lines.length, "relationship")}: ${states.join(", ")}. ${bad.toLocaleString("en")} with orphan rows.${unsure} ${age()}`;
    }
    function explain() {
      const cells = (now.table === null ? erd.lines : erd.lines.filter((l) => l.child === now.table || l.parent === now.table)).map(cell);
      const entry = (state, ...sign) => make("li", { class: tone[state.name] }, ...sign);
      legend.replaceChildren(
        ...erd.keys
          .filter((state) => cells.some(({ key }) => key === state.name))
          .map((state) =>
            entry(
              state,
              draw("svg", { viewBox: "0 0 46 14", "aria-hidden": "true" }, draw("path", { d: "M0 7h46", "stroke-dasharray": state.dash || null })),
              `key ${state.name}`,
            ),
          ),
        ...erd.rows
          .filter((state) => cells.some(({ rows }) => rows === state.name))
          .map((state) => entry(state, make("span", { class: "rb-sign" }, state.mark), `rows: ${state.name}`)),
        ...(now.table === null && erd.tables.length > STOPS ? DISTANCE : []),
      );
    }

    const box = (open) =>
      draw("svg", { viewBox: "0 0 46 14", "aria-hidden": "true" }, draw("rect", { x: 10, y: 2, width: 26, height: 10, class: open }));
    const DISTANCE = [
      make("li", { class: "rb-tone-bad" }, box(null), "from afar: orphan rows"),
      make("li", { class: "rb-tone-unknown" }, box("rb-open"), "from afar: not counted exactly"),
    ];

    function show(keep) {
      whole.hidden = now.table === null;
      if (now.table === null) {
        svg.replaceChildren(...map());
        svg.setAttribute("aria-label", `${count(erd.tables.length, "table")} and their relationships`);
        status.textContent = summary();
      } else {
        titles.length = 0;
        const table = erd.tables[now.table];
        const { parts, parents, children, own } = around(now.table);
        svg.replaceChildren(...parts);
        svg.setAttribute("aria-label", `${table.label} and its neighbours`);
        const self = own.length ? ` ${count(own.length, "relationship")} to itself.` : "";
        status.replaceChildren(
          `${table.label} refers to ${count(parents.length, "table")}, ${count(children.length, "table")} refer${children.length === 1 ? "s" : ""} to it.${self} `,
          make("a", { href: table.ledger }, "In the ledger"),
          `. ${age()}`,
        );
      }
      explain();
      if (keep) look();
      else frame();
    }
    // all of it; of a table with hundreds of neighbours itself first, and the rest to be panned to
    function frame() {
      fit();
      if (now.scale > 0.5) return;
      if (now.table === null) {
        if (!erd.detailed || view.clientWidth > 600) return;
        now.scale = 0.6; // a narrow screen starts with what the others refer to
        now.left = -10 / now.scale;
        now.top = (erd.height - view.clientHeight / now.scale) / 2;
        look();
        return;
      }
      now.scale = 0.9;
      now.left = -view.clientWidth / now.scale / 3;
      now.top = -view.clientHeight / now.scale / 2;
      look();
    }
    function address(push) {
      const kept = new URLSearchParams();
      if (now.table !== null) kept.set("table", erd.tables[now.table].id);
      if (now.environment) kept.set("environment", erd.environments[now.environment].name);
      const text = kept.toString();
      const url = text ? `?${text}` : location.pathname;
      if (push) history.pushState(null, "", url);
      else history.replaceState(null, "", url);
    }
    function choose(table) {
      if (table === now.table) return;
      const left = now.table;
      const inside = svg.contains(document.activeElement);
      now.table = table;
      show(false);
      address(true);
      if (!inside) return;
      const next = table === null ? left : table;
      const box = [...svg.querySelectorAll("a.rb-table-box")].find((a) => a.dataset.table === erd.tables[next].id);
      if (box && box.tabIndex === 0) box.focus();
      else view.focus();
    }
    function arrive() {
      const asked = new URLSearchParams(location.search);
      const environment = erd.environments.findIndex((one) => one.name === asked.get("environment"));
      const table = erd.tables.findIndex((one) => [one.id, one.label].includes(asked.get("table")));
      now.environment = Math.max(0, environment);
      now.table = table < 0 ? null : table;
      chooser.value = now.environment;
      show(false);
    }

    // --- search ---------------------------------------------------------------------------------
    let at = -1;
    function matches() {
      const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
      if (!words.length) return [];
      const found = erd.tables
        .map((table, number) => ({ number, text: table.label.toLowerCase() }))
        .filter(({ text }) => words.every((word) => text.includes(word)));
      const rank = ({ text }) => (text === words[0] ? 0 : text.startsWith(words[0]) ? 1 : 2);
      return found.sort((a, b) => rank(a) - rank(b) || a.number - b.number);
    }
    function close() {
      list.hidden = true;
      list.replaceChildren();
      query.setAttribute("aria-expanded", "false");
      query.removeAttribute("aria-activedescendant");
      at = -1;
    }
    function suggest() {
      const found = matches();
      close();
      if (!query.value.trim()) return;
      const options = found.slice(0, MATCHES).map(({ number }, place) => {
        const option = make("li", { role: "option", id: `rb-erd-option-${place}`, "aria-selected": "false", "data-number": number }, erd.tables[number].label);
        option.addEventListener("pointerdown", (event) => {
          event.preventDefault();
          take(number);
        });
        return option;
      });
      const more = found.length - options.length;
      if (more > 0) options.push(make("li", { role: "option", "aria-disabled": "true", "aria-selected": "false" }, `and ${more.toLocaleString("en")} more`));
      if (!found.length) options.push(make("li", { role: "option", "aria-disabled": "true", "aria-selected": "false" }, "no table has that name"));
      list.replaceChildren(...options);
      list.hidden = false;
      query.setAttribute("aria-expanded", "true");
      if (found.length) move(1);
    }
    function move(by) {
      const options = [...list.querySelectorAll("[data-number]")];
      if (!options.length) return;
      at = (at + by + options.length) % options.length;
      options.forEach((option, place) => option.setAttribute("aria-selected", String(place === at)));
      options[at].scrollIntoView({ block: "nearest" });
      query.setAttribute("aria-activedescendant", options[at].id);
    }
    function take(number) {
      close();
      query.value = erd.tables[number].label;
      choose(number);
    }
    query.addEventListener("input", suggest);
    query.addEventListener("blur", close);
    query.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown") list.hidden ? suggest() : move(1);
      else if (event.key === "ArrowUp") move(-1);
      else if (event.key === "Enter" && at >= 0) take(Number(list.children[at].dataset.number));
      else if (event.key === "Escape" && !list.hidden) close();
      else if (event.key === "Escape") choose(null);
      else return;
      event.preventDefault();
    });
    chooser.addEventListener("input", () => {
      now.environment = Number(chooser.value);
      show(true);
      address(false);
    });

    // --- keys, pointers, wheel ------------------------------------------------------------------
    const KEYS = {
      ArrowLeft: () => pan(-60, 0),
      ArrowRight: () => pan(60, 0),
      ArrowUp: () => pan(0, -60),
      ArrowDown: () => pan(0, 60),
      "+": () => zoom(1.4),
      "=": () => zoom(1.4),
      "-": () => zoom(1 / 1.4),
      0: () => fit(),
      Escape: () => choose(null),
    };
    view.addEventListener("keydown", (event) => {
      if (!KEYS[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation(); // the theme has keys of its own
      KEYS[event.key]();
    });
    view.addEventListener("focusin", (event) => {
      // a box that is reached by the tab key comes into view
      const box = event.target.closest("a");
      if (!box || !box.matches(":focus-visible")) return;
      const [seen, frame] = [box.getBoundingClientRect(), view.getBoundingClientRect()];
      view.scrollTo(0, 0);
      const outside = (low, high, from, to) => (low < from ? low - from - 20 : high > to ? high - to + 20 : 0);
      pan(outside(seen.left, seen.right, frame.left, frame.right), outside(seen.top, seen.bottom, frame.top, frame.bottom));
    });
    view.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
        event.preventDefault();
        const frame = view.getBoundingClientRect();
        zoom(Math.exp(-event.deltaY / 300), event.clientX - frame.left, event.clientY - frame.top);
      },
      { passive: false },
    );
    const fingers = new Map();
    let dragged = false;
    svg.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      if (!fingers.size) dragged = false;
      fingers.set(event.pointerId, event);
    });
    svg.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const [x, y] = [event.clientX - before.clientX, event.clientY - before.clientY];
      if (!dragged && Math.hypot(x, y) < 5) return;
      if (!dragged) view.classList.add("rb-dragged");
      dragged = true;
      svg.setPointerCapture(event.pointerId);
      if (fingers.size === 2) {
        const [other] = [...fingers.values()].filter((one) => one.pointerId !== event.pointerId);
        const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
        const frame = view.getBoundingClientRect();
        zoom(apart(event) / apart(before), (event.clientX + other.clientX) / 2 - frame.left, (event.clientY + other.clientY) / 2 - frame.top);
        pan(-x / 2, -y / 2);
      } else pan(-x, -y);
      fingers.set(event.pointerId, event);
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      svg.addEventListener(end, (event) => {
        fingers.delete(event.pointerId);
        if (!fingers.size) view.classList.remove("rb-dragged");
      });
    }
    svg.addEventListener(
      "click",
      (event) => {
        if (!dragged) return;
        dragged = false; // the end of a drag is no click
        event.preventDefault();
        event.stopPropagation();
      },
      true,
    );
    view.classList.toggle("rb-wide", erd.width > 2 * erd.height);
    svg.addEventListener("dragstart", (event) => event.preventDefault());
    addEventListener("popstate", arrive);
    new ResizeObserver(() => (now.moved ? look() : frame())).observe(view);
    arrive();
  }

  const keep = () => {
    // the picture in the page stays: it says the same of the first environment
    place.append(make("p", { role: "status" }, "The picture that can be moved could not be loaded."));
  };
  fetch(place.dataset.source)
    .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(String(answer.status)))))
    .then(start, keep);
})();
