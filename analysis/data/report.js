// Tabs, sorting by column, larger figures, and links that save them. Without this script all parts are shown one below
// the other, as in print.
for (const part of document.querySelectorAll("[data-part]")) {
  const tabs = [...part.querySelectorAll("[data-tab]")];
  const links = [...part.querySelectorAll("nav.tabs a")];
  const show = (id) => {
    if (!tabs.some((tab) => tab.id === id)) return;
    for (const tab of tabs) tab.classList.toggle("away", tab.id !== id);
    for (const link of links) {
      const current = link.getAttribute("href") === `#${id}`;
      if (current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  const follow = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const tab = target?.closest("[data-tab]");
    if (tab && part.contains(tab)) show(tab.id);
  };
  if (tabs.length) show(tabs[0].id);
  follow();
  addEventListener("hashchange", follow);
}

const number = (text) => {
  const found = text.trim().replace("−", "-").match(/^[[<>+\s]*(-?\d[\d,]*\.?\d*(?:e[-+]?\d+)?)/i);
  return found ? Number(found[1].replaceAll(",", "")) : NaN;
};

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const sort = () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].map((row) => [row.cells[column].textContent, row]);
      const numbers = head.classList.contains("number");
      rows.sort(([a], [b]) => {
        if (!numbers) return (down ? -1 : 1) * a.localeCompare(b, undefined, { numeric: true });
        const [x, y] = [number(a), number(b)];
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
        return (down ? -1 : 1) * (x - y);
      });
      table.tBodies[0].append(...rows.map(([, row]) => row));
    };
    head.tabIndex = 0;
    head.title = "Sort by this column";
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter") sort();
    });
  });
}

// A figure opens in a dialog, which Escape or a click closes; the link beside it saves what is shown.
const dialog = document.querySelector("dialog.large");
const large = dialog.querySelector("img");
for (const image of document.querySelectorAll("figure img")) {
  const open = () => {
    large.src = image.src;
    large.alt = image.alt;
    dialog.showModal();
  };
  image.title = "Enlarge";
  image.tabIndex = 0;
  image.setAttribute("role", "button");
  image.addEventListener("click", open);
  image.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    open();
  });
  image.closest("section").querySelector("a.save").href = image.src;
}
dialog.addEventListener("click", () => dialog.close());
