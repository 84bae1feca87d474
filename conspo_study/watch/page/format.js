// Values as text.

export const ABSENT = "–";

export function number(value, digits = 4) {
  if (typeof value !== "number" || !Number.isFinite(value)) return ABSENT;
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e6 ? String(Number(value.toPrecision(digits))) : value.toExponential(2);
}

/** A metric with three decimals, as tables align them. */
export function measured(value, spread = null) {
  if (typeof value !== "number" || !Number.isFinite(value)) return ABSENT;
  const text = Math.abs(value) < 1000 && (Math.abs(value) >= 0.001 || value === 0) ? value.toFixed(3) : number(value, 3);
  return typeof spread === "number" ? `${text} ± ${spread.toFixed(3)}` : text;
}

/** Any JSON value on one line, as one would type it. Text that looks like another type is quoted, so
 * that no two values look alike. */
export function plain(value) {
  if (value === undefined) return ABSENT;
  if (typeof value === "number") return number(value);
  return typeof value === "string" && !looksTyped(value) ? value : JSON.stringify(value);
}

function looksTyped(text) {
  return (text.trim() !== "" && !Number.isNaN(Number(text))) || /^(null|true|false)$|^[[{"]/.test(text);
}

/** The first non-empty line of a cause, continued while it ends with a colon. */
export function firstLine(text) {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  const end = lines.findIndex((line) => !line.endsWith(":"));
  const [first = "", ...more] = end < 0 ? lines : lines.slice(0, end + 1);
  return [first, ...more.map((line) => line.replace(/^- /, ""))].join(" ");
}

export function duration(seconds) {
  if (typeof seconds !== "number" || !Number.isFinite(seconds)) return "";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** `objective.tau` is `tau`. */
export function short(path) {
  return path.slice(path.lastIndexOf(".") + 1);
}

export function counted(n, noun) {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
