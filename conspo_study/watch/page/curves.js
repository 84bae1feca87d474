// Curves of all trials for one metric.

import { LineChart, logSwitch, meanOf, ZOOM } from "./chart.js";
import { colouring } from "./colours.js";
import { card, choice, el, swatch } from "./dom.js";
import { measured, plain, short } from "./format.js";
import { hover, light, on, searched, select, store, tell, varied } from "./store.js";

let seedsApart = false;

export function curvesCard(refetch) {
  const chart = new LineChart({
    height: 320,
    label: "Curves of all trials over training steps; the table has their values",
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
      choice("seeds", [["mean", "mean, range"], ["apart", "each"]], seedsApart ? "apart" : "mean", (value) => {
        seedsApart = value === "apart";
        draw();
      }),
      logSwitch(),
    );
  };

  const draw = () => {
    offer();
    const { of, legend: meaning } = colouring();
    const few = store.curves.size <= 4;
    const isBest = ({ id }) => id === store.study.best;
    // The last is drawn on top.
    const trials = searched().filter((trial) => store.curves.has(trial.id)).sort((a, b) => isBest(a) - isBest(b));
    const lines = trials.flatMap((trial) => {
      const { steps, seeds } = store.curves.get(trial.id);
      const line = { id: trial.id, detail: `${trial.label}${isBest(trial) ? " (best)" : ""}`, colour: of(trial), steps, wide: isBest(trial) || few };
      if (!seedsApart) return { ...line, name: trial.id, ...meanOf({ steps, seeds }) };
      return Object.entries(seeds).map(([seed, values]) => ({ ...line, name: `${trial.id} seed ${seed}`, values }));
    });
    chart.update(lines);
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
  on("highlight", (trial) => chart.light(trial));
  draw();
  return card("Curves", controls, chart.node, legend, el("p", { class: "meta" }, ZOOM));
}
