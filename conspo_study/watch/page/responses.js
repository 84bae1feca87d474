// Responses of a trial, page by page. All of it is shown as text.

import { ask } from "./api.js";
import { card, choice, el } from "./dom.js";
import { counted, measured } from "./format.js";

const VERDICTS = ["correct", "wrong", "no_answer", "unparsable", "unevaluated", "timeout", "killed", "gold_bad"];
const PAGE = 24;

export function responsesCard(path, stored, signal) {
  const question = { source: stored.training.length ? "training" : "evaluation", seed: "", step: "", verdict: "", shortest: "", longest: "", offset: 0 };
  const controls = el("div", { class: "filters" });
  const summary = el("p", { class: "meta", role: "status" });
  const list = el("div", { class: "responses" });
  const pages = el("p", { class: "pages" });
  let latest = 0;

  const set = (name) => (value) => {
    question[name] = value;
    question.offset = 0;
    if (name === "source") Object.assign(question, { seed: "", step: "" });
    if (name === "source") offer();
    fetchPage();
  };
  const offer = () => {
    const there = stored[question.source];
    const distinct = (i) => [...new Set(there.map((pair) => pair[i]))].sort((a, b) => a - b).map(String);
    const length = (name, label) =>
      el("label", {}, `${label} `, el("input", { type: "number", min: 0, value: question[name], onchange: (event) => set(name)(event.target.value) }));
    controls.replaceChildren(
      choice("from", [["training", `training (${counted(stored.training.length, "file")})`], ["evaluation", `evaluations (${counted(stored.evaluation.length, "file")})`]], question.source, set("source")),
      choice("seed", [["", "all"], ...distinct(0)], question.seed, set("seed")),
      choice("step", [["", "all"], ...distinct(1)], question.step, set("step")),
      choice("verdict", [["", "all"], ...VERDICTS.map((name) => [name, name.replace("_", " ")])], question.verdict, set("verdict")),
      length("shortest", "tokens from"),
      length("longest", "to"),
    );
  };
  const fetchPage = async () => {
    const asking = (latest += 1);
    try {
      const asked = Object.fromEntries(Object.entries({ ...question, limit: PAGE }).filter(([, value]) => value !== ""));
      const answer = await ask(`${path}/responses`, asked, signal);
      if (asking === latest) show(answer);
    } catch (error) {
      if (!signal.aborted && asking === latest) {
        summary.textContent = error.message;
        list.replaceChildren();
        pages.replaceChildren();
      }
    }
  };
  const show = ({ total, offset, limit, rows, verdicts }) => {
    const by = Object.entries(verdicts).sort((a, b) => b[1] - a[1]).map(([verdict, n]) => `${n} ${verdict.replace("_", " ")}`);
    summary.textContent = total ? `${counted(total, "response")}; before the filter by verdict: ${by.join(", ")}` : nothing(by);
    list.replaceChildren(question.source === "training" ? groups(rows) : evaluated(rows));
    const turn = (to, text) =>
      el("button", { disabled: to < 0 || to >= total || to === offset, onclick: () => { question.offset = to; fetchPage(); } }, text);
    const last = Math.min(total, offset + limit);
    pages.replaceChildren(...(total > limit ? [turn(Math.max(0, offset - limit), "← earlier"), ` ${offset + 1} to ${last} of ${total} `, turn(offset + limit, "later →")] : []));
  };
  const nothing = (by) => {
    if (by.length) return `No response matches; before the filter by verdict: ${by.join(", ")}`;
    return stored[question.source].length ? "No response matches." : `No responses of ${question.source} are stored yet.`;
  };
  offer();
  fetchPage();
  return {
    node: card("Responses", null, controls, summary, list, pages),
    stored: (now) => {
      if (JSON.stringify(now) === JSON.stringify(stored)) return;
      const nothingYet = !stored[question.source].length;
      stored = now;
      offer();
      if (nothingYet) fetchPage();
    },
  };
}

/** Responses grouped under their prompt. */
function groups(rows) {
  const prompts = [];
  for (const row of rows) {
    const key = [row.seed, row.step, row.group].join();
    if (prompts.at(-1)?.key !== key) prompts.push({ key, responses: [] });
    prompts.at(-1).responses.push(row);
  }
  return el("div", {}, prompts.map(({ responses }) => {
    const [{ seed, step, problem_id: problem, prompt }] = responses;
    return el(
      "article",
      { class: "group" },
      el("h3", {}, `step ${step}, seed ${seed}, `, el("span", { class: "text" }, problem)),
      el("pre", { class: "prompt text" }, prompt),
      el("div", { class: "answers" }, responses.map(response)),
    );
  }));
}

function response(row) {
  const facts = [
    ["s", row.score, "score: mean log-probability of the response's tokens"],
    ["credit", row.credit, "how strongly the step raised (+) or lowered (-) its probability"],
    ["advantage", row.advantage, "the objective's weight of its probability ratios"],
  ].filter(([, value]) => value !== null);
  const not = row.credit === null ? [el("span", { class: "meta" }, "not trained on")] : [];
  return el(
    "div",
    { class: "response" },
    el(
      "p",
      { class: "facts" },
      verdict(row.verdict),
      facts.map(([name, value, title]) => el("span", { title }, `${name} ${signed(name, value)}`)),
      not,
      el("span", {}, counted(row.response_tokens, "token")),
      row.status === "truncated" && el("span", { class: "warn" }, "truncated"),
    ),
    el("pre", { class: "text" }, row.response || "(empty)"),
  );
}

function signed(name, value) {
  return name !== "s" && value > 0 ? `+${measured(value)}` : measured(value);
}

function evaluated(rows) {
  const head = ["step", "seed", "set", "problem", "sample", "verdict", "answer", "tokens", ""];
  const body = rows.map((row) =>
    el(
      "tr",
      {},
      el("td", { class: "number" }, String(row.step)),
      el("td", { class: "number" }, String(row.seed)),
      el("td", { class: "text" }, row.problem_set),
      el("td", { class: "text" }, row.problem_id),
      el("td", {}, row.sample < 0 ? "greedy" : String(row.sample)),
      el("td", {}, verdict(row.verdict)),
      el("td", { class: "text words" }, row.answer),
      el("td", { class: "number" }, String(row.response_tokens)),
      el("td", { class: "warn" }, row.status === "truncated" ? "truncated" : ""),
    ),
  );
  return el("div", { class: "wide" }, el("table", {}, el("thead", {}, el("tr", {}, head.map((name) => el("th", {}, name)))), el("tbody", {}, body)));
}

function verdict(text) {
  const kind = text === "correct" ? "good" : text === "wrong" ? "bad" : "open";
  return el("span", { class: `verdict ${kind}` }, text.replace("_", " "));
}
