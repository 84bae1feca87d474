// Polls the server for changes, and shows the view that the address names.

import { address, choose, chosen, place } from "./address.js";
import { ask } from "./api.js";
import { closeCharts, evenly } from "./chart.js";
import { onSchemeChange } from "./colours.js";
import { comparePage } from "./compare.js";
import { curvesCard } from "./curves.js";
import { el } from "./dom.js";
import { showHead } from "./head.js";
import { historyCard } from "./history.js";
import { importanceCard } from "./importance.js";
import { notesCard, pollNotes } from "./notes.js";
import { samplesPage } from "./samples.js";
import { heatCard, parallelCard } from "./search.js";
import { forget, leave, light, on, store, tell } from "./store.js";
import { studiesCard } from "./studies.js";
import { tableCard } from "./table.js";
import { trialPage } from "./trial.js";

const POLL_MS = 2000;
const app = document.getElementById("app");
const head = document.getElementById("head");
const cursors = { study: { epoch: 0, since: 0 }, curves: { epoch: 0, since: 0 } };
let asEven = 0;
let view = { shown: false, overview: false, waiting: false, abort: new AbortController() };
let listed = null;

/** Ask for all studies, and show them where the address names none. */
async function pollStudies() {
  if (listed && (!listed.several || place().study !== null)) return false;
  listed = await ask("studies");
  store.several = listed.several;
  return listed.several && place().study === null;
}

/** Whether anything has changed. */
async function pollStudy() {
  const { of } = store;
  const answer = await ask("study", cursors.study);
  if (of !== store.of) return false;
  const known = store.study;
  if (answer.reset || answer.epoch !== cursors.study.epoch) store.trials.clear();
  for (const trial of answer.trials) store.trials.set(trial.id, trial);
  cursors.study = { epoch: answer.epoch, since: answer.seq };
  const { trials, ...rest } = answer;
  store.study = rest;
  store.metric ??= chosen("metric") || rest.metric || null;
  return trials.length > 0 || JSON.stringify(known) !== JSON.stringify(rest);
}

async function pollCurves() {
  if (!view.overview || !store.metric) return;
  const { of, metric: asked } = store;
  const points = store.trials.size > 50 ? 100 : 240;
  const even = evenly();
  if (even !== asEven) cursors.curves = { epoch: 0, since: 0 };
  const answer = await ask("curves", { ...cursors.curves, metric: asked, points, evenly: even });
  if (asked !== store.metric || of !== store.of || even !== evenly()) return;
  if (even !== asEven) store.curves.clear();
  asEven = even;
  if (answer.reset || answer.epoch !== cursors.curves.epoch) store.curves.clear();
  for (const [trial, curve] of Object.entries(answer.curves)) store.curves.set(trial, curve);
  cursors.curves = { epoch: answer.epoch, since: answer.seq };
  if (Object.keys(answer.curves).length || answer.reset) tell("curves");
}

async function poll() {
  let again = POLL_MS;
  try {
    if (await pollStudies()) {
      store.offline = "";
      showStudies();
      if (listed.studies.some((study) => study.bytes_left)) again = 50;
    } else {
      again = (await pollOne()) ?? again;
    }
  } catch (error) {
    store.offline = error.message;
    again = 2 * POLL_MS;
    showHead(head);
  }
  const reading = store.study ? store.study.bytes_left : listed?.studies.some((study) => study.bytes_left);
  document.body.dataset.ready = (store.study || listed?.several) && !reading ? "yes" : "no";
  window.setTimeout(next, again);
}

/** Ask for the study of the address; returns in how many ms to ask again, or undefined as usual. */
async function pollOne() {
  const { study } = place();
  if (study !== store.of) begin(study);
  const changed = await pollStudy();
  if (!store.study) return 0;
  store.offline = "";
  if (!view.shown || view.waiting) await route();
  else if (changed) tell("data");
  await pollNotes();
  await pollCurves();
  showHead(head);
  return store.study.bytes_left ? 50 : undefined;
}

