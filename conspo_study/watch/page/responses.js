// Responses of a trial or of several, page by page. All of it is shown as text.

import { choose, chosen } from "./address.js";
import { ask } from "./api.js";
import { button, card, choice, el, simpleTable } from "./dom.js";
import { csvButton } from "./download.js";
import { counted } from "./format.js";
import { aligned, evaluated, isKnown, problems } from "./response.js";

const VERDICTS = ["correct", "wrong", "undecided", "no_answer", "unparsable", "unevaluated", "timeout", "killed", "gold_bad", "error"];
const SORTS = [["", "as stored"], ["tokens", "shortest"], ["-tokens", "longest"]];
const SORTS_OF_TRAINING = [["score", "lowest score"], ["-score", "highest score"], ["credit", "lowest credit"], ["-credit", "highest credit"]];
const FILTERS = ["source", "seed", "step", "verdict", "finish", "text", "problem", "shortest", "longest", "sort"];
const PAGE = 24;
const COLUMNS = ["trial", "source", "step", "seed", "problem_set", "problem_id", "sample", "verdict", "answer", "gold", "score", "credit", "response_tokens", "status", "prompt", "response"];

/**
 * The card of the responses that the server finds at `path`; `asked` is part of every question. stored: the
 * (seed, step) pairs of { training, evaluation } with responses. What a visitor filters by is in the address.
 */
export function responsesCard({ path, asked = {}, stored, signal }) {
  const usual = { source: stored.training.length && !asked.trials ? "training" : "evaluation" };
  const question = Object.fromEntries(FILTERS.map((name) => [name, chosen(name, usual[name] ?? "")]));
  question.offset = Number(chosen("offset")) || 0;
  const controls = el("div", { class: "filters" });
  const summary = el("p", { class: "meta", role: "status" });
  const list = el("div", { class: "responses" });
  const pages = el("p", { class: "pages" });
  let latest = 0;
  let shown = [];

  const set = (name) => (value) => {
    const changed = { [name]: value, offset: 0, ...(name === "source" ? { seed: "", step: "", sort: "" } : {}) };
    Object.assign(question, changed);
    for (const [key, text] of Object.entries(changed)) choose(key, String(text || ""), usual[key] ?? "");
    if (name === "source") offer();
    fetchPage();
  };
  const offer = () => {
    const there = stored[question.source] ?? [];
    const distinct = (i) => [...new Set(there.map((pair) => pair[i]))].sort((a, b) => a - b).map(String);
    const input = (name, label, properties) => el("label", {}, `${label} `, el("input", { value: question[name], onchange: (event) => set(name)(event.target.value), ...properties }));
    const number = { type: "number", min: 0 };
    controls.replaceChildren(
      choice("from", [["training", `training (${counted(stored.training.length, "file")})`], ["evaluation", `evaluations (${counted(stored.evaluation.length, "file")})`]], question.source, set("source")),
      choice("seed", [["", "all"], ...distinct(0)], question.seed, set("seed")),
      choice("step", [["", "all"], ...distinct(1)], question.step, set("step")),
      choice("verdict", [["", "all"], ...VERDICTS.map((name) => [name, name.replace("_", " ")])], question.verdict, set("verdict")),
      choice("ended", [["", "any way"], ["stopped", "by itself"], ["truncated", "truncated"]], question.finish, set("finish")),
      input("text", "with the text", { type: "search", class: "query" }),
      input("problem", "problem", { type: "search" }),
      input("shortest", "tokens from", number),
      input("longest", "to", number),
      choice("order", question.source === "training" ? [...SORTS, ...SORTS_OF_TRAINING] : SORTS, question.sort, set("sort")),
    );
  };
  const fetchPage = async () => {
    const asking = (latest += 1);
    try {
      // Trials stand side by side unless their responses are to be sorted.
      const by = asked.trials && !question.sort ? "problem" : "";
      const given = Object.fromEntries(Object.entries({ ...asked, ...question, by, limit: PAGE }).filter(([, value]) => value !== ""));
      const answer = await ask(path, given, signal);
      if (asking === latest) show(answer);
    } catch (error) {
      if (!signal.aborted && asking === latest) {
        summary.textContent = error.message;
        list.replaceChildren();
        pages.replaceChildren();
      }
    }
  };
  const show = ({ total, offset, limit, rows, groups, verdicts, skipped }) => {
    shown = groups ? groups.flatMap((group) => group.rows) : rows;
    const counts = asked.trials ? summed(Object.values(verdicts)) : verdicts;
    const by = Object.entries(counts).sort((a, b) => b[1] - a[1]).map(([verdict, n]) => `${n} ${verdict.replace("_", " ")}`);
    const left = skipped ? ` Not read: ${counted(skipped, "file")}; choose a step or a seed.` : "";
    const what = counted(total, groups ? "sample" : "response");
    summary.textContent = (total ? `${what}; before the filter by verdict: ${by.join(", ")}.` : nothing(by)) + left;
    const textless = question.source === "evaluation" && !shown.some((row) => isKnown(row.prompt) || isKnown(row.response));
    const all = groups && !textless ? el("div", {}, groups.map((group) => aligned(group, question.source))) : textless ? evaluated(shown) : problems(shown, question.source);
    list.replaceChildren(...(asked.trials ? [verdictsOfTrials(verdicts)] : []), all);
    const turn = (to, text) => {
      const press = () => {
        question.offset = to;
        choose("offset", to ? String(to) : "");
        fetchPage();
      };
      const made = button(text, press);
      made.disabled = to < 0 || to >= total || to === offset;
      return made;
    };
    const last = Math.min(total, offset + limit);
    pages.replaceChildren(...(total > limit ? [turn(Math.max(0, offset - limit), "← earlier"), ` ${offset + 1} to ${last} of ${total} `, turn(offset + limit, "later →")] : []));
  };
  const nothing = (by) => {
    if (by.length) return `No response matches; before the filter by verdict: ${by.join(", ")}.`;
    return stored[question.source].length ? "No response matches." : `No responses of ${question.source} are stored yet.`;
  };
  offer();
  fetchPage();
  const rowsOfCsv = () => [COLUMNS, ...shown.map((row) => COLUMNS.map((name) => row[name] ?? (name === "source" ? question.source : null)))];
  return {
    node: card("Responses", csvButton(() => "responses", rowsOfCsv), controls, summary, list, pages),
    stored: (now) => {
      if (JSON.stringify(now) === JSON.stringify(stored)) return;
      const nothingYet = !stored[question.source].length;
      stored = now;
      offer();
      if (nothingYet) fetchPage();
    },
  };
}

/** Counts by name, added up. */
function summed(all) {
  const found = {};
  for (const counts of all) for (const [name, n] of Object.entries(counts)) found[name] = (found[name] ?? 0) + n;
  return found;
}

/** How many responses of each trial have each verdict. */
function verdictsOfTrials(byTrial) {
  const names = VERDICTS.filter((name) => Object.values(byTrial).some((counts) => counts[name]));
  const rows = Object.entries(byTrial).map(([trial, counts]) => [trial, ...names.map((name) => String(counts[name] ?? 0))]);
  return simpleTable(["trial", ...names.map((name) => [name.replace("_", " "), "number"])], rows);
}
