"use strict";
// Sorting and searching of tables. Without it they are plain tables, and nothing else is lost.
(() => {
  const byId = (name) => document.getElementById(name);

  function sortKey(row, column, numeric) {
    const cell = row.cells[column];
    const value = cell.dataset.value ?? cell.textContent;
    return numeric ? Number(value) : value.toLowerCase();
  }

  function compare(a, b, numeric) {
    if (!numeric) return a.localeCompare(b, undefined, { numeric: true });
    // What is no number comes last, in either direction.
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return a - b;
  }

  function sort(table, heading) {
    const numeric = heading.dataset.kind === "number";
    // Numbers are looked at from the top first, names from A.
    const first = numeric ? "descending" : "ascending";
    const other = numeric ? "ascending" : "descending";
    const direction = heading.getAttribute("aria-sort") === first ? other : first;
    for (const th of table.tHead.rows[0].cells) th.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const keyed = [...table.tBodies[0].rows].map((row) => [sortKey(row, heading.cellIndex, numeric), row]);
    keyed.sort(([a], [b]) => (Number.isNaN(a) || Number.isNaN(b) ? compare(a, b, true) : sign * compare(a, b, numeric)));
    table.tBodies[0].append(...keyed.map(([, row]) => row));
  }

  function search(name) {
    const words = document.querySelector(`[data-search="${name}"]`).value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...byId(name).tBodies[0].rows];
    let shown = 0;
    for (const row of rows) {
      const content = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => content.includes(word));
      shown += !row.hidden;
    }
    document.querySelector(`[data-count="${name}"]`).value = `${shown} of ${rows.length} rows`;
  }

  for (const tools of document.querySelectorAll(".tools")) tools.hidden = false;
  for (const heading of document.querySelectorAll("th[data-kind]")) {
    heading.querySelector("button").addEventListener("click", () => sort(heading.closest("table"), heading));
  }
  for (const input of document.querySelectorAll("[data-search]")) {
    input.addEventListener("input", () => search(input.dataset.search));
    search(input.dataset.search);
  }
  // A feature's name in one table looks it up in the other.
  for (const button of document.querySelectorAll("button[data-find]")) {
    button.addEventListener("click", () => {
      const name = button.dataset.table;
      const input = document.querySelector(`[data-search="${name}"]`);
      input.value = button.dataset.find;
      search(name);
      input.focus();
      input.scrollIntoView({ block: "center" });
    });
  }
  // What is folded away would be missing on paper.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
  });
})();
