// The page: asks every two seconds while it is looked at, listens for events, and shows one view.

import { get, lines } from "./api.js";
import * as containers from "./containers.js";
import { el } from "./dom.js";
import * as drawer from "./drawer.js";
import * as events from "./events.js";
import * as hosts from "./hosts.js";
import * as upgrades from "./upgrades.js";

const VIEWS = { hosts: ["Hosts", hosts], containers: ["Containers", containers], upgrades: ["Upgrades", upgrades], events: ["Events", events] };
const PAUSE = 2000;
const EVENTS = 300;

const data = { fleet: {}, hosts: [], containers: [], upgrades: [], plans: {}, events: [], missing: [], errors: {} };
const memory = { containers: {}, upgrades: {} };
let shown = "";

function current() {
  const [view] = location.hash.slice(1).split("/");
  return view in VIEWS ? view : "hosts";
}

function go(view, word, container) {
  if (word !== undefined) memory[view].word = word;
  if (container) drawer.open(container);
  else location.hash = view;
}

function counts(view) {
  const count = { hosts: data.hosts.length, containers: data.containers.filter((each) => each.State === "running").length,
    upgrades: data.upgrades.filter(upgrades.underWay).length, events: 0 }[view];
  return count ? el("b", {}, String(count)) : null;
}

function draw() {
  const view = current();
  document.querySelector("nav").replaceChildren(...Object.entries(VIEWS).map(([name, [title]]) =>
    el("a", { href: `#${name}`, "aria-current": name === view ? "page" : null }, title, counts(name))));
  document.getElementById("fleet").textContent = data.fleet.Fleet ? `Seaway · ${data.fleet.Fleet}` : "Seaway";
  const main = document.querySelector("main");
  // What somebody is typing into, or pointing at, isn't taken from under them.
  if (view === shown && main.contains(document.activeElement) && document.activeElement !== document.body && view === "containers") return;
  const notes = [];
  if (data.missing.length) notes.push(el("p", { class: "note" }, `No answer from ${data.missing.join(", ")}: what they have isn't shown.`));
  for (const [host, text] of Object.entries(data.errors)) notes.push(el("p", { class: "note bad" }, `${host}: ${text}`));
  const scroll = [window.scrollX, window.scrollY];
  main.replaceChildren(...notes, VIEWS[view][1].view(data, go, memory[view] ?? {}));
  if (view === shown) window.scrollTo(...scroll);
  shown = view;
}

function told(text, kind) {
  const link = document.getElementById("link");
  link.textContent = text;
  link.className = kind;
}

async function refresh() {
  try {
    const [fleet, hosts, containers, plans] = await Promise.all([get("/fleet"), get("/fleet/hosts"), get("/fleet/containers", { all: 1 }), get("/fleet/upgrades")]);
    Object.assign(data, { fleet, hosts: hosts.Items, containers: containers.Items, upgrades: plans.Items,
      plans: await upgrades.details(plans.Items, memory.upgrades.chosen),
      missing: [...new Set([...(hosts.Missing ?? []), ...(containers.Missing ?? [])])], errors: { ...hosts.Errors, ...containers.Errors } });
    told(fleet.Connected ? "live" : "cut off from the fleet", fleet.Connected ? "good" : "bad");
  } catch (error) {
    told(error.message, "bad");
  }
  draw();
}

async function asking() {
  for (;;) {
    if (!document.hidden) await refresh();
    await new Promise((done) => setTimeout(done, PAUSE));
  }
}

async function listening() {
  for (;;) {
    const since = Math.floor(Date.now() / 1000);
    try {
      await lines("/fleet/events", { since, follow: 1 }, (event) => {
        data.events.unshift(event);
        data.events.length = Math.min(data.events.length, EVENTS);
        if (current() === "events") draw();
      });
    } catch { /* told by the next refresh */ }
    await new Promise((done) => setTimeout(done, PAUSE));
  }
}

window.addEventListener("hashchange", draw);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") drawer.close(); });
upgrades.changed(refresh);
draw();
asking();
listening();
