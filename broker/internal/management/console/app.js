// The frame: who is logged in, where one is, and what the node tells again and again.
import { h, fill, toast, badge, n } from "./dom.js";
import * as api from "./api.js";
import overview from "./overview.js";
import { queues, queue } from "./queues.js";
import { connections, connection, channels } from "./connections.js";
import { exchanges, exchange } from "./exchanges.js";
import { policies, users, vhosts, events, audit, definitions } from "./admin.js";

// live is what the stream told last; pages hear of it by tick.
export const live = { overview: null, events: [], lost: false };

const routes = [
  { name: "overview", title: "Overview", page: overview, nav: true, key: "o" },
  { name: "queues", title: "Queues", page: queues, nav: true, key: "q", count: "queues" },
  { name: "queue", page: queue, under: "queues" },
  { name: "exchanges", title: "Exchanges", page: exchanges, nav: true, key: "x", count: "exchanges" },
  { name: "exchange", page: exchange, under: "exchanges" },
  { name: "connections", title: "Connections", page: connections, nav: true, key: "c", count: "connections" },
  { name: "connection", page: connection, under: "connections" },
  { name: "channels", title: "Channels", page: channels, nav: true, key: "h", count: "channels" },
  { name: "policies", title: "Policies", page: policies, nav: true, key: "p" },
  { name: "vhosts", title: "Virtual hosts", page: vhosts, nav: true, key: "v" },
  { name: "users", title: "Users", page: users, nav: true, key: "u", tags: ["administrator"] },
  { name: "events", title: "Events", page: events, nav: true, key: "e", tags: ["monitoring"] },
  { name: "audit", title: "Audit log", page: audit, nav: true, key: "a", tags: ["monitoring"] },
  { name: "definitions", title: "Definitions", page: definitions, nav: true, key: "d", tags: ["administrator"] },
];

let current = null; // {route, tick}

function loginPage(error = "") {
  const user = h("input", { name: "user", autocomplete: "username", required: true, autofocus: true });
  const password = h("input", { name: "password", type: "password", autocomplete: "current-password" });
  const err = h("div", { class: "error", role: "alert" }, error);
  const form = h("form", { class: "card", onsubmit: async (e) => {
    e.preventDefault();
    try { await api.login(user.value, password.value); start(); } catch (x) { err.textContent = x.message; password.value = ""; }
  } }, h("div", { class: "brand" }, h("img", { src: "icon.svg", alt: "" }), "Warren"), h("p", { class: "muted", style: "margin:0" }, "Log in with a user of the broker who may see the management interface."),
  h("label", { class: "field" }, "User", user), h("label", { class: "field" }, "Password", password), err, h("button", { class: "b main", id: "login" }, "Log in"));
  fill(document.getElementById("app"), h("main", { class: "login", id: "main" }, form));
  user.focus();
}

function setTheme(t) {
  if (t) document.documentElement.dataset.theme = t; else delete document.documentElement.dataset.theme;
  if (t) localStorage.setItem("warren.theme", t); else localStorage.removeItem("warren.theme");
}

function shell() {
  const allowed = routes.filter((r) => r.nav && (!r.tags || api.is(...r.tags)));
  const dark = () => document.documentElement.dataset.theme === "dark" || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  const nav = h("nav", { class: "side", "aria-label": "Pages" },
    h("a", { class: "brand", href: "#/overview" }, h("img", { src: "icon.svg", alt: "" }), h("span", { id: "cluster" }, "Warren")),
    allowed.map((r) => h("a", { class: "item", href: "#/" + r.name, id: "nav-" + r.name, title: `Key: g ${r.key}` }, r.title, h("span", { class: "count", "data-count": r.count }))),
    h("div", { class: "foot" }, h("div", { id: "pulse" }, badge("connecting", "warn")),
      h("div", { class: "who small muted wrap" }, api.session.user, h("br"), api.session.tags.join(", ")),
      h("div", { class: "row" }, h("button", { class: "b mini", id: "theme", "aria-label": "Change between light and dark", onclick: () => setTheme(dark() ? "light" : "dark") }, "◐"), h("button", { class: "b mini", onclick: api.logout }, "Log out"))));
  fill(document.getElementById("app"), h("div", { class: "shell" }, nav, h("main", { id: "main", tabindex: "-1" })));
}

export function go(hash) { location.hash = hash; }

async function show() {
  const [name, ...params] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const route = routes.find((r) => r.name === name) || routes[0];
  const main = document.getElementById("main");
  document.querySelectorAll("nav.side a.item").forEach((a) => a.removeAttribute("aria-current"));
  document.getElementById("nav-" + (route.under || route.name))?.setAttribute("aria-current", "page");
  document.title = (route.title || params[params.length - 1] || "Warren") + " · Warren";
  const mine = (current = { route, tick: null });
  // A place of its own for each page: one that comes late draws where nobody looks.
  const place = h("div");
  main.replaceChildren(place);
  try {
    const tick = await route.page(place, params, live);
    if (mine === current) current.tick = tick;
  } catch (x) {
    if (x.status === 401 && x.message === "Login failed") return api.logout();
    place.replaceChildren(h("div", { class: "empty" }, h("p", {}, x.message), h("a", { href: "#/overview" }, "Back to the overview")));
  }
}

let ticking = false;
async function tick() {
  if (!current || !current.tick || ticking || document.hidden) return;
  ticking = true;
  const mine = current;
  try { await mine.tick(); } catch (x) { if (mine === current && x.status === 404) toast(x.message, true); }
  ticking = false;
}

function told(name, data) {
  live.lost = false;
  if (name === "events") {
    live.events = [...data.reverse(), ...live.events].slice(0, 500);
    return;
  }
  live.overview = data;
  document.getElementById("cluster").textContent = data.cluster_name;
  document.querySelectorAll("[data-count]").forEach((e) => { e.textContent = n(data.object_totals[e.dataset.count]); });
  fill(document.getElementById("pulse"), data.nodes_missing ? badge(data.nodes_missing.join(", ") + " silent", "warn") : badge("live", "good"));
  tick();
}

let pressed = "";
addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName) || document.querySelector("dialog[open]")) return;
  if (e.key === "/") { const f = document.querySelector("main input[type=search]"); if (f) { e.preventDefault(); f.focus(); } }
  const r = pressed === "g" && routes.find((x) => x.key === e.key);
  if (r) go("#/" + r.name);
  pressed = e.key;
});

async function start() {
  try { await api.who(); } catch (x) { return loginPage(x.status === 401 ? "" : x.message); }
  shell();
  await show();
  api.stream(told, () => { live.lost = true; const p = document.getElementById("pulse"); if (p) fill(p, badge("no answer", "bad")); });
}

const theme = localStorage.getItem("warren.theme");
if (theme) setTheme(theme);
addEventListener("hashchange", () => { if (document.querySelector(".shell")) { show(); document.getElementById("main").focus(); } });
if (api.loggedIn()) start(); else loginPage();
