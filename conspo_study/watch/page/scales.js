// Axes: where a value lies and which values are named.

import { order } from "./colours.js";
import { number, plain } from "./format.js";

const MOST_CATEGORIES = 8;

/** About `count` round numbers from low to high. */
export function ticks(low, high, count) {
  if (!(high > low)) return [low];
  const raw = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n += 1) found.push(Number((n * step).toPrecision(12)));
  return found;
}

/** [low, high] with some room; never empty. */
export function extent(values, room = 0.04) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (Number.isFinite(value)) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (low > high) return [0, 1];
  const pad = high > low ? (high - low) * room : Math.abs(low) * 0.1 || 0.5;
  return [low - pad, high + pad];
}

/** An axis for the values of a setting: `place(value)` in 0..1, or null for what has none; `marks`
 * are [place, text]. Few values, or text, are evenly spaced; many numbers are on a line, logarithmic
 * where the search is. */
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
