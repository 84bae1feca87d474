// Trials put together by the value of a setting.

import { order } from "./colours.js";
import { plain, short } from "./format.js";
import { store } from "./store.js";

/** [{ id, value, name, trials }] of trials that have the same value of the chosen setting, in the order of the
 * values. The ids are those of no trial. */
export function grouped(trials) {
  const found = new Map();
  for (const trial of trials) {
    const value = trial.params[store.groupBy];
    const key = JSON.stringify(value) ?? "";
    if (!found.has(key)) found.set(key, { id: `group ${key}`, value, name: `${short(store.groupBy)} = ${plain(value)}`, trials: [] });
    found.get(key).trials.push(trial);
  }
  return [...found.values()].sort((a, b) => order(a.value, b.value));
}

/** The mean curve of several trials, { steps, values, band }: at each step over those that were measured there. */
export function together(curves) {
  const steps = [...new Set(curves.flatMap((curve) => curve.steps))].sort((a, b) => a - b);
  const at = curves.map(({ steps, values }) => new Map(steps.map((step, i) => [step, values[i]])));
  const there = steps.map((step) => at.map((curve) => curve.get(step)).filter(Number.isFinite));
  const over = (what) => there.map((values) => (values.length ? what(values) : null));
  return {
    steps,
    values: over((values) => values.reduce((a, b) => a + b, 0) / values.length),
    band: curves.length > 1 ? [over((values) => Math.min(...values)), over((values) => Math.max(...values))] : null,
  };
}
