// Line charts over training steps, drawn by uPlot: drag zooms, a double click resets.

/* global uPlot */

import { onSchemeChange, painted } from "./colours.js";
import { el, onWidth, swatch } from "./dom.js";
import { measured, number } from "./format.js";

const [NEAR_PX, FADED, MOST_NAMED] = [24, 0.22, 10];
const charts = new Set();
export const ZOOM = "Drag to zoom, double-click to reset.";
onSchemeChange(() => charts.forEach((chart) => chart.plot?.redraw(false)));

/** Destroy all charts: another view is shown. */
export function closeCharts() {
  for (const chart of charts) chart.plot?.destroy();
  charts.clear();
}

/**
 * A chart in `node`. A line is {id, name, detail, colour, steps, values, band: [low, high], wide}; null is
 * a gap, and a band is shown of wide and highlighted lines. Lines of one id are highlighted together.
 * Listeners: onhover(id or null), onchoose(id).
 */
export class LineChart {
  constructor({ height, label, onhover = () => {}, onchoose = () => {} }) {
    Object.assign(this, { height, onhover, onchoose, lines: [], log: false, lit: null, near: null });
    this.host = el("div", { class: "plot" });
    this.readout = el("p", { class: "readout" });
    this.node = el("div", { class: "chart", role: "img", "aria-label": label }, this.host, this.readout);
    charts.add(this);
    onWidth(this.host, (width) => {
      this.width = width;
      if (this.plot) this.plot.setSize({ width, height });
      else this.draw();
    });
  }

  /** Show these lines; a zoom is kept. log: of the vertical axis, on which zero and below are gaps. */
  update(lines, log = false) {
    // Edges of bands are lines without a stroke; uPlot fills the space between them.
    const edges = lines.flatMap((line) => (line.band ?? []).map((values) => ({ ...line, values, edge: true })));
    const same = this.plot && lines.length + edges.length === this.lines.length && log === this.log;
    Object.assign(this, { lines: [...lines, ...edges], log });
    if (same) this.keepZoom((zoom) => this.plot.setData(this.data(), !zoom));
    else this.draw();
  }

  /** Fade all lines but those of `id`; null shows all alike. */
  light(id) {
    this.lit = id;
    this.plot?.series.slice(1).forEach((drawn, i) => {
      const line = this.lines[i];
      drawn.alpha = id === null || line.id === id ? 1 : FADED;
      drawn.width = line.edge ? 0 : line.id === id ? 2.8 : line.wide ? 2.4 : 1.3;
    });
    this.plot?.redraw(false);
  }

  draw() {
    if (!this.width) return;
    this.keepZoom(() => {
      this.plot?.destroy();
      const data = this.lines.length ? this.data() : [];
      const drawable = data.slice(1).some((values) => values.some(Number.isFinite));
      const nothing = this.log ? "Nothing above zero to show on a log axis." : "Nothing measured yet.";
      this.host.replaceChildren(drawable ? "" : el("p", { class: "meta" }, nothing));
      this.plot = drawable ? new uPlot(this.options(), data, this.host) : null;
      this.plot?.over.addEventListener("click", () => this.near !== null && this.onchoose(this.near));
    });
    this.light(this.lit);
  }

