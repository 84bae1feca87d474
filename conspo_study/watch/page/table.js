// The table of all trials: filtered, in groups, sorted, with ticks for a comparison.

import { address, choose, chosen } from "./address.js";
import { order } from "./colours.js";
import { button, card, choice, el } from "./dom.js";
import { csvButton } from "./download.js";
import { filter } from "./filter.js";
import { counted, duration, firstLine, measured, plain, short } from "./format.js";
import { grouped } from "./groups.js";
import { tagsOf } from "./notes.js";
import { hover, light, on, pick, select, store, tell, varied, worth } from "./store.js";

/** Trials that can be compared at once. */
export const MOST_COMPARED = 8;

export function tableCard() {
  const host = el("div", { class: "wide tall lights" });
  const sorting = sorted(chosen("sort", "trial"));
  const draw = () => {
    const focused = document.activeElement?.closest?.("tr[data-trial]")?.dataset.trial;
    const ticked = document.activeElement?.type === "checkbox";
    const scroll = host.scrollTop;
    host.replaceChildren(table(sorting, draw));
    host.scrollTop = scroll;
    if (focused) host.querySelector(`tr[data-trial="${CSS.escape(focused)}"]${ticked ? " input" : ""}`)?.focus({ preventScroll: true });
    light();
  };
  for (const kind of ["data", "look", "notes"]) on(kind, draw);
  const tools = toolbar();
  draw();
  const hint = el("span", { class: "meta" }, "Click or space: highlight. Enter: open the trial.");
  return card("Trials", [hint, " ", csvButton(() => `${store.study.name} trials`, rowsOfCsv)], tools, host);
}

/** `-value` sorts by the value, the highest first. */
function sorted(text) {
  return { by: text.replace(/^-/, ""), up: !text.startsWith("-") };
}

/** Filter, grouping, and what is done with the ticked trials. */
function toolbar() {
  const wrong = el("span", { class: "warn", role: "status" });
  const find = el("input", {
    type: "search",
    class: "query",
    value: chosen("filter"),
    placeholder: "tau=1  lr>1e-4  state:finished  ~expression",
    title: "Words that must all hold. name=value, !=, <, <=, >, >= compare a setting, state, role, step, reward or value; name~expression and ~expression are regular expressions; another word is looked for in ids, labels and settings.",
    "aria-label": "filter of trials",
    oninput: () => {
      choose("filter", find.value);
      wrong.textContent = setFilter(find.value);
      tell("look");
    },
  });
  wrong.textContent = setFilter(find.value);
  const grouping = el("span");
  const picked = el("span", { class: "picked" });
  const offer = () => {
    const paths = varied();
    if (!paths.includes(store.groupBy) && !store.study.bytes_left) store.groupBy = "";
    grouping.replaceChildren(
      choice("group by", [["", "nothing"], ...paths.map((path) => [path, short(path)])], store.groupBy, (path) => {
        store.groupBy = path;
        choose("group", path);
        tell("look");
      }),
    );
  };
  const showPicked = () => {
    choose("pick", [...store.picked].join(","));
    const ids = [...store.picked].filter((id) => store.trials.has(id));
    const go = (view) => () => (location.hash = address(view, null, { trials: ids.join(",") }));
    const compare = button(`compare ${ids.length}`, go("compare"), `Curves, settings and paired differences of 2 to ${MOST_COMPARED} trials`);
    compare.disabled = ids.length < 2 || ids.length > MOST_COMPARED;
    const samples = button("their responses", go("samples"), "What the ticked trials answered, side by side");
    samples.disabled = !ids.length;
    const none = button("untick", () => {
      store.picked.clear();
      tell("picked");
      tell("look");
    });
    picked.replaceChildren(...(ids.length ? [compare, " ", samples, " ", none] : [el("span", { class: "meta" }, "Tick trials to compare them.")]));
  };
  on("data", offer);
  on("picked", showPicked);
  offer();
  showPicked();
  return el("div", { class: "filters" }, el("label", {}, "filter ", find), wrong, grouping, picked);
}

