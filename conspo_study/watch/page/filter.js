// A filter of trials: words that must all hold. `tau=1 lr>1e-4 state:pruned dapo ~lr x[12]`
//
// A setting is named by the last part of its path or by the whole of it.

import { plain, short } from "./format.js";

const TERM = /^([\w./-]+)(!=|<=|>=|=|<|>|:|~)(.*)$/;
const COMPARE = {
  "=": (a, b) => a === b,
  ":": (a, b) => a === b,
  "!=": (a, b) => a !== b,
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
};

/** A test of a trial. Throws an Error that says what is wrong with the text. `value` is a trial's result. */
export function filter(text, value) {
  const tests = (text.match(/(?:"[^"]*"|[^\s"])+|"/g) ?? []).map((word) => term(word.replaceAll('"', ""), value));
  return (trial) => tests.every((test) => test(trial));
}

function term(word, value) {
  if (word.startsWith("~")) {
    const pattern = expression(word.slice(1));
    return (trial) => pattern.test(text(trial));
  }
  const match = TERM.exec(word);
  if (!match) return (trial) => text(trial).toLowerCase().includes(word.toLowerCase());
  const [, name, operator, wanted] = match;
  if (operator === "~") {
    const pattern = expression(wanted);
    return (trial) => known(trial, name, value).some((found) => pattern.test(plain(found)));
  }
  const ordered = "<>".includes(operator[0]);
  if (ordered && (wanted === "" || Number.isNaN(Number(wanted)))) throw new Error(`${word}: what follows ${operator} is no number`);
  return (trial) => {
    const found = known(trial, name, value);
    if (!found.length) return operator === "!=";
    if (ordered) return found.some((one) => typeof one === "number" && COMPARE[operator](one, Number(wanted)));
    const same = (one) => plain(one) === wanted || String(one) === wanted || (typeof one === "number" && wanted !== "" && one === Number(wanted));
    return operator === "!=" ? !found.some(same) : found.some(same);
  };
}

function expression(source) {
  try {
    return new RegExp(source, "i");
  } catch {
    throw new Error(`${source} is no regular expression`);
  }
}

/** The values of a trial that a name stands for: of settings, or of what the table shows. */
function known(trial, name, value) {
  const own = { id: trial.id, trial: trial.id, state: trial.state, role: trial.role, label: trial.label, step: trial.step, reward: trial.reward, value: value(trial), result: value(trial), hash: trial.config_hash };
  const settings = Object.entries(trial.params).filter(([path]) => path === name || short(path) === name).map(([, found]) => found);
  if (settings.length) return settings;
  return Object.hasOwn(own, name) && own[name] !== null && own[name] !== undefined ? [own[name]] : [];
}

/** All that a trial is called, in one text. */
function text(trial) {
  const settings = Object.entries(trial.params).map(([path, value]) => `${short(path)}=${plain(value)}`);
  return [trial.id, trial.label, trial.state, trial.of && `confirms ${trial.of}`, ...settings].filter(Boolean).join(" ");
}
