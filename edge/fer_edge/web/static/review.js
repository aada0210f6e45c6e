// Shows one sample after the other; each answer is on the device's disk before the next face appears.
"use strict";

const byId = (id) => document.getElementById(id);
const OTHERS = { skipped: ["s", "skip"], "not a face": ["n", "not a face"] };
const waiting = [];
const done = [];
let labelled = 0;
let busy = false;

function percent(rate) {
  const [value, low, high] = [rate.value, rate.low, rate.high].map((part) => (100 * part).toFixed(1));
  return `${value} % (95 % interval ${low} to ${high})`;
}

async function showResult() {
  const answer = await fetch("/api/result");
  const result = await answer.json();
  if (!result || !result.accuracy) return;
  byId("result").hidden = false;
  byId("accuracy").textContent =
    `${result.labelled} labels: ${percent(result.accuracy)}, as faces occur here. ${result.no_faces} samples show no face.`;
  const labels = [...new Set(Object.entries(result.confusion).flatMap(([given, row]) => [given, ...Object.keys(row)]))];
  const table = byId("confusion");
  while (table.rows.length) table.deleteRow(0);
  const cell = (row, name, text) => row.append(Object.assign(document.createElement(name), { textContent: text }));
  const head = table.insertRow();
  ["", ...labels].forEach((label) => cell(head, "th", label));
  for (const [given, counts] of Object.entries(result.confusion)) {
    const row = table.insertRow();
    cell(row, "th", given);
    labels.forEach((label) => cell(row, "td", counts[label] || ""));
  }
}

function show() {
  byId("progress").textContent = `${labelled} labelled, ${waiting.length} left`;
  byId("bar").max = Math.max(labelled + waiting.length, 1);
  byId("bar").value = labelled;
  byId("question").hidden = !waiting.length;
  if (waiting.length) byId("face").src = `/picture/${waiting[0]}.png`;
  if (waiting.length > 1) new Image().src = `/picture/${waiting[1]}.png`;
  if (!waiting.length) showResult();
}

async function save(sample, label) {
  try {
    const answer = await fetch("/api/label", { method: "POST", body: JSON.stringify({ sample, label }) });
    if (answer.status === 404) return "gone";
    byId("trouble").textContent = answer.ok ? "" : await answer.text();
    return answer.ok ? "saved" : "";
  } catch {
    byId("trouble").textContent = "not saved: fer-edge samples review has ended. Start it again and reload this page";
    return "";
  }
}

async function label(name) {
  if (busy || !waiting.length) return;
  busy = true;
  const outcome = await save(waiting[0], name);
  if (outcome) {
    const sample = waiting.shift();
    if (outcome === "saved") {
      done.push(sample);
      labelled += 1;
    }
    show();
  }
  busy = false;
}

async function undo() {
  if (busy || !done.length) return;
  busy = true;
  const outcome = await save(done.at(-1), null);
  if (outcome) {
    const sample = done.pop();
    labelled -= 1;
    if (outcome === "saved") waiting.unshift(sample);
    byId("result").hidden = true;
    show();
  }
  busy = false;
}

function addButton(key, text, action) {
  const button = document.createElement("button");
  button.append(Object.assign(document.createElement("kbd"), { textContent: key }), text);
  button.addEventListener("click", () => { button.blur(); action(); });
  byId("answers").append(button);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    if (event.key.toLowerCase() === key) action();
  });
}

async function start() {
  const queue = await (await fetch("/api/queue")).json();
  waiting.push(...queue.waiting);
  labelled = queue.labelled;
  queue.labels.forEach((name, index) => addButton(String(index + 1), name, () => label(name)));
  queue.others.forEach((name) => addButton(...OTHERS[name], () => label(name)));
  addButton("u", "undo", undo);
  show();
}

start();
