// Upgrades in waves: a row for each host of the one under way, a mark for each service, and what a person may decide.

import { get, post } from "./api.js";
import { el, opening, state, table } from "./dom.js";
import { clock, since, span, seconds } from "./words.js";

const ENDED = ["done", "aborted", "rolled back", "failed"];
const KIND = { done: "good", working: "busy", restoring: "busy", restored: "busy", running: "busy", resting: "busy", paused: "busy", aborting: "busy",
  "rolling back": "busy", stuck: "bad", lost: "bad", failed: "bad", "rolled back": "bad", aborted: "bad" };
const DECISIONS = [["pause", "Pause", ["running", "resting"]], ["resume", "Resume", ["paused"]], ["abort", "Abort", ["running", "resting", "paused"]], ["rollback", "Take back", ["running", "resting", "paused", "done", "aborted", "failed"]]];

let again = () => {};
let trouble = "";
export const changed = (act) => { again = act; };
export const underWay = (plan) => !ENDED.includes(plan.State);

// The hosts of what is under way, and of the one that was chosen.
export async function details(plans, chosen) {
  const wanted = plans.filter((plan) => underWay(plan) || plan.Id === chosen);
  const found = await Promise.all(wanted.map((plan) => get(`/fleet/upgrades/${encodeURIComponent(plan.Id)}`)));
  return Object.fromEntries(found.map((plan) => [plan.Id, plan]));
}

async function decide(plan, verb, word) {
  if (verb !== "resume" && !window.confirm(`${word} the upgrade ${plan.Id}?`)) return;
  try {
    await post(`/fleet/upgrades/${encodeURIComponent(plan.Id)}/${verb}`);
    trouble = "";
  } catch (error) {
    trouble = error.message;
  }
  again();
}

function service(step) {
  const kind = KIND[step.State] ?? (step.State === "taken back" || step.State === "not well" ? "bad" : "");
  return el("span", { class: `state ${kind}`, title: `${step.Before} → ${step.After} ${step.Says ?? ""}` }, step.Service);
}

function hostRow(host) {
  return el("tr", { "data-host": host.Node },
    el("td", { class: "wave" }, `wave ${host.Wave + 1}`), el("td", {}, el("b", {}, host.Node)), el("td", {}, state(host.State, KIND[host.State] ?? "")),
    el("td", {}, el("div", { class: "tags", style: "margin:0" }, (host.Services ?? []).map(service))),
    el("td", { class: "number" }, host.Kept ? `${host.Kept} kept` : "", host.Restarted?.length ? el("span", { class: "state bad" }, `${host.Restarted.length} restarted`) : null),
    el("td", { class: "dim", title: host.Says }, host.Says ?? ""));
}

function shown(plan) {
  const hosts = plan.Hosts ?? [];
  const through = hosts.filter((host) => ["done", "restored"].includes(host.State)).length;
  const bad = hosts.some((host) => ["stuck", "lost"].includes(host.State)) || KIND[plan.State] === "bad";
  const buttons = DECISIONS.filter(([, , states]) => states.includes(plan.State)).map(([verb, word]) =>
    el("button", { class: verb === "rollback" || verb === "abort" ? "bad" : "", on: { click: () => decide(plan, verb, word) } }, word));
  const rows = [...hosts].sort((a, b) => a.Wave - b.Wave || a.Node.localeCompare(b.Node, undefined, { numeric: true })).map(hostRow);
  return el("article", { class: "card plan", "data-plan": plan.Id },
    el("header", {}, el("h2", {}, `Upgrade ${plan.Id}`), state(plan.State, KIND[plan.State] ?? ""), el("span", { class: "dim small" }, plan.Says ?? ""), el("span", { class: "end tools", style: "margin-bottom:0" }, buttons)),
    el("div", { class: "dim small" }, [plan.By && `begun by ${plan.By}`, `${since(plan.CreatedAt)} ago`, plan.EndedAt && `took ${span(seconds(plan.EndedAt) - seconds(plan.CreatedAt))}`,
      Object.entries(plan.Services ?? {}).map(([name, version]) => `${name} ${version}`).join(", "), plan.Leader && `led by ${plan.Leader}`].filter(Boolean).join(" · ")),
    el("div", { class: bad ? "progress bad" : "progress", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": hosts.length, "aria-valuenow": through }, el("i", { part: hosts.length ? (100 * through) / hosts.length : 0 })),
    hosts.length ? table(["", "Host", "State", "Services", { number: "Containers" }, ""], rows) : null,
    plan.History?.length ? el("details", { style: "margin-top:.8rem" }, el("summary", { class: "dim small" }, `history, ${plan.History.length} lines`),
      el("ol", { class: "events" }, plan.History.map((line) => el("li", {}, el("span", { class: "dim" }, clock(line.At)), el("span", {}, line.Node ?? ""), el("span", {}, line.What), el("span", { class: "dim" }, [line.By, line.Says].filter(Boolean).join(": ")))))) : null);
}

export function view(data, go, memory) {
  const plans = data.upgrades;
  if (!plans.length) return el("p", { class: "empty" }, "No upgrade yet. Begin one with “seaway fleet upgrade --from DIR”.");
  const open = plans.filter((plan) => underWay(plan) || plan.Id === memory.chosen).map((plan) => shown(data.plans[plan.Id] ?? plan));
  const before = plans.filter((plan) => !underWay(plan)).map((plan) => opening(() => { memory.chosen = memory.chosen === plan.Id ? "" : plan.Id; again(); },
    el("td", {}, el("b", {}, plan.Id)), el("td", {}, state(plan.State, KIND[plan.State] ?? "")), el("td", {}, plan.By ?? ""), el("td", { class: "dim" }, `${since(plan.CreatedAt)} ago`),
    el("td", { class: "dim" }, Object.entries(plan.Services ?? {}).map(([name, version]) => `${name} ${version}`).join(", ")), el("td", { class: "dim" }, plan.Says ?? "")));
  return el("section", {}, trouble ? el("p", { class: "note bad" }, trouble) : null, open,
    before.length ? table(["Upgrade", "End", "By", "Begun", "Versions", ""], before) : null);
}
