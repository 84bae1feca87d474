// The list of all studies under a folder.

import { address } from "./address.js";
import { card, el, simpleTable, svg } from "./dom.js";
import { measured } from "./format.js";
import { driverState, ended } from "./head.js";
import { bestSoFar } from "./scales.js";
import { shortMetric } from "./table.js";

const [WIDTH, HEIGHT] = [120, 26];

/** The card of the studies that the server lists; `wanted` is a part of their names, questions or verdicts. */
export function studiesCard({ folder, studies, left_out: leftOut }, wanted) {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  const said = (study) => [study.name, study.key, study.question, study.verdict, study.metric].join(" ").toLowerCase();
  const shown = studies.filter((study) => words.every((word) => said(study).includes(word)));
  const rows = shown.map((study) => [name(study), driverState(study), trials(study), result(study), sparkline(study), finding(study), moment(study.changed)]);
  const table = simpleTable(["study", "status", ["trials", "number"], ["best", "number"], "results", "question and verdict", "last change"], rows);
  const more = leftOut > 0 && el("p", { class: "meta" }, `${leftOut} further studies are not listed; serve a folder below ${folder} for them.`);
  return card(`Studies in ${folder}`, null, shown.length ? table : el("p", { class: "meta" }, studies.length ? "No study matches." : "No studies."), more);
}

function name(study) {
  return [el("a", { href: address("", null, {}, study.key) }, study.name), study.key !== study.name && el("div", { class: "meta" }, study.key)];
}

function trials({ counts, budget, bytes_left: left }) {
  const failed = counts.failed ? el("span", { class: "warn" }, ` ${counts.failed} failed`) : "";
  return [`${ended(counts)} of ${budget ?? "?"}`, failed, left > 0 && el("div", { class: "meta" }, `${(left / 1e6).toFixed(0)} MB to read`)];
}

function result({ best, metric }) {
  return [best ? measured(best.value) : "", el("div", { class: "meta" }, shortMetric(metric))];
}

function finding({ problem, question, verdict }) {
  if (problem) return el("span", { class: "warn words" }, problem);
  return el("div", { class: "words" }, question && el("div", { class: "meta" }, question), verdict || (!question && el("span", { class: "meta" }, "no report yet")));
}

function moment(seconds) {
  const at = new Date(seconds * 1000);
  const two = (number) => String(number).padStart(2, "0");
  return seconds ? el("span", { class: "nowrap" }, `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`) : "";
}

/** Results of the trials in the order of the search as dots, and the best so far as a line. */
function sparkline({ values, direction }) {
  const known = values.filter(Number.isFinite);
  if (!known.length) return "";
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const x = (i) => 3 + (values.length > 1 ? (i / (values.length - 1)) * (WIDTH - 6) : (WIDTH - 6) / 2);
  const y = (value) => (high > low ? HEIGHT - 3 - ((value - low) / (high - low)) * (HEIGHT - 6) : HEIGHT / 2);
  const root = svg("svg", { width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `results from ${measured(low)} to ${measured(high)}` });
  values.forEach((value, i) => Number.isFinite(value) && root.append(svg("circle", { cx: x(i), cy: y(value), r: 1.6, fill: "var(--faint)" })));
  root.append(svg("path", { d: bestSoFar(values, direction, x, y), fill: "none", stroke: "var(--accent)", "stroke-width": 1.3 }), svg("title", {}, `${known.length} results, ${measured(low)} to ${measured(high)}`));
  return root;
}
