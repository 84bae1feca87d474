// Settings against results: parallel coordinates, and a map over two settings.

import { colouring, GREY, heat, onHeat, order } from "./colours.js";
import { choice, el, svg } from "./dom.js";
import { figureCard, redrawn } from "./figure.js";
import { measured, number, plain, short } from "./format.js";
import { extent, settingAxis, ticks } from "./scales.js";
import { hover, searched, select, store, varied, worth } from "./store.js";
import { shortMetric } from "./table.js";

const HEIGHT = 300;
const [TOP, BOTTOM] = [34, 30];
const MOST_CELLS = 12;

export function parallelCard() {
  const host = el("div", { class: "plot", role: "img", "aria-label": "Settings and result of each trial; the table holds the same values" });
  redrawn(host, parallel);
  return figureCard("Settings and result", "settings", null, host);
}

function parallel(width) {
  const trials = searched();
  const paths = varied();
  const axes = paths.map((path) => ({
    title: short(path),
    ...settingAxis(trials.map((t) => t.params[path]), store.study.space[path]),
    of: (trial) => trial.params[path],
  }));
  const [low, high] = extent(trials.map(worth));
  axes.push({
    title: shortMetric(store.study.metric),
    place: (value) => (Number.isFinite(value) ? (value - low) / (high - low) : null),
    marks: ticks(low, high, 5).map((value) => [(value - low) / (high - low), number(value, 3)]),
    of: worth,
  });
  const pad = 70;
  const x = (i) => (axes.length > 1 ? pad + (i * (width - 2 * pad)) / (axes.length - 1) : width / 2);
  // Below every axis is a place for trials without a value on it.
  const y = (place) => (place === null ? HEIGHT - 8 : TOP + (1 - place) * (HEIGHT - TOP - BOTTOM));
  const root = svg("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, class: "lights" });
  const { of } = colouring();
  const lines = svg("g", { class: "lines" });
  for (const trial of [...trials].sort((a, b) => order(worth(a) ?? null, worth(b) ?? null))) {
    const points = axes.map((axis, i) => [x(i), y(axis.place(axis.of(trial)))]);
    const d = points.map(([px, py], i) => {
      if (!i) return `M${px} ${py}`;
      const middle = (points[i - 1][0] + px) / 2;
      return `C${middle} ${points[i - 1][1]} ${middle} ${py} ${px} ${py}`;
    });
    const worthless = !Number.isFinite(worth(trial));
    const path = svg("path", { d: d.join(""), stroke: worthless ? GREY : of(trial), class: worthless && "worthless" });
    // A wider, invisible line takes the pointer.
    const reach = svg("path", { d: d.join(""), class: "reach" });
    const said = svg("title", {}, `${trial.id} ${trial.label}: ${measured(worth(trial))}`);
    const best = trial.id === store.study.best;
    const events = { onpointerenter: () => hover(trial.id), onpointerleave: () => hover(null), onclick: () => select(trial.id) };
    lines.append(svg("g", { class: best ? "series wide" : "series", "data-trial": trial.id, ...events }, path, reach, said));
  }
  root.append(lines);
  axes.forEach((axis, i) => {
    const marks = axis.marks.map(([place, text]) => svg("text", { x: x(i) - 7, y: y(place) + 3.5, "text-anchor": "end", class: "halo" }, text.slice(0, 14)));
    const none = trials.some((t) => axis.place(axis.of(t)) === null);
    if (none) marks.push(svg("text", { x: x(i) - 7, y: y(null) + 3, "text-anchor": "end", class: "halo" }, "none"));
    root.append(
      svg("g", { class: "axes still" }, svg("line", { class: "axis", x1: x(i), x2: x(i), y1: y(1), y2: y(0) }), marks,
        svg("text", { x: x(i), y: 16, "text-anchor": "middle", class: "title" }, axis.title)),
    );
  });
  return root;
}

const axes = { x: null, y: null };

export function heatCard() {
  const host = el("div", { class: "plot" });
  const controls = el("span");
  const said = el("p", { class: "said" }, "\u00a0");
  let offered = "";
  const redraw = redrawn(host, (width) => {
    const paths = varied();
    if (!paths.includes(axes.x)) axes.x = preferred(paths, "margin", 0);
    if (!paths.includes(axes.y) || axes.y === axes.x) axes.y = preferred(paths.filter((p) => p !== axes.x), "tau", 0);
    const key = JSON.stringify([paths, axes]);
    if (key !== offered && axes.y) {
      offered = key;
      const options = paths.map((path) => [path, short(path)]);
      const set = (which) => (value) => {
        if (value === axes[which === "x" ? "y" : "x"]) axes[which === "x" ? "y" : "x"] = axes[which];
        axes[which] = value;
        redraw();
      };
      controls.replaceChildren(choice("across", options, axes.x, set("x")), choice("up", options, axes.y, set("y")));
    }
    return axes.y ? heatMap(width, said) : el("p", { class: "meta" }, "A map needs two searched settings.");
  });
  return figureCard("Result by two settings", "map", controls, host, said);
}

function preferred(paths, name, otherwise) {
  const numeric = paths.filter((path) => searched().every((t) => ["number", "undefined"].includes(typeof t.params[path])));
  return paths.find((path) => short(path) === name) ?? numeric[otherwise] ?? paths[otherwise];
}

/** Rows or columns for a setting: its values if they are few, else equal stretches of its axis. */
function grid(path) {
  const values = searched().map((t) => t.params[path]).filter((value) => value !== undefined);
  const axis = settingAxis(values, store.study.space[path]);
  if (axis.values.length <= MOST_CELLS) {
    const keys = axis.values.map((value) => JSON.stringify(value));
    return { names: axis.values.map(plain), place: (value) => keys.indexOf(JSON.stringify(value)) };
  }
  const place = (value) => (axis.place(value) === null ? -1 : Math.min(7, Math.floor(axis.place(value) * 8)));
  const names = Array.from({ length: 8 }, (_, i) => {
    const inside = axis.values.filter((value) => place(value) === i);
    return inside.length ? number(inside[0], 2) + (inside.length > 1 ? "…" : "") : "";
  });
  return { names, place };
}

function heatMap(width, said) {
  const [across, up] = [grid(axes.x), grid(axes.y)];
  const cells = new Map();
  for (const trial of searched()) {
    const [i, j] = [across.place(trial.params[axes.x]), up.place(trial.params[axes.y])];
    if (i < 0 || j < 0) continue;
    const key = `${i},${j}`;
    if (!cells.has(key)) cells.set(key, { i, j, trials: [] });
    cells.get(key).trials.push(trial);
  }
  for (const cell of cells.values()) {
    const values = cell.trials.map((trial) => trial.value).filter(Number.isFinite);
    cell.value = values.length ? values.reduce((a, b) => a + b, 0) / values.length : null;
    cell.n = values.length;
  }
  const known = [...cells.values()].map((cell) => cell.value).filter((value) => value !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const [left, bottom, top] = [64, 44, 6];
  const w = (width - left - 8) / Math.max(1, across.names.length);
  const h = Math.min(52, (HEIGHT - bottom - top) / Math.max(1, up.names.length));
  const height = top + h * up.names.length + bottom;
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, class: "lights heat" });
  const px = (i) => left + i * w;
  const py = (j) => top + (up.names.length - 1 - j) * h;
  for (const { i, j, trials, value, n } of cells.values()) {
    const share = high > low ? (value - low) / (high - low) : 1;
    const what = `${short(axes.x)} ${across.names[i]}, ${short(axes.y)} ${up.names[j]}: ${measured(value)} (${n} of ${trials.length}: ${trials.map((t) => t.id).slice(0, 6).join(", ")})`;
    const cell = svg(
      "g",
      {
        class: "cell",
        "data-trials": trials.map((t) => t.id).join(" "),
        onpointerenter: () => {
          said.textContent = what;
          hover(trials[0].id);
        },
        onpointerleave: () => {
          said.textContent = "\u00a0";
          hover(null);
        },
        onclick: () => select(trials[0].id),
      },
      svg("rect", { x: px(i) + 1, y: py(j) + 1, width: w - 2, height: h - 2, rx: 3, fill: value === null ? "var(--tint)" : heat(share) }),
      svg("title", {}, what),
    );
    if (w > 34 && h > 15) {
      const text = value === null ? "–" : value.toFixed(w > 44 ? 3 : 2);
      cell.append(svg("text", { x: px(i) + w / 2, y: py(j) + h / 2 + 4, "text-anchor": "middle", fill: value === null ? "var(--faint)" : onHeat(share) }, text));
    }
    root.append(cell);
  }
  const named = svg("g", { class: "axes" });
  across.names.forEach((text, i) => named.append(svg("text", { x: px(i) + w / 2, y: height - bottom + 16, "text-anchor": "middle" }, text.slice(0, 9))));
  up.names.forEach((text, j) => named.append(svg("text", { x: left - 7, y: py(j) + h / 2 + 4, "text-anchor": "end" }, text.slice(0, 9))));
  named.append(svg("text", { x: left + (width - left) / 2, y: height - 6, "text-anchor": "middle", class: "title" }, short(axes.x)));
  named.append(svg("text", { x: 0, y: 0, transform: `translate(12 ${top + (h * up.names.length) / 2}) rotate(-90)`, "text-anchor": "middle", class: "title" }, short(axes.y)));
  root.append(named);
  return root;
}
