// Line charts over training steps, drawn by uPlot: drag zooms, a double click resets.

/* global uPlot */

import { choose } from "./address.js";
import { chartSvg } from "./chart_svg.js";
import { painted } from "./colours.js";
import { el, onWidth, swatch, toggle } from "./dom.js";
import { csvButton, svgButton } from "./download.js";
import { measured, number } from "./format.js";
import { extent } from "./scales.js";
import { store, tell } from "./store.js";

const [NEAR_PX, FADED, MOST_NAMED] = [24, 0.22, 10];
const charts = new Set();
export const ZOOM = "Drag to zoom, double-click to reset.";

/** The switch of all charts between a linear and a logarithmic vertical axis. */
export function logSwitch() {
  return toggle("log y", store.log, (log) => {
    store.log = log;
    choose("log", log ? "1" : "");
    tell("look");
  });
}

/** The control of all charts for how far curves are smoothed: an exponential mean, as in other dashboards. */
export function smoothing() {
  const told = el("span", { class: "meta" }, store.smooth ? String(store.smooth) : "off");
  const slider = el("input", {
    type: "range",
    min: 0,
    max: 0.95,
    step: 0.05,
    value: store.smooth,
    "aria-label": "smoothing",
    oninput: () => {
      store.smooth = Number(slider.value);
      told.textContent = store.smooth ? String(store.smooth) : "off";
      choose("smooth", store.smooth ? String(store.smooth) : "");
      tell("look");
    },
  });
  return el("label", { title: "weight of earlier values in an exponential mean" }, "smooth ", slider, " ", told);
}

/** Whether curves have to come at equal distances, as a question says it: means need the values of the same steps. */
export function evenly() {
  return store.groupBy || store.smooth ? 1 : 0;
}

