// The page of one trial: settings, seeds, events, incidents, findings, curves and responses.

import { overview } from "./address.js";
import { ask } from "./api.js";
import { evenly, LineChart, logSwitch, meanOf, smoothed, smoothing, ZOOM } from "./chart.js";
import { GREY, seedColour } from "./colours.js";
import { card, el, swatch } from "./dom.js";
import { findingsCard } from "./findings.js";
import { counted, duration, measured, plain } from "./format.js";
import { stage } from "./metrics.js";
import { notesCard } from "./notes.js";
import { responsesCard } from "./responses.js";
import { on, store } from "./store.js";
import { state, total } from "./table.js";

const POINTS = 160;
/** Charts shown at first. */
const FIRST = 12;

/** Show the page of trial `id`; `signal` aborts its requests. */
export async function trialPage(app, id, signal) {
  const path = `trial/${encodeURIComponent(id)}`;
  let about = await ask(path, {}, signal);
  const [facts, findings] = [el("div"), el("div")];
  const charts = allCurves(id, about.row.seeds);
  const responses = responsesCard({ path: `${path}/responses`, stored: about.stored, signal });
  app.replaceChildren(el("p", {}, el("a", { href: overview() }, "← all trials")), facts, findings, charts.node, responses.node, notesCard(id));

  let [configuration, configured] = [null, ""];
  const show = () => {
    const { row } = about;
    document.title = `${row.id} · ${store.study.name}`;
    // Kept while unchanged, so that opened sections stay open.
    if (configured !== JSON.stringify(about.config)) {
      configured = JSON.stringify(about.config);
      configuration = configurationCard(about);
    }
    facts.replaceChildren(heading(about), el("div", { class: "columns" }, seedsCard(about), configuration), eventsCard(about));
  };
  let [version, even] = [-1, 0];
  const fetchCurves = async () => {
    even = evenly();
    const answer = await ask(`${path}/curves`, { points: POINTS, version, evenly: even }, signal);
    if (answer.version !== version) {
      charts.update(answer);
      findings.replaceChildren(...findingsCard(answer.findings ?? []));
    }
    version = answer.version;
  };
  show();
  await fetchCurves();
  on("look", () => {
    if (even === evenly()) return;
    version = -1;
    fetchCurves().catch((error) => !signal.aborted && (store.offline = error.message));
  });
  let seen = about.row.seq;
  on("data", async () => {
    try {
      const seq = store.trials.get(id)?.seq ?? seen;
      if (seq === seen) return;
      seen = seq;
      about = await ask(path, {}, signal);
      show();
      responses.stored(about.stored);
      await fetchCurves();
    } catch (error) {
      if (!signal.aborted) store.offline = String(error.message);
    }
  });
}

function heading({ row, problem, bars }) {
  const facts = [
    state(row.state),
    `step ${row.step} of ${row.steps ?? "?"}`,
    row.left_s !== null && `about ${duration(row.left_s)} left`,
    row.wall_s !== null && `took ${duration(row.wall_s)}`,
    row.collapsed.shown && `${row.collapsed.shown} seeds collapsed`,
    row.decided !== null && `${measured(row.decided)} without undecided responses`,
    row.tokens_per_s !== null && `${Math.round(row.tokens_per_s)} tokens/s`,
    Object.keys(bars).length > 0 && counted(Object.keys(bars).length, "pruning threshold"),
    total(row.incidents) > 0 && counted(total(row.incidents), "recovered incident"),
  ].filter(Boolean);
  return el(
    "div",
    {},
    el("h1", {}, row.id, " ", el("span", { class: "meta" }, row.of ? `confirms ${row.of}` : row.label)),
    el("p", { class: "facts" }, facts.map((fact) => el("span", {}, fact))),
    row.cause && el("p", { class: "alarm" }, row.cause),
    row.collapsed.reasons.map((reason) => el("p", { class: "meta" }, reason)),
    problem && el("p", { class: "alarm" }, problem),
  );
}

function seedsCard({ row, also, bars }) {
  const metrics = [[store.study.metric, row.values], ...Object.entries(also)];
  const head = el("tr", {}, el("th", {}, "seed"), metrics.map(([name]) => el("th", { class: "number" }, name)));
  const body = row.seeds.map((seed, i) =>
    el("tr", {}, el("td", {}, swatch(seedColour(i)), ` ${seed}`), metrics.map(([, values]) => el("td", { class: "number" }, measured(values[seed])))),
  );
  const settings = Object.entries(row.params).map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, plain(value))));
  const thresholds = Object.entries(bars).map(([step, bar]) => `${measured(bar)} at step ${step}`);
  return card(
    "Settings and seeds",
    null,
    el("div", { class: "wide" }, el("table", {}, el("tbody", {}, settings))),
    el("div", { class: "wide" }, el("table", {}, el("thead", {}, head), el("tbody", {}, body))),
    thresholds.length > 0 && el("p", { class: "meta" }, `Pruned unless it reaches ${thresholds.join(", ")}.`),
  );
}

