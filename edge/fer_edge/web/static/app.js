// Shows the state that /api/events sends; comes back by itself when the service restarts.
"use strict";

const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const STEPS = 120;

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  return minutes ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}

function percent(share) {
  return `${Math.round(100 * share)} %`;
}

function bar(label, value) {
  const shown = percent(value);
  const row = element("div", undefined, { class: "bar" });
  row.append(element("span", label), element("meter", shown, { value, min: 0, max: 1, "aria-label": label }),
    element("span", shown, { "aria-hidden": "true" }));
  return row;
}

function showFaces(faces) {
  const summary = faces.length ? faces.map((face) => face.label).join(", ") : "nobody";
  if (byId("summary").textContent !== summary) byId("summary").textContent = summary;
  byId("faces").replaceChildren(...faces.map((face) => {
    const item = element("li");
    item.append(element("strong", face.label), " ",
      element("span", `#${face.id}, ${percent(face.confidence)}, for ${duration(face.in_view_s)}`));
    for (const [label, value] of Object.entries(face.probabilities)) item.append(bar(label, value));
    return item;
  }));
}

function showTimeline(timeline) {
  const steps = timeline.steps.slice(-STEPS);
  const labels = [...new Set(steps.flatMap((step) => Object.keys(step)))];
  const most = Math.max(timeline.step_s, ...steps.map((step) => Object.values(step).reduce((a, b) => a + b, 0)));
  const bars = [];
  steps.forEach((step, index) => {
    let top = 40;
    for (const label of labels) {
      const height = 40 * (step[label] || 0) / most;
      top -= height;
      if (height) bars.push(shape("rect", { x: STEPS - steps.length + index, y: top, width: 1, height, class: label }));
    }
  });
  byId("timeline").replaceChildren(...bars);
  byId("legend").replaceChildren(...labels.map((label) => {
    const item = element("li");
    const swatch = shape("svg", { viewBox: "0 0 1 1", "aria-hidden": "true" });
    swatch.append(shape("rect", { width: 1, height: 1, class: label }));
    item.append(swatch, label);
    return item;
  }));
}

function showToday({ usage, drift, expected_accuracy: expected }) {
  byId("today").hidden = !usage;
  if (!usage) return;
  const labels = Object.entries(usage.face_s);
  const total = labels.reduce((sum, [, seconds]) => sum + seconds, 0);
  byId("people").textContent = total
    ? `${usage.people} ${usage.people === 1 ? "face" : "faces"} came into view, ${duration(total)} in all`
    : "nobody came into view yet";
  byId("shares").replaceChildren(...labels.map(([label, seconds]) => bar(label, total ? seconds / total : 0)));
  byId("drift").textContent = `drift: ${drift.state} (${drift.reason})`;
  byId("expected").textContent = expected
    ? `expected accuracy: ${percent(expected.accuracy)} (${percent(expected.low)} to ${percent(expected.high)}): ${expected.reason}`
    : "expected accuracy: not known yet";
}

function showDevice(state) {
  const { name, version, latest } = state.model;
  const rows = [
    ["camera", state.camera_remark ? `${state.camera}: ${state.camera_remark}` : state.camera],
    ["source", state.source],
    ["frames per second", state.fps],
    ["latency", `${state.latency_ms} ms`],
    ["temperature", state.temperature_celsius === null ? "unknown" : `${state.temperature_celsius} \u00b0C`],
    ["model", `${name} ${version}${latest && latest !== version ? `; ${latest} is available` : ""}`],
    ["fer-edge", state.version],
    ...state.outputs.map((output) => [output.name, output.trouble || "works"]),
  ];
  byId("device").replaceChildren(...rows.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
}

const LOOKING = "looking for a new model";

function showUpdate({ can_update: allowed, updating }) {
  const [button, said] = byId("update").children;
  byId("update").hidden = !allowed;
  button.disabled = updating;
  if (updating) said.textContent = LOOKING;
  else if (said.textContent === LOOKING) said.textContent = "";
}

byId("update").firstElementChild.addEventListener("click", async () => {
  const answer = await fetch("api/update", { method: "POST" });
  byId("update").lastElementChild.textContent = answer.ok ? LOOKING : await answer.text();
});

function show(state) {
  showUpdate(state.model);
  showFaces(state.faces);
  showTimeline(state.timeline);
  showDevice(state);
  showToday(state);
}

function setPicture(isThere) {
  byId("picture").hidden = !isThere;
  byId("no-picture").hidden = isThere;
}

function watch() {
  if (!document.hidden) byId("picture").src = `stream.mjpg?${Date.now()}`;
}

byId("picture").addEventListener("error", () => {
  setPicture(false);
  setTimeout(watch, 5000);
});
byId("picture").addEventListener("load", () => setPicture(true));

// Events and pictures flow while the page can be seen: a browser opens six connections to one host, and no more.
let events;

function connect() {
  events = new EventSource("api/events");
  events.addEventListener("open", () => {
    byId("link").textContent = "connected";
    watch();
  });
  events.addEventListener("error", () => {
    byId("link").textContent = "connection lost, trying again";
    if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 3000);
  });
  for (const kind of ["message", "tick"]) events.addEventListener(kind, (event) => show(JSON.parse(event.data)));
}

function disconnect() {
  events.close();
  byId("picture").removeAttribute("src");
}

document.addEventListener("visibilitychange", () => document.hidden ? disconnect() : connect());
connect();
