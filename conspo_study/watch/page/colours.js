// Colours that remain distinguishable with the common colour vision deficiencies.

import { searched, store, worth } from "./store.js";

const dark = window.matchMedia("(prefers-color-scheme: dark)");

/** Okabe and Ito's palette, without the yellow that is too pale for a line. */
const PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];
const CIVIDIS = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#fee838"];
// Better results contrast more with the background.
const ON_LIGHT = ["#aeb9c6", "#6fa8cf", "#1f78b4", "#003f6f"];
const ON_DARK = ["#67737f", "#2f6f9f", "#56a9de", "#c2e6ff"];

export const GREY = "var(--faint)";

/** A colour that a canvas accepts: a style sheet's variable is replaced by its current value. */
export function painted(colour) {
  const name = /^var\((.*)\)$/.exec(colour)?.[1];
  return name ? getComputedStyle(document.documentElement).getPropertyValue(name).trim() : colour;
}

export function onSchemeChange(listener) {
  dark.addEventListener("change", listener);
}

function between(stops, share) {
  const place = Math.min(1, Math.max(0, share)) * (stops.length - 1);
  const index = Math.min(stops.length - 2, Math.floor(place));
  const [a, b] = [stops[index], stops[index + 1]].map((text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16)));
  return `rgb(${a.map((from, i) => Math.round(from + (b[i] - from) * (place - index))).join(",")})`;
}

export function heat(share) {
  return between(CIVIDIS, share);
}

/** Text on a cell of the heat map. */
export function onHeat(share) {
  return share > 0.55 ? "#111" : "#fff";
}

export function lineScale(share) {
  return between(dark.matches ? ON_DARK : ON_LIGHT, share);
}

export function seedColour(index) {
  return PALETTE[index % PALETTE.length];
}

/** `of` maps a trial to its colour; `legend` is a list of [colour, value]; by the result, or the setting `path`. */
export function colouring(path = store.colourBy) {
  return path === "value" ? byValue() : byParameter(path);
}

function byValue() {
  const values = searched().map(worth).filter(Number.isFinite);
  const sign = store.study?.direction === "min" ? -1 : 1;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const share = (value) => {
    const place = high > low ? (value - low) / (high - low) : 1;
    return sign > 0 ? place : 1 - place;
  };
  const of = (trial) => (Number.isFinite(worth(trial)) ? lineScale(share(worth(trial))) : GREY);
  const legend = values.length ? [low, (low + high) / 2, high].map((v) => [lineScale(share(v)), v]) : [];
  return { of, legend: low === high ? legend.slice(0, 1) : legend };
}

function byParameter(path) {
  // undefined where a trial lacks the setting; null is a value.
  const key = (trial) => JSON.stringify(trial.params[path]) ?? "";
  const parsed = (text) => (text ? JSON.parse(text) : undefined);
  const values = [...new Set(searched().map(key))].sort((a, b) => order(parsed(a), parsed(b)));
  const colour = (index) =>
    values.length <= PALETTE.length ? PALETTE[index] : lineScale(0.15 + (0.85 * index) / (values.length - 1));
  const of = (trial) => colour(Math.max(0, values.indexOf(key(trial))));
  const shown = values.map((text, index) => [colour(index), parsed(text)]);
  const every = Math.ceil(shown.length / 8);
  return { of, legend: shown.filter((_, index) => index % every === 0 || index === shown.length - 1) };
}

/** Sort order of values: absent, null, numbers, text, anything else. */
export function order(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  const [kind, other] = [a, b].map(rank);
  if (kind !== other) return kind - other;
  const [left, right] = [a, b].map((value) => (typeof value === "string" ? value : String(JSON.stringify(value))));
  return left < right ? -1 : left > right ? 1 : 0;
}

function rank(value) {
  if (value === null) return 1;
  return { undefined: 0, number: 2, string: 3 }[typeof value] ?? 4;
}
