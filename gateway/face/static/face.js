// What the pages do beyond links and forms. Everything works without it; text from the book becomes text nodes, never markup.
"use strict";

const rows = () => [...document.querySelectorAll("[data-row]")];

function choose(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.classList.contains("chosen"));
  const next = Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + step));
  all.forEach((row, n) => row.classList.toggle("chosen", n === next));
  all[next].scrollIntoView({ block: "nearest" });
  const inside = all[next].tagName === "TR" ? all[next].querySelector("a") : all[next];
  if (inside) inside.focus({ preventScroll: true });
}

function typing(target) {
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "j") choose(1);
  else if (event.key === "k") choose(-1);
  else if (event.key === "Escape") rows().forEach((row) => row.classList.remove("chosen"));
  else if ("aed".includes(event.key)) {
    const wanted = (document.querySelector(".chosen[data-row]") || document).querySelector(`[data-key="${event.key}"]`);
    if (wanted) { event.preventDefault(); wanted.focus(); }
  } else if (event.key === "/") {
    const search = document.querySelector("input[type=search]");
    if (search) { event.preventDefault(); search.focus(); }
  }
});

// The live tail: the server sends rows that are already put into words; they go on top of the table.
const table = document.querySelector("table[data-live]");
const button = document.getElementById("live");
const MOST_ROWS = 500;
let stream = null;

function cell(row, text, kind, link) {
  const td = row.insertCell();
  if (kind) td.className = kind;
  const inside = link ? td.appendChild(document.createElement("a")) : td;
  if (link) inside.href = link;
  inside.textContent = text;
}

function told(event) {
  for (const one of JSON.parse(event.data).rows) {
    const row = table.tBodies[0].insertRow(0);
    row.dataset.row = "";
    row.className = "fresh";
    one.cells.forEach(([text, kind], n) => cell(row, text, kind, n ? "" : "/ui/exchange/" + encodeURIComponent(one.id)));
    while (table.tBodies[0].rows.length > MOST_ROWS) table.tBodies[0].deleteRow(-1);
  }
}

function live(on) {
  button.setAttribute("aria-pressed", String(on));
  button.textContent = on ? "Live: on" : "Live";
  if (stream) stream.close();
  stream = on ? new EventSource(table.dataset.live) : null;
  if (stream) stream.addEventListener("message", told);
}

if (table && button) {
  button.hidden = false;
  button.addEventListener("click", () => live(!stream));
}

// Approvals: what is left of the time, and whether the queue is still the one that is shown.
const queue = document.getElementById("queue");

const skew = queue ? Date.now() - Date.parse(queue.dataset.now) : 0;  // this clock may be wrong; the server's decides

function left(until) {
  const seconds = Math.max(0, Math.round((Date.parse(until) - Date.now() + skew) / 1000));
  if (seconds >= 7200) return `in ${Math.floor(seconds / 3600)} h`;
  return seconds ? `in ${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s` : "now";
}

function count() {
  for (const each of document.querySelectorAll("time[data-until]")) each.textContent = left(each.getAttribute("datetime"));
}

if (queue) {
  count();
  setInterval(count, 1000);
  const changes = new EventSource(queue.dataset.live);
  changes.addEventListener("message", (event) => {
    const { waiting, state } = JSON.parse(event.data);
    document.title = `(${waiting}) Approvals · Tollhouse`;
    document.getElementById("changed").hidden = state === queue.dataset.state;
  });
}
