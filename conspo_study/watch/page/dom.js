// Elements made without markup: text from models, data sets and files never becomes HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. Properties that begin with "on" are listeners, others attributes. */
export function el(tag, properties = {}, ...children) {
  return finish(document.createElement(tag), properties, children);
}

/** An SVG element. */
export function svg(tag, properties = {}, ...children) {
  return finish(document.createElementNS(SVG, tag), properties, children);
}

function finish(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** A labelled choice; `options` are values, [value, text] pairs, or { group, options }. */
export function choice(label, options, value, onchange) {
  const select = el("select", { onchange: () => onchange(select.value) });
  const add = (host, option) => {
    if (option.group !== undefined) {
      const part = el("optgroup", { label: option.group });
      option.options.forEach((one) => add(part, one));
      host.append(part);
      return;
    }
    const [value, text] = Array.isArray(option) ? option : [option, option];
    host.append(el("option", { value }, text));
  };
  options.forEach((option) => add(select, option));
  select.value = value;
  return el("label", {}, `${label} `, select);
}

/** A button with a text. */
export function button(text, onclick, title = null) {
  return el("button", { type: "button", onclick, title }, text);
}

/** A table of rows of cells; heads are texts, or [text, "number"] for numbers. */
export function simpleTable(heads, rows) {
  const kinds = heads.map((head) => (Array.isArray(head) ? head[1] : null));
  const names = heads.map((head, i) => el("th", { class: kinds[i] }, Array.isArray(head) ? head[0] : head));
  const body = rows.map((cells) => el("tr", {}, cells.map((cell, i) => el("td", { class: kinds[i] }, cell))));
  return el("div", { class: "wide" }, el("table", {}, el("thead", {}, el("tr", {}, names)), el("tbody", {}, body)));
}

/** A labelled switch. */
export function toggle(label, on, onchange) {
  const box = el("input", { type: "checkbox", checked: on, onchange: () => onchange(box.checked) });
  return el("label", {}, box, ` ${label}`);
}

/** A spot of colour. The page's security policy forbids style attributes, not styles set by script. */
export function swatch(colour) {
  const spot = el("span", { class: "swatch" });
  spot.style.background = colour;
  return spot;
}

/** A card with a heading. */
export function card(title, controls, ...children) {
  const head = el("div", { class: "cardhead" }, el("h2", {}, title), el("div", { class: "controls" }, controls));
  return el("section", { class: "card" }, head, children);
}

/** Call `draw` with the width of `host` now and whenever it changes; a hidden host has none. */
export function onWidth(host, draw) {
  let known = 0;
  const look = () => {
    const width = Math.floor(host.clientWidth);
    if (width && width !== known) {
      known = width;
      draw(width);
    }
  };
  // In the next frame: drawing changes sizes, which an observer must not cause in its own callback.
  new ResizeObserver(() => window.requestAnimationFrame(look)).observe(host);
}
