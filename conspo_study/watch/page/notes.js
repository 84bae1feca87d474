// Notes and tags of the study and of its trials, which are kept in a file beside the log.

import { ask, send } from "./api.js";
import { button, card, el } from "./dom.js";
import { on, store, tell } from "./store.js";

let known = "";
let problem = "";

/** Fetch the notes where they have changed since the last time; `noted` is the state of their file. */
export async function pollNotes() {
  const { of } = store;
  const now = JSON.stringify([of, store.study.noted]);
  if (now === known) return;
  try {
    const answer = await ask("notes");
    if (of === store.of) take(answer);
  } catch (error) {
    // Only the notes are missing; they are asked for again when their file changes.
    known = now;
    problem = error.message;
    tell("notes");
  }
}

function take({ noted, notes }) {
  known = JSON.stringify([store.of, noted]);
  problem = "";
  store.notes = notes;
  tell("notes");
}

/** The tags of a trial, each once. */
export function tagsOf(trial) {
  return [...new Set(store.notes.filter((note) => note.trial === trial).flatMap(({ tags }) => tags))];
}

/** The card of the notes of a trial, or of the study where it is empty. */
export function notesCard(trial = "") {
  const list = el("div");
  const text = el("textarea", { rows: 2, maxlength: 4000, placeholder: "a note", "aria-label": "note" });
  const tags = el("input", { placeholder: "tags, separated by spaces", "aria-label": "tags" });
  const said = el("span", { class: "warn", role: "status" });
  const tried = async (data) => {
    try {
      take(await send("notes", data));
      said.textContent = "";
      return true;
    } catch (error) {
      said.textContent = error.message;
      return false;
    }
  };
  const add = async () => {
    const words = tags.value.split(/[\s,]+/).filter(Boolean);
    if (await tried({ trial, text: text.value, tags: words })) text.value = tags.value = "";
  };
  const draw = () => {
    const notes = store.notes.filter((note) => note.trial === trial);
    list.replaceChildren(
      problem && el("p", { class: "warn" }, problem),
      ...notes.map((note) =>
        el(
          "div",
          { class: "note" },
          el("p", { class: "meta" }, note.time.replace("T", " "), " ", note.tags.map((tag) => el("span", { class: "tag" }, tag)), " ", button("withdraw", () => tried({ withdraws: note.number }))),
          note.text && el("p", { class: "kept" }, note.text),
        ),
      ),
    );
  };
  on("notes", draw);
  draw();
  return card("Notes", null, list, el("div", { class: "write" }, text, tags, button("add", add), said));
}
