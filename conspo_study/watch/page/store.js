// State of the page: the study's data, the highlighted trial, and listeners to changes.

const listeners = { data: new Set(), curves: new Set(), highlight: new Set(), look: new Set(), picked: new Set(), notes: new Set() };

export const store = {
  /** Whether the server has several studies, and the key of the one that is shown; null of the only one. */
  several: false,
  of: null,
  /** The address of the overview as the visitor left it. */
  overview: "",
  study: null,
  trials: new Map(),
  curves: new Map(),
  metric: null,
  /** Ids: the trial under the pointer or the keyboard's focus, and the one chosen by a click. */
  hovered: null,
  selected: null,
  /** Ids of the trials that were ticked, to be compared. */
  picked: new Set(),
  colourBy: "value",
  /** Setting by whose values trials are put together; empty: none. */
  groupBy: "",
  /** The filter as a test of a trial. */
  passes: () => true,
  /** Whether charts have a logarithmic vertical axis. */
  log: false,
  /** Weight of earlier values in curves, from 0 to below 1. */
  smooth: 0,
  /** Notes of the study and its trials. */
  notes: [],
  offline: "",
};

/** Forget the study that was shown. */
export function leave() {
  Object.assign(store, { overview: "", study: null, metric: null, hovered: null, selected: null, colourBy: "value", groupBy: "", passes: () => true, notes: [] });
  for (const kept of [store.trials, store.curves, store.picked]) kept.clear();
}

export function on(kind, listener) {
  listeners[kind].add(listener);
}

/** Remove all listeners: another view is shown. */
export function forget() {
  for (const set of Object.values(listeners)) set.clear();
}

export function tell(kind, what) {
  for (const listener of listeners[kind]) listener(what);
}

export function hover(trial) {
  if (store.hovered === trial) return;
  store.hovered = trial;
  light();
}

export function select(trial) {
  store.selected = store.selected === trial ? null : trial;
  light();
}

/** Tick a trial, or untick it. */
export function pick(trial) {
  if (!store.picked.delete(trial)) store.picked.add(trial);
  tell("picked");
}

/** Highlight the hovered or else the selected trial in every view. */
export function light() {
  const lit = store.hovered ?? store.selected;
  for (const root of document.querySelectorAll(".lights")) {
    root.classList.toggle("has-lit", lit !== null);
    for (const node of root.querySelectorAll("[data-trial], [data-trials]")) {
      const matches = node.dataset.trial === lit || (lit !== null && (node.dataset.trials ?? "").split(" ").includes(lit));
      node.classList.toggle("lit", matches);
      // The last one is drawn on top; a table's row would lose its focus.
      if (matches && node.ownerSVGElement && node.parentNode.lastChild !== node) node.parentNode.append(node);
    }
    for (const row of root.querySelectorAll("tr[data-trial]")) {
      row.classList.toggle("chosen", row.dataset.trial === store.selected);
    }
  }
  tell("highlight", lit);
}

/** Search trials that pass the filter, in the order of the study. */
export function searched() {
  return everySearched().filter((trial) => store.passes(trial));
}

function everySearched() {
  return [...store.trials.values()].filter((trial) => trial.role === "search");
}

/** The trial's final value; while it runs, the latest one. */
export function worth(trial) {
  return trial.value ?? (trial.state === "running" ? trial.latest : null);
}

/** Dotted settings that differ between search trials, whichever are shown. */
export function varied() {
  const names = new Map();
  const trials = everySearched();
  for (const path of Object.keys(store.study?.space ?? {})) names.set(path, new Set());
  for (const trial of trials) {
    for (const [path, value] of Object.entries(trial.params)) {
      if (!names.has(path)) names.set(path, new Set());
      names.get(path).add(JSON.stringify(value));
    }
  }
  return [...names.keys()].filter((path) => trials.length < 2 || names.get(path).size > 1 || trials.some((t) => !(path in t.params)));
}
