// Polls the server for changes, and shows the view that the address names.

import { ask } from "./api.js";
import { closeCharts } from "./chart.js";
import { onSchemeChange } from "./colours.js";
import { curvesCard } from "./curves.js";
import { el } from "./dom.js";
import { duration, measured } from "./format.js";
import { heatCard, parallelCard } from "./search.js";
import { forget, light, store, tell } from "./store.js";
import { list, shortMetric, tableCard, total } from "./table.js";
import { trialPage } from "./trial.js";

const POLL_MS = 2000;
const app = document.getElementById("app");
const head = document.getElementById("head");
const cursors = { study: { epoch: 0, since: 0 }, curves: { epoch: 0, since: 0 } };
let view = { overview: false, waiting: false, abort: new AbortController() };

async function pollStudy() {
  const answer = await ask("study", cursors.study);
  const known = store.study;
  if (answer.reset || answer.epoch !== cursors.study.epoch) store.trials.clear();
  for (const trial of answer.trials) store.trials.set(trial.id, trial);
  cursors.study = { epoch: answer.epoch, since: answer.seq };
  const { trials, ...rest } = answer;
  store.study = rest;
  store.metric ??= rest.metric || null;
  return trials.length > 0 || JSON.stringify(known) !== JSON.stringify(rest);
}

async function pollCurves() {
  if (!view.overview || !store.metric) return;
  const asked = store.metric;
  const points = store.trials.size > 50 ? 100 : 240;
  const answer = await ask("curves", { ...cursors.curves, metric: asked, points });
  if (asked !== store.metric) return;
  if (answer.reset || answer.epoch !== cursors.curves.epoch) store.curves.clear();
  for (const [trial, curve] of Object.entries(answer.curves)) store.curves.set(trial, curve);
  cursors.curves = { epoch: answer.epoch, since: answer.seq };
  if (Object.keys(answer.curves).length || answer.reset) tell("curves");
}

async function poll() {
  let again = POLL_MS;
  try {
    const first = store.study === null;
    const changed = await pollStudy();
    store.offline = "";
    if (store.study.bytes_left) again = 50;
    if (first || view.waiting) await route();
    else if (changed) tell("data");
    await pollCurves();
  } catch (error) {
    store.offline = error.message;
    again = 2 * POLL_MS;
  }
  showHead();
  document.body.dataset.ready = store.study && !store.study.bytes_left ? "yes" : "no";
  window.setTimeout(next, again);
}

/** Poll again, or wait until the page is visible. */
function next() {
  if (!document.hidden) poll();
  else document.addEventListener("visibilitychange", next, { once: true });
}

function showHead() {
  const study = store.study;
  if (!study) {
    head.replaceChildren(el("p", { class: "alarm" }, store.offline));
    return;
  }
  const best = store.trials.get(study.best);
  const done = Object.entries(study.counts).filter(([, n]) => n);
  const ended = ["finished", "collapsed", "pruned", "failed"].reduce((sum, name) => sum + (study.counts[name] ?? 0), 0);
  const running = [...store.trials.values()].filter((trial) => trial.state === "running" && trial.left_s !== null);
  const driver = { running: "running", none: study.finished ? "finished" : "not running", dead: "driver died", silent: "driver does not respond", unreadable: "unknown: the lease file is unreadable" };
  const facts = [
    ["status", el("span", { class: `state ${study.driver.state === "none" && study.finished ? "finished" : study.driver.state}`, title: study.driver.who }, driver[study.driver.state])],
    ["trials", `${ended} of ${study.budget ?? "?"}${done.length ? `: ${done.map(([name, n]) => `${n} ${name}`).join(", ")}` : ""}`],
    running.length > 0 && ["running trials", `${left(running.map((trial) => trial.left_s))} left`],
    best && ["best so far", el("span", {}, el("a", { href: `#/trial/${best.id}` }, best.id), ` ${measured(best.value, best.spread)} `, el("span", { class: "meta" }, best.label))],
    ["metric", `${shortMetric(study.metric)} (${study.direction === "min" ? "lower" : "higher"} is better)`],
    total(study.incidents) > 0 && ["incidents", `${list(study.incidents)}, all recovered`],
  ].filter(Boolean);
  const reading = study.bytes_left ? `Reading the log: ${(study.bytes_left / 1e6).toFixed(0)} MB left` : "";
  const damage = study.damage && `${study.damage}. Only the lines before it are shown. To recover the others: conspo repair ${study.folder}`;
  const alarms = [store.offline, study.problem, damage, ...study.alarms].filter(Boolean);
  const budget = Number(study.budget) || 0;
  const bar = el("progress", { max: Math.max(1, budget), value: Math.min(ended, budget), "aria-label": "ended trials" });
  head.replaceChildren(...[
    el("p", { class: "title" }, el("a", { href: "#/" }, study.name), el("span", { class: "meta" }, ` ${study.folder}`)),
    study.question && el("p", { class: "meta" }, study.question),
    study.verdict && el("p", { class: "verdict" }, study.verdict),
    bar,
    el("dl", {}, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    ...alarms.map((text) => el("p", { class: "alarm", role: "alert" }, text)),
    reading && el("p", { class: "meta", role: "status" }, reading),
    ...study.changes.map((text) => el("p", { class: "meta" }, `accepted: ${text}`)),
  ].filter(Boolean));
}

/** A range of durations: "40 s to 3 min". */
function left(seconds) {
  const [low, high] = [Math.min(...seconds), Math.max(...seconds)].map(duration);
  return low === high ? low : `${low} to ${high}`;
}

async function route() {
  view.abort.abort();
  view = { overview: false, waiting: false, abort: new AbortController() };
  forget();
  closeCharts();
  const { signal } = view.abort;
  const match = /^#\/trial\/([^/]+)$/.exec(location.hash);
  if (match) {
    const id = decodeURIComponent(match[1]);
    // A large log takes several polls to read, and the trial may come late in it.
    view.waiting = !store.trials.has(id) && store.study.bytes_left > 0;
    if (view.waiting) return;
    try {
      await trialPage(app, id, signal);
    } catch (error) {
      if (!signal.aborted) app.replaceChildren(el("p", { class: "alarm" }, error.message), el("p", {}, el("a", { href: "#/" }, "← all trials")));
    }
    return;
  }
  view.overview = true;
  document.title = store.study.name;
  app.replaceChildren(
    tableCard(),
    el("div", { class: "columns" }, curvesCard(chooseMetric), heatCard()),
    parallelCard(),
  );
  light();
  await pollCurves();
}

function chooseMetric(metric) {
  store.metric = metric;
  store.curves.clear();
  cursors.curves = { epoch: 0, since: 0 };
  tell("curves");
  pollCurves().catch((error) => {
    store.offline = error.message;
    showHead();
  });
}

window.addEventListener("hashchange", async () => {
  if (!store.study) return;
  await route().catch((error) => {
    store.offline = error.message;
  });
  showHead();
  window.scrollTo(0, 0);
});
onSchemeChange(() => tell("look"));
poll();