  options() {
    const line = (i) => this.lines[i - 1];
    const edges = this.lines.map((_, i) => i + 1).filter((i) => line(i).edge);
    const axis = { stroke: () => painted("var(--faint)"), font: "11px system-ui, sans-serif", ticks: { show: false } };
    const whole = (_, steps) => steps.map((step) => (Number.isInteger(step) ? step : ""));
    const short = (_, values) => values.map((value) => (value === null ? "" : number(value, 3)));
    const fill = (i) => (line(i).wide || line(i).id === this.lit ? `color-mix(in srgb, ${painted(line(i).colour)} 16%, transparent)` : null);
    return {
      width: this.width,
      height: this.height,
      legend: { show: false },
      scales: { x: { time: false }, y: { distr: this.log ? 3 : 1 } },
      axes: [
        { ...axis, size: 24, gap: 4, space: 70, grid: { show: false }, values: whole },
        { ...axis, size: 52, grid: { stroke: () => painted("var(--line)"), width: 1 }, values: short },
      ],
      series: [null, ...this.lines].map((_, i) => ({
        stroke: () => (line(i).edge ? null : painted(line(i).colour)),
        points: { show: () => !line(i).edge && line(i).values.filter(Number.isFinite).length === 1, size: 5 },
      })),
      bands: edges.filter((_, n) => n % 2).map((high) => ({ series: [high, high - 1], fill: () => fill(high) })),
      focus: { alpha: 1 },
      cursor: {
        sync: { key: "steps" },
        hover: { skip: [null] },
        focus: { prox: NEAR_PX, dist: (_, i, __, place, cursor) => (line(i).edge ? Infinity : place - cursor) },
        points: { one: true },
        drag: { dist: 5, click: (_, event) => this.dragged && event.stopPropagation() },
        bind: { mousedown: (_, __, handler) => (event) => ((this.dragged = false), handler(event)) },
      },
      hooks: {
        setCursor: [() => this.read()],
        setSelect: [() => (this.dragged = true)],
        setSeries: [(_, i) => this.approach(i ? line(i).id : null)],
      },
    };
  }

  data() {
    const shown = (value) => (this.log && !(value > 0) ? null : value);
    return uPlot.join(this.lines.map(({ steps, values }) => [steps, values.map(shown)]));
  }

  /** `change` the plot, told the steps that are zoomed to or null, and zoom to them again. */
  keepZoom(change) {
    const steps = this.plot?.data[0];
    const { min, max } = this.plot?.scales.x ?? {};
    const zoom = steps && min !== null && (min > steps[0] || max < steps.at(-1)) ? { min, max } : null;
    change(zoom);
    if (zoom) this.plot?.setScale("x", zoom);
  }

  approach(id) {
    if (id === this.near) return;
    this.near = id;
    this.onhover(id);
  }

  /** Write the values at the cursor's step: of the line that is pointed at first, then the highest. */
  read() {
    const { data, cursor } = this.plot;
    const step = data[0][cursor.idx];
    const there = this.lines
      .map((line, i) => ({ ...line, value: data[i + 1][cursor.idxs[i + 1]], at: line.steps.indexOf(data[0][cursor.idxs[i + 1]]) }))
      .filter(({ edge, steps, value }) => !edge && Number.isFinite(value) && steps[0] <= step && step <= steps.at(-1))
      .sort((a, b) => (b.id === this.near) - (a.id === this.near) || b.value - a.value);
    const key = ({ id, name, detail, colour, band, value, at }) => {
      const more = band && id === this.near ? ` (${number(band[0][at], 3)} to ${number(band[1][at], 3)})` : "";
      return el("span", { class: "key" }, swatch(colour), `${name} ${id === this.near ? detail : ""} ${measured(value)}${more}`);
    };
    const others = there.length > MOST_NAMED ? ` and ${there.length - MOST_NAMED} more` : "";
    this.readout.replaceChildren(...(there.length ? [`step ${step}`, ...there.slice(0, MOST_NAMED).map(key), others] : []));
  }
}

/** Mean of a curve over its seeds, and the lowest and highest seed as a band. */
export function meanOf(curve) {
  const seeds = Object.values(curve.seeds);
  const over = (what) =>
    curve.steps.map((_, i) => {
      const values = seeds.map((seed) => seed[i]).filter((value) => value !== null);
      return values.length ? what(values) : null;
    });
  const band = [over((values) => Math.min(...values)), over((values) => Math.max(...values))];
  return { values: over((values) => values.reduce((a, b) => a + b, 0) / values.length), band: seeds.length > 1 ? band : null };
}
