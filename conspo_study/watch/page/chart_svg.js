// A line chart as a vector graphic, drawn anew from its lines: the chart itself is a picture of dots.

import { painted } from "./colours.js";
import { svg } from "./dom.js";
import { number } from "./format.js";
import { ticks } from "./scales.js";

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [640, 360, 62, 16, 28, 40];
const TEXT = { "font-family": "Helvetica, Arial, sans-serif", "font-size": 11, fill: "#333" };

/** lines: as of LineChart, without edges; view: { x: [low, high], y: [low, high], log }. */
export function chartSvg(title, lines, { x, y, log }) {
  const across = (step) => LEFT + ((step - x[0]) / (x[1] - x[0] || 1)) * (WIDTH - LEFT - RIGHT);
  const map = log ? Math.log10 : (value) => value;
  const [low, high] = y.map(map);
  const up = (value) => HEIGHT - BOTTOM - ((map(value) - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM);
  const root = svg("svg", { width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}` });
  root.append(svg("rect", { width: WIDTH, height: HEIGHT, fill: "#fff" }), svg("text", { ...TEXT, x: LEFT, y: 16, "font-size": 12 }, title));
  const inside = (value, [from, to]) => value >= Math.min(from, to) && value <= Math.max(from, to);
  const marks = log ? ticks(low, high, 4).map((power) => 10 ** power) : ticks(low, high, 5);
  for (const value of marks.filter((mark) => inside(mark, y))) {
    root.append(svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: up(value), y2: up(value), stroke: "#ddd" }));
    root.append(svg("text", { ...TEXT, x: LEFT - 6, y: up(value) + 4, "text-anchor": "end" }, number(value, 3)));
  }
  for (const step of ticks(x[0], x[1], 6).filter((mark) => inside(mark, x) && Number.isInteger(mark))) {
    root.append(svg("text", { ...TEXT, x: across(step), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, String(step)));
  }
  root.append(svg("text", { ...TEXT, x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, "step"));
  const clip = svg("clipPath", { id: "inside" }, svg("rect", { x: LEFT, y: TOP, width: WIDTH - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM }));
  const drawn = svg("g", { "clip-path": "url(#inside)", fill: "none" });
  for (const line of lines) {
    let [path, pen] = ["", "M"];
    line.steps.forEach((step, i) => {
      const value = line.values[i];
      if (!Number.isFinite(value) || (log && value <= 0)) return;
      path += `${pen}${across(step).toFixed(1)} ${up(value).toFixed(1)}`;
      pen = "L";
    });
    const named = svg("title", {}, [line.name, line.detail].filter(Boolean).join(" "));
    drawn.append(svg("path", { d: path, stroke: painted(line.colour), "stroke-width": line.wide ? 2.2 : 1.2 }, named));
  }
  root.append(clip, drawn);
  return root;
}
