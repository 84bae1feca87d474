// What several trials answered, side by side.

import { ask } from "./api.js";
import { address, chosen, overview } from "./address.js";
import { el } from "./dom.js";
import { responsesCard } from "./responses.js";
import { store } from "./store.js";

/** Show the responses of the trials in the address; `signal` aborts its requests. */
export async function samplesPage(app, signal) {
  const trials = chosen("trials");
  const ids = trials.split(",").filter(Boolean);
  document.title = `responses of ${ids.join(", ")} · ${store.study.name}`;
  const about = await Promise.all(ids.map((id) => ask(`trial/${encodeURIComponent(id)}`, {}, signal)));
  const union = (source) => [...new Map(about.flatMap(({ stored }) => stored[source]).map((pair) => [pair.join(), pair])).values()];
  const stored = { training: union("training"), evaluation: union("evaluation") };
  const { node } = responsesCard({ path: "samples", asked: { trials }, stored, signal });
  const names = about.map(({ row }) => el("li", {}, el("a", { href: address("trial", row.id) }, row.id), ` ${row.of ? `confirms ${row.of}` : row.label}`));
  app.replaceChildren(
    el("p", {}, el("a", { href: overview() }, "← all trials"), ids.length > 1 && [" ", el("a", { href: address("compare", null, { trials }) }, "comparison →")]),
    el("h1", {}, "Responses"),
    el("ul", { class: "plain" }, names),
    node,
  );
}
