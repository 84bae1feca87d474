// Results in the order of the search, with the best so far.

import { colouring, GREY } from "./colours.js";
import { el, svg } from "./dom.js";
import { figureCard, redrawn } from "./figure.js";
import { measured, number } from "./format.js";
import { bestSoFar, extent, ticks } from "./scales.js";
import { hover, searched, select, store, worth } from "./store.js";
import { shortMetric } from "./table.js";

const HEIGHT = 220;
const [LEFT, RIGHT, TOP, BOTTOM] = [56, 12, 22, 34];

export function historyCard() {
  const host = el("div", { class: "plot", role: "img", "aria-label": "Result of each trial in the order of the search; the table holds the same values" });
  redrawn(host, history);
  return figureCard("History", "history", null, host, el("p", { class: "meta" }, "Filled: finished; hollow: running, pruned or collapsed. The line is the best finished trial so far."));
}

function history(width) {
  const trials = searched();
  const values = trials.map(worth);
  if (!values.some(Number.isFinite)) return el("p", { class: "meta" }, "No results yet.");
  const [low, high] = extent(values);
  const x = (i) => LEFT + (trials.length > 1 ? (i / (trials.length - 1)) * (width - LEFT - RIGHT) : 0.5 * (width - LEFT - RIGHT));
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const root = svg("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, class: "lights" });
  const axes = svg("g", { class: "axes still" });
  for (const value of ticks(low, high, 5).filter((mark) => mark >= low && mark <= high)) {
    axes.append(svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }), svg("text", { x: LEFT - 7, y: y(value) + 4, "text-anchor": "end" }, number(value, 3)));
  }
  const every = Math.max(1, Math.ceil(trials.length / Math.max(2, Math.floor(width / 70))));
  trials.forEach((trial, i) => {
    if (i % every === 0) axes.append(svg("text", { x: x(i), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, trial.id));
  });
  axes.append(svg("text", { x: LEFT, y: 12, class: "title" }, shortMetric(store.study.metric)));
  const finished = trials.map((trial) => (trial.state === "finished" ? trial.value : null));
  root.append(axes, svg("path", { d: bestSoFar(finished, store.study.direction, x, y), fill: "none", stroke: "var(--faint)", "stroke-width": 1.2, class: "still" }));
  const { of } = colouring();
  trials.forEach((trial, i) => {
    if (!Number.isFinite(values[i])) return;
    const colour = of(trial) ?? GREY;
    const ended = trial.state === "finished";
    const best = trial.id === store.study.best;
    const dot = svg("circle", { cx: x(i), cy: y(values[i]), r: best ? 6 : 4, fill: ended ? colour : "var(--card)", stroke: colour, "stroke-width": 1.5 });
    const said = svg("title", {}, `${trial.id} ${trial.label}: ${measured(values[i], trial.spread)} (${trial.state})`);
    const events = { onpointerenter: () => hover(trial.id), onpointerleave: () => hover(null), onclick: () => select(trial.id) };
    root.append(svg("g", { class: "series point", "data-trial": trial.id, ...events }, dot, said));
  });
  return root;
}