/** Use a filter; returns what is wrong with it, and then all trials pass. */
function setFilter(text) {
  try {
    store.passes = filter(text, worth);
    return "";
  } catch (error) {
    store.passes = () => true;
    return error.message;
  }
}

function rowsOfCsv() {
  const paths = varied();
  const head = ["trial", "role", "of", "label", "state", store.study.metric, "sd over seeds", ...paths, "reward", "step", "wall_s", "tags"];
  const rows = [...store.trials.values()].filter((t) => store.passes(t)).map((t) => [t.id, t.role, t.of, t.label, t.state, worth(t), t.spread, ...paths.map((path) => t.params[path]), t.reward, t.step, t.wall_s, tagsOf(t.id).join(" ")]);
  return [head, ...rows];
}

function columns() {
  const paths = varied();
  const any = (test) => [...store.trials.values()].some(test);
  return [
    { key: "tick", title: "", hint: "tick to compare", of: (t) => store.picked.has(t.id), show: tick },
    { key: "trial", title: "trial", of: (t) => t.id, show: name },
    { key: "state", title: "state", of: (t) => t.state, show: (t) => state(t.state) },
    {
      key: "value",
      title: shortMetric(store.study.metric),
      hint: `${store.study.metric}, mean over seeds ± standard deviation; in brackets while the trial runs`,
      of: (t) => worth(t) ?? null,
      show: (t) => (t.value === null && Number.isFinite(worth(t)) ? `(${measured(worth(t))})` : measured(t.value, t.spread)),
      right: true,
    },
    any((t) => t.decided !== null) && {
      key: "decided",
      title: "without undecided",
      hint: `${store.study.metric} without the responses that have no verdict, which it counts as wrong`,
      of: (t) => t.decided,
      show: (t) => (t.decided === null ? "" : measured(t.decided)),
      right: true,
    },
    any((t) => t.collapsed.shown) && {
      key: "collapsed",
      title: "collapsed",
      hint: "seeds whose training ended by itself, or that ended below half of what the untrained policy had; they count with their last value",
      of: (t) => t.collapsed.reasons.length,
      show: (t) => el("span", { title: t.collapsed.reasons.join("\n") }, t.collapsed.shown),
      right: true,
    },
    ...paths.map((path) => ({
      key: path,
      title: short(path),
      hint: path,
      of: (t) => t.params[path],
      show: (t) => plain(t.params[path]),
      right: [...store.trials.values()].every((t) => ["number", "undefined"].includes(typeof t.params[path])),
    })),
    { key: "reward", title: "reward", hint: "mean reward in the latest report", of: (t) => t.reward, show: (t) => measured(t.reward), right: true },
    { key: "step", title: "step", of: (t) => t.step, show: (t) => `${t.step}/${t.steps ?? "?"}`, right: true },
    {
      key: "time",
      title: "time",
      of: (t) => t.wall_s,
      show: (t) => (t.left_s === null ? duration(t.wall_s) : `${duration(t.left_s)} left`),
      right: true,
    },
    any((t) => Object.keys(t.incidents).length) && {
      key: "incidents",
      title: "incidents",
      of: (t) => total(t.incidents),
      show: (t) => (total(t.incidents) ? el("span", { title: list(t.incidents) }, String(total(t.incidents))) : ""),
      right: true,
    },
    any((t) => tagsOf(t.id).length) && { key: "tags", title: "tags", of: (t) => tagsOf(t.id).join(" ") || null, show: (t) => tagsOf(t.id).map((tag) => el("span", { class: "tag" }, tag)) },
    any((t) => t.cause) && { key: "cause", title: "cause", of: (t) => t.cause, show: (t) => el("span", { class: "cause" }, firstLine(t.cause).slice(0, 300)) },
  ].filter(Boolean);
}