function configurationCard({ config, base, row }) {
  const stages = Object.entries(config).map(([stage, fields]) => {
    const entries = Object.entries(grouped(stage, fields));
    const before = grouped(stage, base[stage]);
    const changed = entries.filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name]));
    const rows = entries.map(([name, value]) =>
      el("tr", { class: changed.some(([other]) => other === name) && "changed" }, el("th", { scope: "row" }, name), el("td", {}, plain(value))),
    );
    const says = changed.length ? ` differs from the study's base: ${changed.map(([name]) => name).join(", ")}` : "";
    return el("details", {}, el("summary", {}, stage, el("span", { class: "meta" }, says)), el("div", { class: "wide" }, el("table", {}, el("tbody", {}, rows))));
  });
  if (!stages.length) stages.push(el("p", { class: "meta" }, "The trial has no configuration yet."));
  return card("Configuration", el("span", { class: "meta" }, row.config_hash), stages);
}

/** The settings of a stage by name; a training function is a single setting. */
function grouped(stage, fields) {
  return typeof fields === "string" ? { [stage]: fields } : (fields ?? {});
}

function eventsCard({ events, incidents }) {
  const rows = events.map((event) =>
    el(
      "tr",
      {},
      el("td", { class: "number" }, String(event.seq)),
      el("td", { class: "nowrap" }, event.time.replace("T", " ").replace(/\.\d+Z$/, "Z")),
      el("td", {}, event.event),
      el("td", { class: "number" }, event.step === null ? "" : String(event.step)),
      el("td", { class: "words" }, detail(event)),
    ),
  );
  const recovered = incidents.map(({ type, count, detail: what }) =>
    el("tr", {}, el("td", {}, type.replaceAll("_", " ")), el("td", { class: "number" }, String(count)), el("td", { class: "words" }, what)),
  );
  const head = (...names) => el("thead", {}, el("tr", {}, names.map((name) => el("th", {}, name))));
  return card(
    "Events",
    null,
    el("div", { class: "wide low" }, el("table", {}, head("#", "time (UTC)", "event", "step", "detail"), el("tbody", {}, rows))),
    recovered.length > 0 && el("h3", {}, "Recovered incidents"),
    recovered.length > 0 && el("div", { class: "wide low" }, el("table", {}, head("type", "count", "detail"), el("tbody", {}, recovered))),
  );
}

function detail({ event, data }) {
  if (event === "suggested") return Object.entries(data.params ?? {}).map(([name, value]) => `${name} = ${plain(value)}`).join(", ");
  if (data.cause) return String(data.cause);
  if (event === "incident") return `${data.type}: ${data.detail ?? ""}`;
  return typeof data.value === "number" ? measured(data.value) : "";
}

function allCurves(id, seeds) {
  const charts = new Map();
  const grid = el("div", { class: "grid" });
  const problem = el("p", { class: "alarm", hidden: true });
  let [wanted, all] = ["", false];
  const more = el("button", {
    hidden: true,
    onclick: () => {
      all = !all;
      filter();
    },
  });
  const filter = () => {
    [...charts].forEach(([name, { figure }], i) => {
      figure.hidden = wanted ? !name.toLowerCase().includes(wanted.toLowerCase()) : !all && i >= FIRST;
    });
    more.hidden = Boolean(wanted) || charts.size <= FIRST;
    more.textContent = all ? "show the first" : `show all ${charts.size}`;
  };
  const find = el("input", {
    type: "search",
    placeholder: "part of a name",
    oninput: () => {
      wanted = find.value;
      filter();
    },
  });
  let latest = null;
  on("look", () => latest && update(latest));
  const node = card("Metrics", [more, smoothing(), logSwitch(), el("label", {}, "find ", find)], problem, grid, el("p", { class: "meta" }, ZOOM));
  const update = (answer) => {
    latest = answer;
    problem.hidden = !answer.problem;
    problem.textContent = answer.problem;
    const names = Object.keys(answer.curves).sort((a, b) => rank(a) - rank(b));
    if (!names.length) grid.replaceChildren(el("p", { class: "meta" }, "Nothing measured yet."));
    for (const name of names) {
      if (!charts.has(name)) {
        if (!charts.size) grid.replaceChildren();
        const chart = new LineChart({ height: 150, label: `${name} over training steps` });
        charts.set(name, { chart, figure: el("figure", {}, el("figcaption", { title: stage(name) }, name, chart.buttons(() => `${store.study.name} ${id} ${name}`)), chart.node) });
        grid.append(charts.get(name).figure);
      }
      const curve = answer.curves[name];
      const colour = (seed) => seedColour(Math.max(0, seeds.map(String).indexOf(seed)));
      const lines = Object.entries(curve.seeds).map(([seed, values]) => ({ id: seed, name: `seed ${seed}`, colour: colour(seed), steps: curve.steps, values: smoothed(values) }));
      const mean = { id: "mean", name: "mean", colour: GREY, steps: curve.steps, values: smoothed(meanOf(curve).values), wide: true };
      charts.get(name).chart.update(lines.length > 1 ? [mean, ...lines] : lines);
    }
    filter();
  };
  return { node, update };
}

const FIRST_NAMES = ["reward", "loss", "grad_norm", "score_gap", "valid_fraction", "response_length", "entropy", "tokens_per_s"];

/** Order of the charts: the study's metric, accuracies, the most used metrics, others, times. */
function rank(name) {
  if (name === store.study.metric) return 0;
  if (name.startsWith("eval/")) return name.includes("/avg@") ? 1 : 40;
  const first = FIRST_NAMES.indexOf(name);
  if (first >= 0) return 2 + first;
  return name.startsWith("time/") ? 99 : 50;
}
