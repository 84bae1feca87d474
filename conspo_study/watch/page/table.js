// The table of all trials.

import { order } from "./colours.js";
import { card, el } from "./dom.js";
import { counted, duration, firstLine, measured, plain, short } from "./format.js";
import { hover, light, on, select, store, varied, worth } from "./store.js";

const sorting = { by: "trial", up: true };

export function tableCard() {
  const host = el("div", { class: "wide tall lights" });
  const draw = () => {
    const focused = document.activeElement?.closest?.("tr[data-trial]")?.dataset.trial;
    const scroll = host.scrollTop;
    host.replaceChildren(table(draw));
    host.scrollTop = scroll;
    if (focused) host.querySelector(`tr[data-trial="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    light();
  };
  on("data", draw);
  draw();
  return card("Trials", el("span", { class: "meta" }, "Click or space: highlight. Enter: open the trial."), host);
}

function columns() {
  const paths = varied();
  const any = (test) => [...store.trials.values()].some(test);
  return [
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
    any((t) => t.cause) && { key: "cause", title: "cause", of: (t) => t.cause, show: (t) => el("span", { class: "cause" }, firstLine(t.cause).slice(0, 300)) },
  ].filter(Boolean);
}

function table(redraw) {
  const shown = columns();
  const column = shown.find(({ key }) => key === sorting.by) ?? shown[0];
  const rows = [...store.trials.values()];
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
      redraw();
    };
    return el(
      "th",
      { class: head.right && "number", "aria-sort": on && (sorting.up ? "ascending" : "descending"), title: head.hint },
      el("button", { onclick: press }, head.title, el("span", { "aria-hidden": "true" }, on ? (sorting.up ? " ▲" : " ▼") : "")),
    );
  });
  const body = rows.map((trial) =>
    el(
      "tr",
      {
        "data-trial": trial.id,
        tabindex: 0,
        class: trial.id === store.study.best && "best",
        onpointerenter: () => hover(trial.id),
        onpointerleave: () => hover(null),
        onfocus: () => hover(trial.id),
        onblur: () => hover(null),
        onclick: () => select(trial.id),
        onkeydown: (event) => {
          if (event.target.tagName === "A") return;
          if (event.key === "Enter") location.hash = `#/trial/${trial.id}`;
          if (event.key === " ") {
            event.preventDefault();
            select(trial.id);
          }
        },
      },
      shown.map(({ right, show }) => el("td", { class: right && "number" }, show(trial))),
    ),
  );
  if (!rows.length) body.push(el("tr", {}, el("td", { colspan: shown.length, class: "meta" }, "No trial has started.")));
  return el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, body));
}

function name(trial) {
  const more = trial.of ? `confirms ${trial.of}` : trial.label;
  const best = trial.id === store.study.best ? el("span", { class: "badge" }, "best") : null;
  return [el("a", { href: `#/trial/${trial.id}` }, trial.id), " ", best, " ", el("span", { class: "meta" }, more)];
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