function table(sorting, redraw) {
  const shown = columns();
  const column = shown.find(({ key }) => key === sorting.by) ?? shown[1];
  const rows = [...store.trials.values()].filter((trial) => store.passes(trial));
  const sign = sorting.up ? 1 : -1;
  // Confirmations are measured on other problems and not ranked with search trials. Trials without a
  // value come last in either direction.
  const missing = (trial) => (column.of(trial) ?? null) === null;
  const again = (trial) => trial.of !== "";
  rows.sort((a, b) => again(a) - again(b) || missing(a) - missing(b) || sign * order(column.of(a), column.of(b)) || order(a.id, b.id));
  const heads = shown.map((head) => {
    const on = head === column;
    const press = () => {
      const better = head.key === "value" && store.study.direction === "max";
      Object.assign(sorting, { by: head.key, up: on ? !sorting.up : !better });
      choose("sort", `${sorting.up ? "" : "-"}${sorting.by}`, "trial");
      redraw();
    };
    return el(
      "th",
      { class: head.right && "number", "aria-sort": on && (sorting.up ? "ascending" : "descending"), title: head.hint },
      head.title && el("button", { onclick: press }, head.title, el("span", { "aria-hidden": "true" }, on ? (sorting.up ? " ▲" : " ▼") : "")),
    );
  });
  const body = store.groupBy ? inGroups(rows, shown) : rows.map((trial) => line(trial, shown));
  const nothing = store.trials.size ? "No trial passes the filter." : "No trial has started.";
  if (!rows.length) body.push(el("tr", {}, el("td", { colspan: shown.length, class: "meta" }, nothing)));
  return el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, body));
}

/** The rows of each group under a row of its own; confirmations after all groups. */
function inGroups(rows, shown) {
  const search = rows.filter(({ role }) => role === "search");
  const groups = grouped(search).flatMap(({ id, name, trials }) => {
    const values = trials.map((trial) => trial.value).filter(Number.isFinite);
    const mean = values.length ? `mean ${measured(values.reduce((a, b) => a + b, 0) / values.length)} of ${values.length}, ${measured(Math.min(...values))} to ${measured(Math.max(...values))}` : "no result yet";
    const head = el("tr", { class: "grouphead", "data-trial": id }, el("td", { colspan: shown.length }, el("b", {}, name), el("span", { class: "meta" }, ` ${counted(trials.length, "trial")}, ${mean}`)));
    return [head, ...trials.map((trial) => line(trial, shown))];
  });
  return [...groups, ...rows.filter(({ role }) => role !== "search").map((trial) => line(trial, shown))];
}

function line(trial, shown) {
  const open = () => (location.hash = address("trial", trial.id));
  return el(
    "tr",
    {
      "data-trial": trial.id,
      tabindex: 0,
      class: trial.id === store.study.best && "best",
      onpointerenter: () => hover(trial.id),
      onpointerleave: () => hover(null),
      onfocus: () => hover(trial.id),
      onblur: () => hover(null),
      onclick: (event) => event.target.tagName !== "INPUT" && select(trial.id),
      onkeydown: (event) => {
        if (["A", "INPUT"].includes(event.target.tagName)) return;
        if (event.key === "Enter") open();
        if (event.key === " ") {
          event.preventDefault();
          select(trial.id);
        }
      },
    },
    shown.map(({ right, show }) => el("td", { class: right && "number" }, show(trial))),
  );
}

function tick(trial) {
  return el("input", { type: "checkbox", checked: store.picked.has(trial.id), "aria-label": `compare ${trial.id}`, onchange: () => pick(trial.id) });
}

function name(trial) {
  const more = trial.of ? `confirms ${trial.of}` : trial.label;
  const best = trial.id === store.study.best ? el("span", { class: "badge" }, "best") : null;
  return [el("a", { href: address("trial", trial.id) }, trial.id), " ", best, " ", el("span", { class: "meta" }, more)];
}

export function state(text) {
  return el("span", { class: `state ${text}` }, text);
}

export function shortMetric(metric) {
  return metric.replace(/^eval\//, "");
}

export function total(counts) {
  return Object.values(counts).reduce((a, b) => a + b, 0);
}

export function list(counts) {
  return Object.entries(counts).map(([kind, n]) => `${n} × ${kind.replaceAll("_", " ")}`).join(", ") || counted(0, "incident");
}
