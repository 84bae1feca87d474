// Axes of settings: positions of values, and tick labels.

import { order } from "./colours.js";
import { number, plain } from "./format.js";

const MOST_CATEGORIES = 8;

/** About `count` round numbers between low and high. */
export function ticks(low, high, count) {
  if (!(high > low)) return [low];
  const raw = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
  const [first, last] = [Math.ceil(low / step - 1e-9), Math.floor(high / step + 1e-9)];
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** [low, high] of the finite values with some margin; never empty. */
export function extent(values) {
  const finite = values.filter(Number.isFinite);
  if (!finite.length) return [0, 1];
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const pad = high > low ? (high - low) * 0.04 : Math.abs(low) * 0.1 || 0.5;
  return [low - pad, high + pad];
}

/** The best of the values so far as the steps of a path; what is no number changes nothing. `x` takes the
 * place of a value in the list, `y` the value. */
export function bestSoFar(values, direction, x, y) {
  const better = direction === "min" ? Math.min : Math.max;
  let [path, best] = ["", null];
  values.forEach((value, i) => {
    const now = !Number.isFinite(value) ? best : best === null ? value : better(best, value);
    if (now !== null) path += best === null ? `M${x(i)} ${y(now)}` : `L${x(i)} ${y(best)}L${x(i)} ${y(now)}`;
    best = now;
  });
  return path;
}

/** An axis for the values of a setting: `place(value)` in 0..1, or null for an unknown value; `marks`
 * are [place, text]. Few values, and text, are evenly spaced; many numbers lie on a line, logarithmic
 * where the search space is. */
export function settingAxis(values, dimension) {
  const distinct = [...new Set(values.filter((v) => v !== undefined).map((v) => JSON.stringify(v)))]
    .map((text) => JSON.parse(text))
    .sort(order);
  const numeric = distinct.length > 0 && distinct.every((value) => typeof value === "number");
  if (!numeric || distinct.length <= MOST_CATEGORIES) {
    const index = new Map(distinct.map((value, i) => [JSON.stringify(value), i]));
    const at = (i) => (distinct.length > 1 ? i / (distinct.length - 1) : 0.5);
    const every = Math.ceil(distinct.length / 12);
    return {
      place: (value) => (index.has(JSON.stringify(value)) ? at(index.get(JSON.stringify(value))) : null),
      marks: distinct.map((value, i) => [at(i), plain(value)]).filter((_, i) => i % every === 0),
      values: distinct,
    };
  }
  const [low, high] = [distinct[0], distinct[distinct.length - 1]];
  const log = low > 0 && (dimension?.log ?? high / low > 100);
  const map = log ? Math.log10 : (x) => x;
  const place = (value) => (typeof value === "number" ? (map(value) - map(low)) / (map(high) - map(low)) : null);
  const marked = log
    ? [low, ...ticks(Math.log10(low), Math.log10(high), 4).map((x) => 10 ** x), high]
    : ticks(low, high, 5);
  const marks = [];
  for (const value of marked.sort((a, b) => a - b)) {
    if (!marks.length || place(value) - marks[marks.length - 1][0] > 0.06) marks.push([place(value), number(value, 2)]);
  }
  return { place, marks, values: distinct };
}
