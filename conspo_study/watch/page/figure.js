// Figures drawn as SVG: again whenever their width or the data change, and saved by a button.

import { card, onWidth } from "./dom.js";
import { svgButton } from "./download.js";
import { light, on } from "./store.js";

/** Draw into `host`, again whenever its width or the data change. */
export function redrawn(host, draw) {
  let width = 0;
  const redraw = () => {
    if (!width) return;
    host.replaceChildren(draw(width));
    light();
  };
  onWidth(host, (now) => {
    width = now;
    redraw();
  });
  for (const kind of ["data", "look"]) on(kind, redraw);
  return redraw;
}

/** The card of a figure in `host`, which a button saves. */
export function figureCard(title, name, controls, host, ...more) {
  return card(title, [controls, " ", svgButton(() => name, () => host.querySelector("svg"))], host, ...more);
}