/** An exponential mean of a curve's values, without the pull of its beginning to zero; gaps stay gaps. */
export function smoothed(values, weight = store.smooth) {
  if (!weight) return values;
  let [sum, total] = [0, 0];
  return values.map((value) => {
    if (!Number.isFinite(value)) return null;
    sum = weight * sum + (1 - weight) * value;
    total = weight * total + 1 - weight;
    return sum / total;
  });
}

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
    Object.assign(this, { height, onhover, onchoose, lines: [], log: store.log, lit: null, near: null });
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

  /** Show these lines; a zoom is kept. On a logarithmic axis, values of zero and below are gaps. */
  update(lines) {
    // Edges of bands are lines without a stroke; uPlot fills the space between them.
    const edges = lines.flatMap((line) => (line.band ?? []).map((values) => ({ ...line, values, edge: true })));
    const same = this.plot && lines.length + edges.length === this.lines.length && this.log === store.log;
    Object.assign(this, { lines: [...lines, ...edges], log: store.log });
    if (same) this.keepZoom((zoom) => this.plot.setData(this.data(), !zoom));
    else this.draw();
  }

  /** Buttons that save what the chart shows; `name` is called when one is pressed. */
  buttons(name) {
    const lines = () => this.lines.filter((line) => !line.edge);
    const rows = () => [["line", "step", "value"], ...lines().flatMap((line) => line.steps.map((step, i) => [line.name, step, line.values[i]]))];
    const view = () => {
      const { x, y } = this.plot.scales;
      return { x: [x.min, x.max], y: [y.min, y.max], log: this.log };
    };
    return el("span", { class: "save" }, csvButton(name, rows), " ", svgButton(name, () => this.plot && chartSvg(name(), lines(), view())));
  }

  /** Fade all lines but those of `id`; null shows all alike. */
  light(id) {
    this.lit = id;
    this.plot?.series.slice(1).forEach((drawn, i) => {
      const line = this.lines[i];
      drawn.alpha = id === null || line.id === id ? 1 : FADED;
      // An invisible band costs time, too: uPlot clips along its edges.
      drawn.show = !line.edge || line.wide || line.id === id;
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
    // A destroyed plot may still finish a drawing that it had put off, of lines that are gone.
    const line = (i) => this.lines[i - 1] ?? { edge: true, values: [], colour: "" };
    const edges = this.lines.map((_, i) => i + 1).filter((i) => line(i).edge);
    const axis = { stroke: () => painted("var(--faint)"), font: "11px system-ui, sans-serif", ticks: { show: false } };
    const grid = { stroke: () => painted("var(--line)"), width: 1, filter: (plot, ...splits) => plot.axes[1].filter(plot, ...splits) };
    const whole = (_, steps) => steps.map((step) => (Number.isInteger(step) ? step : ""));
    const short = (_, values) => values.map((value) => (value === null ? "" : number(value, 3)));
    const stroke = (_, i) => (line(i).edge ? null : painted(line(i).colour));
    const alone = (_, i) => !line(i).edge && line(i).values.filter(Number.isFinite).length === 1;
    const fill = (i) => `color-mix(in srgb, ${painted(line(i).colour)} 16%, transparent)`;
    return {
      width: this.width,
      height: this.height,
      legend: { show: false },
      scales: { x: { time: false }, y: { distr: this.log ? 3 : 1, range: (_, low, high) => this.range(low, high) } },
      axes: [
        { ...axis, size: 24, gap: 4, space: 45, grid: { show: false }, values: whole },
        { ...axis, size: 52, grid, values: short },
      ],
      series: [{}, ...this.lines.map(() => ({ stroke, points: { show: alone, size: 5, fill: stroke } }))],
      bands: edges.filter((_, n) => n % 2).map((high) => ({ series: [high, high - 1], fill: () => fill(high) })),
      focus: { alpha: 1 },
      cursor: {
        // Charts have steps in common, and no heights.
        sync: { key: "steps", scales: ["x", "y"], match: [() => true, () => false] },
        hover: { skip: [null] },
        focus: { prox: NEAR_PX, dist: (_, i, __, place, cursor) => (line(i).edge ? Infinity : place - cursor) },
        points: { one: true },
        drag: { dist: 5, click: (_, event) => this.endDrag(event) },
      },
      hooks: {
        setCursor: [(plot) => this.read(plot)],
        setSelect: [() => (this.dragged = true)],
        setSeries: [(_, i) => this.point(i ? line(i).id : null)],
      },
    };
  }

  range(low, high) {
    if (low === null) return [null, null];
    if (!this.log) return extent([low, high]);
    // uPlot counts its ticks from the lower end, so that is a round number.
    const unit = 10 ** Math.floor(Math.log10(low));
    return [Math.floor(low / unit) * unit, 1.1 * high];
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

  /** Keep the click that ends a drag from choosing a line. */
  endDrag(event) {
    if (this.dragged) event.stopPropagation();
    this.dragged = false;
  }

  point(id) {
    if (id !== this.near) this.onhover((this.near = id));
  }

  /** Write the values at the cursor's step; of many lines, the nearest one and the highest ones. */
  read({ data, cursor }) {
    const step = data[0][cursor.idx];
    const there = this.lines
      .map((line, i) => ({ ...line, value: data[i + 1][cursor.idxs[i + 1]], at: line.steps.indexOf(data[0][cursor.idxs[i + 1]]) }))
      .filter(({ edge, steps, value }) => !edge && Number.isFinite(value) && steps[0] <= step && step <= steps.at(-1));
    if (there.length > MOST_NAMED) there.sort((a, b) => (b.id === this.near) - (a.id === this.near) || b.value - a.value);
    const key = ({ id, name, detail, colour, band, value, at }) => {
      const more = band && id === this.near ? ` (${number(band[0][at], 3)} to ${number(band[1][at], 3)})` : "";
      return el("span", { class: id === this.near && "near" }, swatch(colour), [name, id === this.near && detail, measured(value) + more].filter(Boolean).join(" "));
    };
    const others = there.length > MOST_NAMED ? `and ${there.length - MOST_NAMED} more` : "";
    this.readout.replaceChildren(...(there.length ? [el("span", {}, `step ${step}`), ...there.slice(0, MOST_NAMED).map(key), others] : []));
  }
}

/** Mean of a curve over its seeds, and the lowest and highest seed as a band. */
export function meanOf({ steps, seeds }) {
  const bySteps = steps.map((_, i) => Object.values(seeds).map((values) => values[i]).filter((value) => value !== null));
  const over = (what) => bySteps.map((values) => (values.length ? what(values) : null));
  const band = [over((values) => Math.min(...values)), over((values) => Math.max(...values))];
  return { values: over((values) => values.reduce((a, b) => a + b, 0) / values.length), band: Object.keys(seeds).length > 1 ? band : null };
}