/** Forget the study that was shown, for another one. */
function begin(study) {
  leave();
  view.shown = false;
  store.of = study;
  for (const kind of Object.keys(cursors)) cursors[kind] = { epoch: 0, since: 0 };
}

/** Poll again, or wait until the page is visible. */
function next() {
  if (!document.hidden) poll();
  else document.addEventListener("visibilitychange", next, { once: true });
}

const find = el("input", { type: "search", class: "query", placeholder: "part of a name, a question or a verdict", "aria-label": "filter of studies", oninput: () => {
  choose("find", find.value);
  showStudies();
} });
const shelf = el("div");

function showStudies() {
  if (!view.studies) {
    clear({ studies: true });
    begin(null);
    document.title = "studies";
    find.value = chosen("find");
    app.replaceChildren(el("p", { class: "filters" }, el("label", {}, "find ", find)), shelf);
  }
  showHead(head);
  shelf.replaceChildren(studiesCard(listed, find.value));
}

/** Leave the view that was shown. */
function clear(now) {
  view.abort.abort();
  view = { abort: new AbortController(), ...now };
  forget();
  closeCharts();
}

/** Show the view of the address, of the study that is known. */
async function route() {
  clear({ shown: true });
  const { signal } = view.abort;
  const { view: name, of } = place();
  store.groupBy = "";
  store.log = chosen("log") === "1";
  store.smooth = Math.min(0.95, Math.max(0, Number(chosen("smooth")) || 0));
  const pages = { trial: () => trialPage(app, of, signal), compare: () => comparePage(app, signal), samples: () => samplesPage(app, signal) };
  if (Object.hasOwn(pages, name)) {
    // A large log takes several polls to read, and the trial may come late in it.
    const named = name === "trial" ? [of] : chosen("trials").split(",");
    view.waiting = store.study.bytes_left > 0 && named.some((id) => !store.trials.has(id));
    if (view.waiting) return;
    store.metric = chosen("metric") || store.study.metric || null;
    try {
      await pages[name]();
    } catch (error) {
      if (!signal.aborted) app.replaceChildren(el("p", { class: "alarm" }, error.message), el("p", {}, el("a", { href: address() }, "← all trials")));
    }
    return;
  }
  view.overview = true;
  document.title = store.study.name;
  Object.assign(store, { colourBy: chosen("colour", "value"), groupBy: chosen("group"), picked: new Set(chosen("pick").split(",").filter(Boolean)) });
  chooseMetric(chosen("metric") || store.study.metric || null);
  app.replaceChildren(
    tableCard(),
    el("div", { class: "columns" }, curvesCard(pickMetric), heatCard()),
    parallelCard(),
    el("div", { class: "columns" }, historyCard(), importanceCard(signal)),
    notesCard(),
  );
  on("look", () => evenly() !== asEven && pollCurves().catch(failed));
  light();
  await pollCurves();
}

function chooseMetric(metric) {
  if (metric === store.metric && store.curves.size) return;
  store.metric = metric;
  store.curves.clear();
  cursors.curves = { epoch: 0, since: 0 };
}

function pickMetric(metric) {
  chooseMetric(metric);
  choose("metric", metric, store.study.metric);
  tell("curves");
  pollCurves().catch(failed);
}

function failed(error) {
  store.offline = error.message;
  showHead(head);
}

window.addEventListener("hashchange", async (event) => {
  if (view.overview) store.overview = new URL(event.oldURL).hash;
  const { study } = place();
  if (store.several && study === null) {
    if (listed) showStudies();
  } else if (study !== store.of || !store.study) {
    await pollOne().catch(failed);
  } else {
    await route().catch(failed);
    showHead(head);
  }
  window.scrollTo(0, 0);
});
onSchemeChange(() => tell("look"));
poll();
