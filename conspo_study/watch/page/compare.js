// Trials side by side: curves, the settings in which they differ, and paired differences.

import { ask } from "./api.js";
import { address, choose, chosen, overview } from "./address.js";
import { evenly, LineChart, logSwitch, meanOf, smoothed, smoothing, ZOOM } from "./chart.js";
import { seedColour } from "./colours.js";
import { card, choice, el, simpleTable, swatch } from "./dom.js";
import { csvButton } from "./download.js";
import { measured, plain } from "./format.js";
import { byStage } from "./metrics.js";
import { on, store } from "./store.js";

const POINTS = 240;

/** Show the comparison of the trials in the address; `signal` aborts its requests. */
export async function comparePage(app, signal) {
  const trials = chosen("trials");
  const ids = trials.split(",").filter(Boolean);
  document.title = `${ids.join(", ")} · ${store.study.name}`;
  const [facts, settings, found] = [el("div"), el("div"), el("div")];
  const curves = curvesOf(ids);
  const back = el("p", {}, el("a", { href: overview() }, "← all trials"), " ", el("a", { href: address("samples", null, { trials }) }, "their responses →"));

  const fetchFacts = async () => {
    const answer = await ask("compare", { trials, metric: store.metric ?? "" }, signal);
    facts.replaceChildren(heading(answer.trials, ids, reference));
    settings.replaceChildren(settingsCard(answer, ids));
    found.replaceChildren(differencesCard(answer, ids));
  };
  let even = 0;
  const fetchCurves = async () => {
    even = evenly();
    const all = await Promise.all(ids.map((id) => ask(`trial/${encodeURIComponent(id)}/curves`, { points: POINTS, version: -1, evenly: even }, signal)));
    curves.update(all.map(({ curves }) => curves));
  };
  const reference = (id) => {
    location.hash = address("compare", null, { trials: [id, ...ids.filter((other) => other !== id)].join(","), metric: chosen("metric") });
  };
  const failed = (error) => !signal.aborted && facts.replaceChildren(el("p", { class: "alarm" }, error.message));
  curves.chosen = () => fetchFacts().catch(failed);
  await fetchFacts();
  app.replaceChildren(back, facts, found, curves.node, settings);
  await fetchCurves();
  on("look", () => even !== evenly() && fetchCurves().catch(failed));
  let seen = stateOf(ids);
  on("data", () => {
    if (seen === stateOf(ids)) return;
    seen = stateOf(ids);
    fetchFacts().then(fetchCurves).catch(failed);
  });
}

function stateOf(ids) {
  return JSON.stringify(ids.map((id) => store.trials.get(id)?.seq));
}

function heading(trials, ids, reference) {
  const names = trials.map((trial, i) =>
    el("li", {}, swatch(seedColour(ids.indexOf(trial.id))), " ", el("a", { href: address("trial", trial.id) }, trial.id), ` ${trial.of ? `confirms ${trial.of}` : trial.label} `, el("span", { class: `state ${trial.state}` }, trial.state), " ", i ? el("button", { type: "button", onclick: () => reference(trial.id) }, "make it the reference") : el("span", { class: "badge" }, "reference")),
  );
  return el("div", {}, el("h1", {}, `Comparison of ${trials.length} trials`), el("ul", { class: "plain" }, names));
}

function differencesCard({ metric, reference, values, differences, trials }, ids) {
  const seeds = [...new Set(ids.flatMap((id) => Object.keys(values[id].seeds)))].sort((a, b) => a - b);
  const heads = ["trial", ["mean ± sd", "number"], [`minus ${reference}`, "number"], ["95 % interval", "number"], ["common seeds", "number"], ...seeds.map((seed) => [`seed ${seed}`, "number"])];
  const cells = (id) => {
    const { mean, spread, seeds: own } = values[id];
    const to = differences[id];
    const signed = (value) => (Number.isFinite(value) ? `${value > 0 ? "+" : ""}${measured(value)}` : "");
    const interval = !to ? "" : to.low === null || to.low === undefined ? to.why : `${signed(to.low)} to ${signed(to.high)}`;
    return [id, measured(mean, spread), to ? signed(to.mean) : "", interval, to ? String(to.n) : "", ...seeds.map((seed) => measured(own[seed]))];
  };
  const running = trials.some(({ state }) => state === "running") ? " Values of running trials are their latest." : "";
  const searched = trials.some(({ role }) => role === "search") ? " Values of the search chose the best trial: for a claim, compare confirmations or fresh seeds." : "";
  return card(
    `Differences in ${metric}`,
    csvButton(() => `comparison ${metric}`, () => numbers(ids, reference, values, differences, seeds)),
    simpleTable(heads, ids.map(cells)),
    el("p", { class: "meta" }, `Differences over the seeds that both trials have, with Student's t interval; each interval is 95 % by itself.${running}${searched}`),
  );
}

/** The same as plain numbers. */
function numbers(ids, reference, values, differences, seeds) {
  const head = ["trial", "mean", "sd", `minus ${reference}`, "low", "high", "common seeds", ...seeds.map((seed) => `seed ${seed}`)];
  const row = (id) => {
    const { mean, spread, seeds: own } = values[id];
    const to = differences[id] ?? {};
    return [id, mean, spread, to.mean, to.low, to.high, to.n, ...seeds.map((seed) => own[seed])];
  };
  return [head, ...ids.map(row)];
}

function settingsCard({ settings }, ids) {
  const rows = settings.map(({ path, values }) => [path, ...ids.map((id) => plain(values[id]))]);
  const table = simpleTable(["setting", ...ids], rows);
  return card("Settings that differ", csvButton(() => "settings", () => [["setting", ...ids], ...settings.map(({ path, values }) => [path, ...ids.map((id) => values[id])])]), rows.length ? table : el("p", { class: "meta" }, "The trials have the same settings."));
}

function curvesOf(ids) {
  const chart = new LineChart({ height: 320, label: "Curves of the compared trials over training steps" });
  const controls = el("span");
  let all = [];
  const shown = { metric: store.metric, chosen: () => {} };
  const draw = () => {
    const lines = ids.flatMap((id, i) => {
      const curve = all[i]?.[shown.metric];
      if (!curve) return [];
      const { values, band } = meanOf(curve);
      return [{ id, name: id, detail: store.trials.get(id)?.label, colour: seedColour(i), steps: curve.steps, values: smoothed(values), band: band && band.map((edge) => smoothed(edge)), wide: true }];
    });
    chart.update(lines);
  };
  const offer = () => {
    const names = [...new Set(all.flatMap((curves) => Object.keys(curves)))];
    const first = [store.study.metric, shown.metric].filter((name, i, both) => name && both.indexOf(name) === i);
    controls.replaceChildren(
      choice("metric", byStage(first, names), shown.metric, (metric) => {
        shown.metric = store.metric = metric;
        choose("metric", metric, store.study.metric);
        draw();
        shown.chosen();
      }),
      smoothing(),
      logSwitch(),
      " ",
      chart.buttons(() => `comparison ${shown.metric}`),
    );
  };
  on("look", draw);
  const node = card("Curves", controls, chart.node, el("p", { class: "meta" }, `Mean over seeds and their range. ${ZOOM}`));
  return Object.assign(shown, {
    node,
    update: (curves) => {
      all = curves;
      offer();
      draw();
    },
  });
}
