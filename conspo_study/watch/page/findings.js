// What went wrong in a trial, by name, as the doctor found it in the training steps.

import { card, el } from "./dom.js";

/** The card of findings; nothing where there are none. */
export function findingsCard(findings) {
  if (!findings.length) return [];
  const rows = findings.map(({ name, step, seeds, evidence, advice }) => {
    const signs = Object.entries(evidence).map(([seed, sign]) => el("div", {}, `seed ${seed}: ${sign}`));
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, name),
      el("td", { class: "number" }, String(step)),
      el("td", { class: "nowrap" }, seeds),
      el("td", { class: "words" }, signs),
      el("td", { class: "words" }, advice),
    );
  });
  const head = ["finding", "from step", "seeds", "evidence", "what usually helps"].map((name) => el("th", {}, name));
  const table = el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows));
  return [card("What went wrong", null, el("div", { class: "wide" }, table))];
}
