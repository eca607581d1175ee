// Sorts a table by the column whose button is pressed; pressed again, it reverses the order.
// Saves a figure as an SVG file in the colours that the reader sees.
"use strict";
(function () {
  function value(row, column) {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim() : cell.dataset.value;
  }
  function compare(a, b, isNumber) {
    if (!isNumber) return a.localeCompare(b, undefined, { numeric: true });
    return Number(a) - Number(b);
  }
  function sort(button) {
    const header = button.closest("th");
    const table = header.closest("table");
    const column = header.cellIndex;
    const isNumber = header.classList.contains("number");
    const turn = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    rows.sort(function (first, second) {
      const a = value(first, column), b = value(second, column);
      if (a === "" || b === "") return (a === "") - (b === ""); // what is missing comes last
      return turn * compare(a, b, isNumber);
    });
    rows.forEach(function (row) { body.appendChild(row); });
    table.querySelectorAll("thead th").forEach(function (other) { other.removeAttribute("aria-sort"); });
    header.setAttribute("aria-sort", turn > 0 ? "ascending" : "descending");
    const says = document.getElementById("sorted");
    says.textContent = "Sorted by " + button.textContent.trim() + ", " + header.getAttribute("aria-sort");
  }
  document.querySelectorAll("th button").forEach(function (button) {
    button.addEventListener("click", function () { sort(button); });
  });
  function keep(button) {
    const drawn = button.closest("figure").querySelector("svg");
    const style = getComputedStyle(document.documentElement);
    const text = new XMLSerializer().serializeToString(drawn).replace(
      /var\((--[\w-]+)\)/g, function (_, name) { return style.getPropertyValue(name).trim(); });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
    link.download = button.dataset.svg + ".svg";
    link.click();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 1000);
  }
  document.querySelectorAll("button[data-svg]").forEach(function (button) {
    button.addEventListener("click", function () { keep(button); });
  });
  // on paper nothing can be unfolded
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details:not(.more)").forEach(function (part) { part.open = true; });
  });
})();
