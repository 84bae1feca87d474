// A chart of many curves over steps.

import { el, onWidth, svg } from "./dom.js";
import { measured, number } from "./format.js";
import { extent, ticks } from "./scales.js";

const NEAR = 24;

/**
 * Keeps a chart in `host`. A series is {id, name, colour, steps, lines: [[values]], band: [low, high],
 * trial, wide}; null is a gap. Listeners: onhover(id or null), onchoose(id).
 */
export class LineChart {
  constructor({ height, label, onhover = () => {}, onchoose = null, left = 52 }) {
    this.height = height;
    this.left = left;
    this.onhover = onhover;
    this.onchoose = onchoose;
    this.series = [];
    this.plot = el("div", { class: "plot" });
    this.said = el("p", { class: "said", "aria-live": "off" }, "\u00a0");
    this.node = el("div", { class: "chart", role: "img", "aria-label": label }, this.plot, this.said);
    this.width = 0;
    onWidth(this.plot, (width) => {
      this.width = width;
      this.draw();
    });
  }

  update(series, { low = null, high = null } = {}) {
    this.series = series;
    this.bounds = [low, high];
    if (this.width) this.draw();
  }

  draw() {
    const { width, height, left } = this;
    const [top, right, bottom] = [8, 16, 22];
    const steps = this.series.flatMap((one) => (one.steps.length ? [one.steps[0], one.steps[one.steps.length - 1]] : []));
    const shown = this.series.flatMap((one) => [...one.lines.flat(), ...(one.band ?? []).flat()]);
    let [x0, x1] = [Math.min(...steps), Math.max(...steps)];
    if (!steps.length) [x0, x1] = [0, 1];
    if (x0 === x1) [x0, x1] = [x0 - 1, x1 + 1];
    const [y0, y1] = extent(shown);
    this.x = (step) => left + ((step - x0) / (x1 - x0)) * (width - left - right);
    this.y = (value) => top + ((y1 - value) / (y1 - y0)) * (height - top - bottom);
    const axes = svg("g", { class: "axes" });
    for (const value of ticks(y0, y1, height / 42)) {
      const y = this.y(value);
      axes.append(svg("line", { x1: left, x2: width - right, y1: y, y2: y }));
      axes.append(svg("text", { x: left - 6, y: y + 3.5, "text-anchor": "end" }, number(value, 3)));
    }
    for (const step of ticks(x0, x1, width / 110).filter((s) => Number.isInteger(s))) {
      axes.append(svg("text", { x: this.x(step), y: height - 6, "text-anchor": "middle" }, String(step)));
    }
    const lines = svg("g", { class: "lines" }, this.series.map((one) => this.drawn(one)));
    const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, class: "lights" }, axes, lines);
    if (!this.series.length) {
      root.append(svg("text", { x: width / 2, y: height / 2, "text-anchor": "middle", class: "empty" }, "nothing measured yet"));
    }
    root.addEventListener("pointermove", (event) => this.pointed(event, root));
    root.addEventListener("pointerleave", () => this.point(null));
    if (this.onchoose) root.addEventListener("click", () => this.near && this.onchoose(this.near.one.id));
    this.plot.replaceChildren(root);
  }

  drawn(one) {
    const group = svg("g", { class: one.wide ? "series wide" : "series", "data-trial": one.trial ?? null });
    if (one.band) {
      const [low, high] = one.band;
      const there = one.steps.map((_, i) => i).filter((i) => low[i] !== null && high[i] !== null);
      const edge = [...there.map((i) => [i, high[i]]), ...there.reverse().map((i) => [i, low[i]])];
      if (edge.length) group.append(svg("path", { class: "band", d: `${this.path(one.steps, edge)}Z`, fill: one.colour }));
    }
    for (const values of one.lines) {
      const points = values.map((value, i) => [i, value]).filter(([, value]) => value !== null);
      const d = this.path(one.steps, points);
      group.append(svg("path", { d, stroke: one.colour }));
      if (points.length === 1) {
        const [i, value] = points[0];
        group.append(svg("circle", { cx: this.x(one.steps[i]), cy: this.y(value), r: 2.5, fill: one.colour }));
      }
    }
    return group;
  }

  path(steps, points) {
    return points.map(([i, value], n) => `${n ? "L" : "M"}${this.x(steps[i]).toFixed(1)} ${this.y(value).toFixed(1)}`).join("");
  }

  pointed(event, root) {
    const box = root.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    let best = null;
    for (const one of this.series) {
      const i = nearest(one.steps, px, this.x);
      for (const values of one.lines) {
        if (i < 0 || values[i] === null) continue;
        const far = Math.abs(this.y(values[i]) - py);
        if (far < NEAR && (!best || far < best.far)) best = { one, i, value: values[i], far };
      }
    }
    this.point(best);
  }

  point(best) {
    this.near = best;
    const spread = best?.one.band ? ` (${number(best.one.band[0][best.i], 3)} to ${number(best.one.band[1][best.i], 3)})` : "";
    this.said.textContent = best ? `${best.one.name}: ${measured(best.value)}${spread} at step ${best.one.steps[best.i]}` : "\u00a0";
    this.onhover(best ? best.one.id : null);
  }
}

function nearest(steps, px, x) {
  let [low, high] = [0, steps.length - 1];
  if (high < 0) return -1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (x(steps[middle]) < px) low = middle;
    else high = middle;
  }
  return Math.abs(x(steps[low]) - px) <= Math.abs(x(steps[high]) - px) ? low : high;
}

/** The mean over the seeds of a curve, and the lowest and highest seed. */
export function meanOf(curve) {
  const seeds = Object.values(curve.seeds);
  const at = (i) => seeds.map((values) => values[i]).filter((value) => value !== null);
  const over = (what) => curve.steps.map((_, i) => (at(i).length ? what(at(i)) : null));
  return {
    mean: over((values) => values.reduce((a, b) => a + b, 0) / values.length),
    band: seeds.length > 1 ? [over((values) => Math.min(...values)), over((values) => Math.max(...values))] : null,
  };
}
