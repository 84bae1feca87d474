// The address of the view: which study, which part of it, and how it is shown.
//
// `#/trial/t0001`, `#/compare?trials=t0001,t0002`; where the server has several studies, `#/` lists
// them and `#/study/<key>/...` is one of them. What a visitor chose is in the query, so that an
// address shows what its sender saw.

import { store } from "./store.js";

/** { study: key or null, view: "" | "trial" | "compare" | "samples", of: id or null } */
export function place() {
  const [path] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decoded);
  const study = parts[0] === "study" ? parts[1] ?? null : null;
  const [view = "", of = null] = parts[0] === "study" ? parts.slice(2) : parts;
  return { study, view, of };
}

/** The address of a view of the current study, or of another one. */
export function address(view = "", of = null, query = {}, study = store.of) {
  const parts = [...(study === null ? [] : ["study", study]), ...(view ? [view] : []), ...(of === null ? [] : [of])];
  const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${asked ? `?${asked}` : ""}`;
}

/** The address of the overview, as the visitor left it. */
export function overview() {
  return store.overview || address();
}

/** What the address says of a choice; text, or `otherwise` where it says nothing. */
export function chosen(name, otherwise = "") {
  return query().get(name) ?? otherwise;
}

/** Keep a choice in the address; the usual one is left out. The view is not shown anew. */
export function choose(name, value, usual = "") {
  const asked = query();
  if (value === usual || value === null) asked.delete(name);
  else asked.set(name, value);
  const text = asked.toString();
  const [path] = (location.hash || "#/").split("?");
  history.replaceState(null, "", `${path}${text ? `?${text}` : ""}`);
}

function query() {
  return new URLSearchParams(location.hash.split("?").slice(1).join("?"));
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
