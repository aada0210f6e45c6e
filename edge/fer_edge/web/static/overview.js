// Shows every run of this machine: a picture, who is in view, how it does. Asks again every two seconds.
"use strict";

const byId = (id) => document.getElementById(id);
const PAUSE_MS = 2000;

function makeCard(name) {
  const card = document.createElement("section");
  card.dataset.name = name;
  card.setAttribute("aria-label", name);
  const heading = document.createElement("h2");
  const link = document.createElement("a");
  link.href = `instances/${encodeURIComponent(name)}/`;
  link.textContent = name;
  heading.append(link);
  const picture = document.createElement("img");
  picture.alt = `What ${name} sees`;
  picture.width = 640;
  picture.height = 480;
  picture.addEventListener("error", () => { picture.hidden = true; });
  picture.addEventListener("load", () => { picture.hidden = false; });
  const faces = document.createElement("p");
  faces.className = "faces";
  const device = document.createElement("p");
  device.className = "device";
  card.append(heading, picture, faces, device);
  return card;
}

function describe(state) {
  if (!state) return ["", "does not answer"];
  const faces = state.faces.length ? state.faces.map((face) => face.label).join(", ") : "nobody";
  const troubles = state.outputs.filter((output) => output.trouble).map((output) => output.name);
  const trouble = troubles.length ? `, trouble: ${troubles.join(", ")}` : "";
  return [faces, `camera ${state.camera}, ${state.fps} frames per second, ${state.model.name}${trouble}`];
}

function show(instances) {
  const cards = new Map([...byId("cameras").children].map((card) => [card.dataset.name, card]));
  byId("cameras").replaceChildren(...instances.map(({ name, state }) => {
    const card = cards.get(name) || makeCard(name);
    const [faces, device] = describe(state);
    card.querySelector(".faces").textContent = faces;
    card.querySelector(".device").textContent = device;
    if (state) card.querySelector("img").src = `instances/${encodeURIComponent(name)}/snapshot.jpg?${Date.now()}`;
    return card;
  }));
  byId("link").textContent = instances.length
    ? `connected, ${instances.length} running`
    : "connected; no camera runs with web.listen = \"unix\"";
}

async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch("api/instances");
    if (answer.status === 401) location.assign("/login");
    else if (answer.ok) show((await answer.json()).instances);
    else byId("link").textContent = "connection lost, trying again";
  } catch {
    byId("link").textContent = "connection lost, trying again";
  }
}

setInterval(refresh, PAUSE_MS);
document.addEventListener("visibilitychange", refresh);
refresh();
