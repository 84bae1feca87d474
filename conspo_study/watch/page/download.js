// Files that the page makes for the visitor: CSV of tables and curves, SVG of figures.

import { button } from "./dom.js";

const PAINTED = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-weight", "font-family", "text-anchor", "visibility", "display"];

/** Let the browser save a text as a file. */
export function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  Object.assign(link, { href: url, download: name.replace(/[^\w.@-]+/g, "_") });
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** A button that saves rows of cells; the first row holds the names of the columns. `name` is called then. */
export function csvButton(name, rows) {
  return button("CSV", () => save(`${name()}.csv`, "text/csv", csv(rows())), "Save as comma-separated values");
}

/** Rows as RFC 4180 has them. A cell that a spreadsheet would take for a formula is quoted as text. */
export function csv(rows) {
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    const text = typeof value === "number" || typeof value === "string" ? String(value) : JSON.stringify(value);
    const safe = typeof value !== "number" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** A button that saves the figure that `find` returns, an SVG element or null. `name` is called then. */
export function svgButton(name, find) {
  const press = () => {
    const figure = find();
    if (figure) save(`${name()}.svg`, "image/svg+xml", svgText(figure));
  };
  return button("SVG", press, "Save as a vector graphic");
}

/** A figure as a document of its own: what the style sheet says of one in the page is written into it. */
export function svgText(figure) {
  const copy = figure.cloneNode(true);
  if (figure.isConnected) styled(figure, copy);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return new XMLSerializer().serializeToString(copy);
}

function styled(figure, copy) {
  const originals = [figure, ...figure.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((node, i) => {
    const style = getComputedStyle(originals[i]);
    for (const name of PAINTED) node.setAttribute(name, style.getPropertyValue(name));
    for (const name of ["class", "data-trial", "data-trials"]) node.removeAttribute(name);
  });
  // Invisible lines, which only take the pointer.
  copy.querySelectorAll('path[stroke="rgba(0, 0, 0, 0)"]').forEach((node) => node.remove());
}
