// How much of the variance between trials each setting accounts for, beside what chance accounts for.

import { ask } from "./api.js";
import { card, el, onWidth, svg } from "./dom.js";
import { svgButton } from "./download.js";
import { measured, short } from "./format.js";
import { on, store } from "./store.js";

const [ROW, NAME, NUMBER] = [24, 150, 60];

export function importanceCard(signal) {
  const host = el("div", { class: "plot" });
  const said = el("p", { class: "meta" });
  let [asked, answer, width] = ["", null, 0];
  const draw = () => {
    if (!answer || !width) return;
    const { trials, settings } = answer;
    const clear = settings.filter(({ share, chance }) => share > chance).length;
    host.replaceChildren(settings.length ? bars(settings, width) : "");
    said.textContent = settings.length
      ? `Share of the variance between ${trials} finished trials by each setting alone. The tick is what shuffled values reach in 1 of 20 cases: ${clear ? "a bar that does not pass it says nothing." : "no bar passes it, so these trials do not rank the settings."}`
      : `${trials} finished trials do not rank the settings.`;
  };
  const fetchIt = async () => {
    const key = JSON.stringify(store.study.counts);
    if (key === asked) return;
    asked = key;
    try {
      answer = await ask("importance", {}, signal);
      draw();
    } catch (error) {
      if (!signal.aborted) said.textContent = error.message;
    }
  };
  onWidth(host, (now) => {
    width = now;
    draw();
  });
  on("data", fetchIt);
  fetchIt();
  return card("Importance of settings", svgButton(() => "importance", () => host.querySelector("svg")), host, said);
}

function bars(settings, width) {
  const height = ROW * settings.length + 6;
  const x = (share) => NAME + share * (width - NAME - NUMBER);
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
  settings.forEach(({ setting, share, chance }, i) => {
    const y = i * ROW + 4;
    root.append(
      svg("g", { class: "axes" }, svg("text", { x: NAME - 8, y: y + 12, "text-anchor": "end" }, short(setting)), svg("text", { x: x(Math.max(share, chance)) + 8, y: y + 12 }, measured(share)), svg("title", {}, setting)),
      svg("rect", { x: NAME, y, width: Math.max(1, x(share) - NAME), height: ROW - 8, fill: share > chance ? "var(--accent)" : "var(--line)" }),
      svg("line", { x1: x(chance), x2: x(chance), y1: y - 3, y2: y + ROW - 5, stroke: "var(--ink)", "stroke-width": 1.5 }),
    );
  });
  return root;
}
