// The head of the page: what the study asks, what it shows, and how far it is.

import { address } from "./address.js";
import { el } from "./dom.js";
import { duration, measured } from "./format.js";
import { store } from "./store.js";
import { list, shortMetric, total } from "./table.js";

const DRIVER = { running: "running", none: "not running", dead: "driver died", silent: "driver does not respond", unreadable: "unknown: the lease file is unreadable" };

/** A driver's state as an element; a study that came to its end needs none. */
export function driverState({ driver, finished }) {
  const over = driver.state === "none" && finished;
  return el("span", { class: `state ${over ? "finished" : driver.state}`, title: driver.who }, over ? "finished" : DRIVER[driver.state]);
}

/** How many trials have ended, in whatever way. */
export function ended(counts) {
  return ["finished", "collapsed", "pruned", "failed"].reduce((sum, state) => sum + (counts[state] ?? 0), 0);
}

export function showHead(head) {
  const { study } = store;
  const above = store.several && store.of !== null && el("p", { class: "meta" }, el("a", { href: address("", null, {}, null) }, "← all studies"));
  if (!study) {
    head.replaceChildren(...[above, store.offline && el("p", { class: "alarm", role: "alert" }, store.offline)].filter(Boolean));
    return;
  }
  const best = store.trials.get(study.best);
  const done = Object.entries(study.counts).filter(([, n]) => n);
  const running = [...store.trials.values()].filter((trial) => trial.state === "running" && trial.left_s !== null);
  const facts = [
    ["status", driverState(study)],
    ["trials", `${ended(study.counts)} of ${study.budget ?? "?"}${done.length ? `: ${done.map(([name, n]) => `${n} ${name}`).join(", ")}` : ""}`],
    running.length > 0 && ["running trials", `${left(running.map((trial) => trial.left_s))} left`],
    best && [study.finished ? "best of the search" : "best so far", el("span", {}, el("a", { href: address("trial", best.id) }, best.id), ` ${measured(best.value, best.spread)} `, el("span", { class: "meta" }, best.label))],
    ["metric", `${shortMetric(study.metric)} (${study.direction === "min" ? "lower" : "higher"} is better)`],
    total(study.incidents) > 0 && ["incidents", `${list(study.incidents)}, all recovered`],
  ].filter(Boolean);
  const reading = study.bytes_left ? `Reading the log: ${(study.bytes_left / 1e6).toFixed(0)} MB left` : "";
  const damage = study.damage && `${study.damage}. Only the lines before it are shown. To recover the others: conspo repair ${study.folder}`;
  const alarms = [store.offline, study.problem, damage, ...study.alarms].filter(Boolean);
  const budget = Number(study.budget) || 0;
  const bar = el("progress", { max: Math.max(1, budget), value: Math.min(ended(study.counts), budget), "aria-label": "ended trials" });
  head.replaceChildren(...[
    above,
    el("p", { class: "title" }, el("a", { href: address() }, study.name), el("span", { class: "meta" }, ` ${study.folder}`)),
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
