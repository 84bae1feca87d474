// Curves of all trials for one metric, or of groups of trials.

import { choose, chosen } from "./address.js";
import { LineChart, logSwitch, meanOf, smoothed, smoothing, ZOOM } from "./chart.js";
import { colouring } from "./colours.js";
import { card, choice, el, swatch } from "./dom.js";
import { measured, plain, short } from "./format.js";
import { grouped, together } from "./groups.js";
import { byStage } from "./metrics.js";
import { hover, light, on, searched, select, store, tell, varied } from "./store.js";

export function curvesCard(refetch) {
  const chart = new LineChart({
    height: 320,
    label: "Curves of all trials over training steps; the table has their values",
    onhover: hover,
    onchoose: (id) => store.trials.has(id) && select(id),
  });
  const controls = el("span");
  const legend = el("p", { class: "legend" });
  let offered = "";
  let seedsApart = chosen("seeds") === "each";

  const offer = () => {
    const metrics = store.study.metrics;
    const paths = varied();
    const key = JSON.stringify([metrics, paths, store.metric, store.colourBy]);
    if (key === offered) return;
    offered = key;
    const first = [...new Set([store.study.metric, ...store.study.also, "reward", store.metric])].filter((name) => name && (metrics.includes(name) || name === store.metric));
    controls.replaceChildren(
      choice("metric", byStage(first, metrics), store.metric, refetch),
      choice("colour", [["value", "result"], ...paths.map((path) => [path, short(path)])], store.colourBy, (value) => {
        store.colourBy = value;
        choose("colour", value, "value");
        tell("look");
      }),
      choice("seeds", [["mean", "mean, range"], ["each", "each"]], seedsApart ? "each" : "mean", (value) => {
        seedsApart = value === "each";
        choose("seeds", value, "mean");
        draw();
      }),
      smoothing(),
      logSwitch(),
      " ",
      chart.buttons(() => `${store.study.name} ${store.metric}`),
    );
  };

  const draw = () => {
    offer();
    // The lines of groups differ in their setting.
    const by = store.groupBy || store.colourBy;
    const { of, legend: meaning } = colouring(by);
    const isBest = ({ id }) => id === store.study.best;
    // The last is drawn on top.
    const trials = searched().filter((trial) => store.curves.has(trial.id)).sort((a, b) => isBest(a) - isBest(b));
    const few = (store.groupBy ? grouped(trials) : trials).length <= 4;
    const lines = store.groupBy ? ofGroups(trials, of, few) : trials.flatMap((trial) => ofTrial(trial, of(trial), isBest(trial), few, seedsApart));
    chart.update(lines);
    const keys = meaning.map(([colour, value]) => el("span", { class: "key" }, swatch(colour), by === "value" ? measured(value) : plain(value)));
    legend.replaceChildren(`${short(by === "value" ? store.study.metric : by)}:`, ...keys);
    light();
  };
  for (const kind of ["data", "curves", "look"]) on(kind, draw);
  on("highlight", (trial) => chart.light(trial));
  draw();
  return card("Curves", controls, chart.node, legend, el("p", { class: "meta" }, ZOOM));
}

/** The lines of a trial: the mean over its seeds with their range, or one for each seed. */
function ofTrial(trial, colour, best, few, seedsApart) {
  const { steps, seeds } = store.curves.get(trial.id);
  const line = { id: trial.id, detail: `${trial.label}${best ? " (best)" : ""}`, colour, steps, wide: best || few };
  if (seedsApart) return Object.entries(seeds).map(([seed, values]) => ({ ...line, name: `${trial.id} seed ${seed}`, values: smoothed(values) }));
  return [{ ...line, name: trial.id, ...smooth(meanOf({ steps, seeds })) }];
}

/** A line for each group: the mean over its trials, with the range of these. */
function ofGroups(trials, of, few) {
  return grouped(trials).map(({ id, name, trials: members }) => {
    const curve = together(members.map((trial) => ({ steps: store.curves.get(trial.id).steps, values: meanOf(store.curves.get(trial.id)).values })));
    const colour = of(members[0]);
    return { id, name, detail: `mean of ${members.length}`, colour, wide: few, ...curve, ...smooth(curve) };
  });
}

function smooth({ values, band }) {
  return { values: smoothed(values), band: band && band.map((edge) => smoothed(edge)) };
}
