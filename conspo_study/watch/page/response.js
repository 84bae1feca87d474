// Single responses: under their problem with its correct answer, or as rows of a table where no text was kept.

import { address } from "./address.js";
import { el, simpleTable } from "./dom.js";
import { counted, measured } from "./format.js";

/** Responses under their problem, in the order in which they come. */
export function problems(rows, source) {
  const groups = [];
  for (const row of rows) {
    const key = JSON.stringify(source === "training" ? [row.trial, row.seed, row.step, row.group] : [row.problem_set, row.problem_id]);
    if (groups.at(-1)?.key !== key) groups.push({ key, responses: [] });
    groups.at(-1).responses.push(row);
  }
  return el("div", {}, groups.map(({ responses }) => {
    const [{ step, seed, trial, problem_set: set }] = responses;
    const where = source === "training" ? [trial, `step ${step}`, `seed ${seed}`] : [set];
    return problem(where, responses, source === "evaluation");
  }));
}

/** What trials answered to a problem at the same seed, step and sample. */
export function aligned({ rows }, source) {
  const [first] = rows;
  const where = [source === "evaluation" && first.problem_set, `step ${first.step}`, `seed ${first.seed}`, sample(first)];
  return problem(where, rows, false);
}

function problem(where, responses, several) {
  const [{ problem_id: id }] = responses;
  const [gold] = responses.map((row) => row.gold).filter(isKnown);
  const prompts = new Set(responses.map((row) => row.prompt).filter(isKnown));
  // Trials may have been asked in different words.
  const prompt = prompts.size === 1 ? [...prompts][0] : null;
  return el(
    "article",
    { class: "group" },
    el("h3", {}, [...where].filter(Boolean).map((part) => `${part}, `), el("span", { class: "text" }, id)),
    isKnown(prompt) && el("pre", { class: "prompt text" }, prompt),
    isKnown(gold) && el("p", { class: "gold" }, "correct answer: ", el("span", { class: "text" }, gold)),
    el("div", { class: "answers" }, responses.map((row) => response(row, several, prompts.size > 1))),
  );
}

function response(row, several, asked = false) {
  const facts = [
    ["s", row.score, "score: mean log-probability of the response's tokens"],
    ["credit", row.credit, "how strongly the step raised (+) or lowered (-) its probability"],
    ["advantage", row.advantage, "the objective's weight of its probability ratios"],
  ].filter(([, value]) => isKnown(value));
  const trained = "credit" in row && row.credit === null;
  return el(
    "div",
    { class: "response" },
    el(
      "p",
      { class: "facts" },
      row.trial && el("a", { href: address("trial", row.trial) }, row.trial),
      verdict(row.verdict),
      several && el("span", { class: "meta" }, [`step ${row.step}`, `seed ${row.seed}`, sample(row)].filter(Boolean).join(", ")),
      facts.map(([name, value, title]) => el("span", { title }, `${name} ${signed(name, value)}`)),
      trained && el("span", { class: "meta" }, "not trained on"),
      el("span", {}, counted(row.response_tokens, "token")),
      row.status === "truncated" && el("span", { class: "warn" }, "truncated"),
      isKnown(row.answer) && el("span", {}, "answer ", el("span", { class: "text" }, row.answer || "(none)")),
    ),
    asked && isKnown(row.prompt) && el("pre", { class: "prompt text" }, row.prompt),
    isKnown(row.response) ? el("pre", { class: "text" }, row.response || "(empty)") : el("p", { class: "meta" }, "its text was not kept"),
  );
}

function sample(row) {
  if (!isKnown(row.sample)) return "";
  return row.sample < 0 ? "greedy" : `sample ${row.sample}`;
}

export function isKnown(value) {
  return value !== null && value !== undefined;
}

function signed(name, value) {
  return name !== "s" && value > 0 ? `+${measured(value)}` : measured(value);
}

/** Evaluated responses of which no text was kept. */
export function evaluated(rows) {
  const heads = ["trial", ["step", "number"], ["seed", "number"], "set", "problem", "sample", "verdict", "answer", ["tokens", "number"], ""];
  const text = (value) => el("span", { class: "text words" }, value);
  const cells = (row) => [row.trial ?? "", String(row.step), String(row.seed), text(row.problem_set), text(row.problem_id), row.sample < 0 ? "greedy" : String(row.sample), verdict(row.verdict), text(row.answer), String(row.response_tokens), row.status === "truncated" ? el("span", { class: "warn" }, "truncated") : ""];
  return simpleTable(heads, rows.map(cells));
}

function verdict(text) {
  const kind = text === "correct" ? "good" : text === "wrong" ? "bad" : "open";
  return el("span", { class: `verdict ${kind}` }, text.replace("_", " "));
}
