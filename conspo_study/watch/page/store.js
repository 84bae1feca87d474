// State of the page: the study's data, the highlighted trial, and listeners to changes.

const listeners = { data: new Set(), curves: new Set(), highlight: new Set(), look: new Set() };

export const store = {
  study: null,
  trials: new Map(),
  curves: new Map(),
  metric: null,
  /** Ids: the trial under the pointer or the keyboard's focus, and the one chosen by a click. */
  hovered: null,
  selected: null,
  colourBy: "value",
  /** Whether charts have a logarithmic vertical axis. */
  log: false,
  offline: "",
};

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

/** Search trials in the order of the study. */
export function searched() {
  return [...store.trials.values()].filter((trial) => trial.role === "search");
}

/** The trial's final value; while it runs, the latest one. */
export function worth(trial) {
  return trial.value ?? (trial.state === "running" ? trial.latest : null);
}

/** Dotted settings that differ between search trials. */
export function varied() {
  const names = new Map();
  for (const path of Object.keys(store.study?.space ?? {})) names.set(path, new Set());
  for (const trial of searched()) {
    for (const [path, value] of Object.entries(trial.params)) {
      if (!names.has(path)) names.set(path, new Set());
      names.get(path).add(JSON.stringify(value));
    }
  }
  const count = searched().length;
  return [...names.keys()].filter((path) => count < 2 || names.get(path).size > 1 || searched().some((t) => !(path in t.params)));
}
