// The curves of all trials, by a metric of choice.

import { colouring } from "./colours.js";
import { card, choice, el } from "./dom.js";
import { measured, plain, short } from "./format.js";
import { LineChart, meanOf } from "./linechart.js";
import { hover, light, on, searched, select, store, tell, varied } from "./store.js";

let seedsApart = false;

export function curvesCard(refetch) {
  const chart = new LineChart({
    height: 320,
    label: "Curves of all trials over training steps; the table names their values",
    onhover: hover,
    onchoose: select,
  });
  const controls = el("span");
  const legend = el("p", { class: "legend" });
  let offered = "";

  const offer = () => {
    const metrics = store.study.metrics;
    const paths = varied();
    const key = JSON.stringify([metrics, paths, store.metric]);
    if (key === offered) return;
    offered = key;
    const names = [...new Set([store.study.metric, ...store.study.also, "reward", ...metrics])].filter(
      (name) => metrics.includes(name) || name === store.metric,
    );
    controls.replaceChildren(
      choice("metric", names, store.metric, refetch),
      choice("colour", [["value", "result"], ...paths.map((path) => [path, short(path)])], store.colourBy, (value) => {
        store.colourBy = value;
        tell("look");
      }),
      choice("seeds", [["mean", "mean and range"], ["apart", "one line each"]], seedsApart ? "apart" : "mean", (value) => {
        seedsApart = value === "apart";
        draw();
      }),
    );
  };

  const draw = () => {
    offer();
    const { of, legend: meaning } = colouring();
    const few = store.curves.size <= 4;
    const series = searched()
      .filter((trial) => store.curves.has(trial.id))
      .map((trial) => {
        const curve = store.curves.get(trial.id);
        const { mean, band } = meanOf(curve);
        const best = trial.id === store.study.best;
        return {
          id: trial.id,
          trial: trial.id,
          name: `${trial.id} ${trial.label}${best ? " (best)" : ""}`,
          colour: of(trial),
          steps: curve.steps,
          lines: seedsApart ? Object.values(curve.seeds) : [mean],
          band: seedsApart ? null : band,
          wide: best || few,
        };
      });
    series.sort((a, b) => (a.trial === store.study.best) - (b.trial === store.study.best));
    chart.update(series);
    const title = store.colourBy === "value" ? `${short(store.study.metric)}:` : `${short(store.colourBy)}:`;
    legend.replaceChildren(
      title,
      ...meaning.map(([colour, value]) =>
        el("span", { class: "key" }, swatch(colour), store.colourBy === "value" ? measured(value) : plain(value)),
      ),
    );
    light();
  };
  for (const kind of ["data", "curves", "look"]) on(kind, draw);
  draw();
  return card("Curves", controls, chart.node, legend);
}

/** A spot of colour; a style attribute would be refused by the page's own policy. */
export function swatch(colour) {
  const spot = el("span", { class: "swatch" });
  spot.style.background = colour;
  return spot;
}
