import { show, send } from "./picture.js";

const $ = (id) => document.getElementById(id);
const el = (name, props = {}, ...children) => {
  const e = Object.assign(document.createElement(name), props);
  e.append(...children);
  return e;
};
const money = (minor, currency) => new Intl.NumberFormat("en", { style: "currency", currency }).format(minor / 100);
const recentMax = 8;
const final = ["delivered", "returned", "rejected", "cancelled", "expired"];
const endColours = {
  delivered: "--good", returned: "--shipment", rejected: "--bad", cancelled: "--payment", expired: "--accent", shipped: "--product", confirmed: "--wait",
  cancelling: "--quiet", pending: "--quiet",
};

let flows = {};

async function ask(method, path, body) {
  const r = await fetch(path, { method, headers: body ? { "Content-Type": "application/json" } : {}, body: body && JSON.stringify(body) });
  const data = r.status === 204 ? null : await r.json().catch(() => null);
  if (!r.ok) throw new Error(data?.detail || `${r.status} ${r.statusText}`);
  return data;
}

// ---- shop
const basket = new Map();
let products = [];

function showProducts(list) {
  if (JSON.stringify(list) === JSON.stringify(products)) return;
  const same = list.length === products.length;
  products = list;
  if (same) return refreshStock();
  $("products").replaceChildren(...list.map((p) => {
    const count = el("output", { textContent: "0" });
    const step = (d) => {
      const n = Math.max(0, Math.min(99, (basket.get(p.sku) || 0) + d));
      if (n) basket.set(p.sku, n); else basket.delete(p.sku);
      count.textContent = n;
      showTotal();
    };
    const button = (text, label, d) => {
      const b = el("button", { type: "button", textContent: text, onclick: () => step(d) });
      b.setAttribute("aria-label", `${label} ${p.name}`);
      return b;
    };
    const li = el("li", {}, el("span", {}, p.name, el("small")), el("span", { className: "price", textContent: money(p.price, p.currency) }),
      el("span", { className: "stepper" }, button("−", "fewer", -1), count, button("+", "more", 1)));
    li.dataset.sku = p.sku;
    return li;
  }));
  refreshStock();
}

function refreshStock() {
  for (const p of products) {
    const li = document.querySelector(`#products [data-sku="${p.sku}"]`);
    if (!li) continue;
    li.classList.toggle("none", p.available === 0);
    li.querySelector("small").textContent = `${p.available} to sell` + (p.reserved ? `, ${p.reserved} set aside` : "");
  }
}

function showTotal() {
  let sum = 0;
  for (const p of products) sum += (basket.get(p.sku) || 0) * p.price;
  $("total").textContent = basket.size ? money(sum, products[0].currency) : "";
}

$("order").addEventListener("submit", async (ev) => {
  ev.preventDefault();
  $("refused").hidden = true;
  try {
    if (!basket.size) throw new Error("Choose something first: + puts it into the order.");
    const items = [...basket].map(([sku, quantity]) => ({ sku, quantity }));
    const o = await ask("POST", "orders", { customer_id: $("customer").value, currency: products[0].currency, items });
    remember(o.id, o.status);
    choose(o.id);
    basket.clear();
    for (const out of document.querySelectorAll("#products output")) out.textContent = "0";
    showTotal();
  } catch (e) {
    $("refused").textContent = e.message;
    $("refused").hidden = false;
  }
});

// ---- orders
const recent = new Map(); // id to status, the newest last
let chosen = "";
let pinned = false;

function remember(id, status) {
  if (!recent.has(id) && recent.size >= recentMax) {
    const gone = [...recent.keys()].find((k) => k !== chosen);
    recent.delete(gone);
  }
  recent.set(id, status);
  showRecent();
}

function showRecent() {
  $("recent").replaceChildren(...[...recent].reverse().map(([id, status]) => {
    const b = el("button", { type: "button", onclick: () => choose(id) },
      el("span", { className: `status ${status}`, textContent: status }), el("code", { textContent: id.slice(-6) }));
    b.setAttribute("aria-pressed", id === chosen);
    return el("li", {}, b);
  }));
}

async function choose(id) {
  chosen = id;
  pinned = true;
  showRecent();
  await refresh();
}

const kin = (event) => event.replace(/([a-z])([A-Z])/, "$1 $2").split(" ")[0].toLowerCase().replace("stock", "product");
let refreshing = false;
let stale = false;

async function refresh() {
  if (refreshing) { stale = true; return; }
  refreshing = true;
  try {
    do {
      stale = false;
      const id = chosen;
      const [o, line] = await Promise.all([ask("GET", `orders/${id}`), ask("GET", `orders/${id}/timeline`)]);
      if (id === chosen) showOrder(o, line.items);
    } while (stale);
  } catch (e) {
    $("chosen-reason").textContent = e.message;
  } finally {
    refreshing = false;
  }
}

function showOrder(o, lines) {
  $("none").hidden = true;
  $("chosen").hidden = false;
  $("chosen-status").textContent = o.status;
  $("chosen-status").className = `status ${o.status}`;
  $("chosen-what").textContent = `${money(o.total, o.currency)} · ` + o.items.map((i) => `${i.quantity} × ${i.name}`).join(", ");
  $("chosen-reason").textContent = o.reason || "";
  $("chosen-trace").hidden = !o.trace;
  if (o.trace) $("chosen-trace").href = o.trace;
  $("cancel").disabled = final.includes(o.status) || o.status === "shipped" || o.status === "cancelling";
  const begin = lines.length ? new Date(lines[0].at) : 0;
  $("timeline").replaceChildren(...lines.map((l) => {
    const li = el("li", { className: kin(l.event) },
      el("time", { dateTime: l.at, textContent: `+${((new Date(l.at) - begin) / 1000).toFixed(2)} s` }), el("span", { textContent: l.event }),
      el("span", { className: `status ${l.status}`, textContent: l.status }));
    if (l.detail) li.append(el("small", { textContent: l.detail }));
    return li;
  }));
}

$("cancel").addEventListener("click", async () => {
  try {
    await ask("POST", `orders/${chosen}/cancel`);
    await refresh();
  } catch (e) {
    $("chosen-reason").textContent = e.message;
  }
});

// ---- ledger and load
function showLedger(l) {
  for (const k of ["accepted", "ended", "open", "lost", "double"]) $(k).textContent = l[k].toLocaleString("en");
  $("lost").classList.toggle("wrong", l.lost > 0);
  $("double").classList.toggle("wrong", l.double > 0);
  const all = Object.entries(endColours).map(([name, colour]) => [name, l.status?.[name] || 0, `var(${colour})`]).filter(([, n]) => n);
  $("ends").replaceChildren(...all.map(([name, n, colour]) => {
    const bar = el("span", { title: `${name}: ${n}` });
    bar.style.flex = `${n} 1 0`;
    bar.style.background = colour;
    return bar;
  }));
  $("ends-key").replaceChildren(...all.map(([name, n, colour]) => {
    const mark = el("i");
    mark.style.background = colour;
    return el("li", {}, mark, `${name} ${n}`);
  }));
}

const slider = $("rate");
let sliding = 0;
const showRate = (n) => { $("rate-shown").textContent = n > 0 ? `${n} orders/s` : "off"; };
slider.addEventListener("input", () => {
  showRate(Number(slider.value));
  clearTimeout(sliding);
  sliding = setTimeout(() => {
    sliding = 0;
    ask("PUT", "page/load", { rate: Number(slider.value) }).catch((e) => { $("rate-shown").textContent = e.message; });
  }, 150);
});

function showLoad(l) {
  slider.max = l.max;
  if (!sliding && document.activeElement !== slider) slider.value = l.rate;
  if (!sliding) showRate(l.rate);
}

// ---- failures
const cards = new Map();

function card(spec) {
  const e = $("switch").content.cloneNode(true).firstElementChild;
  const c = { e, button: e.querySelector("button"), select: e.querySelector("select"), input: e.querySelector("input"), where: "" };
  e.dataset.kind = spec.kind;
  e.querySelector(".number").textContent = spec.kind.slice(0, 2);
  e.querySelector(".title").textContent = spec.title;
  e.querySelector(".shows").textContent = spec.shows;
  c.select.append(...spec.at.map((a) => el("option", { textContent: a })));
  e.querySelector(".at").hidden = spec.at.length < 2;
  e.querySelector(".value").hidden = !spec.unit;
  e.querySelector(".value span").textContent = spec.unit || "";
  c.input.value = spec.default || "";
  c.input.max = spec.max || "";
  c.button.setAttribute("aria-label", spec.title);
  c.button.addEventListener("click", async () => {
    const on = c.button.getAttribute("aria-checked") === "true";
    const path = `page/failures/${on ? c.where : c.select.value}/${spec.kind}`;
    try {
      await (on ? ask("DELETE", path) : ask("PUT", path, { value: spec.unit ? Number(c.input.value) : 0, seconds: 30 }));
      e.querySelector(".state").textContent = on ? "going off" : "going on";
    } catch (err) {
      e.querySelector(".state").textContent = err.message;
    }
  });
  $("switches").append(e);
  cards.set(spec.kind, c);
  return c;
}

function showFailures(lists) {
  const kinds = new Map();
  for (const l of lists) {
    for (const s of l.items) {
      const k = kinds.get(s.kind) || { spec: s, on: [] };
      if (s.on) k.on.push({ ...s, at: l.at });
      kinds.set(s.kind, k);
    }
  }
  for (const kind of [...kinds.keys()].sort()) {
    const { spec, on } = kinds.get(kind);
    const c = cards.get(kind) || card(spec);
    const was = c.button.getAttribute("aria-checked") === "true";
    c.button.setAttribute("aria-checked", on.length > 0);
    c.button.textContent = on.length ? "on" : "off";
    c.e.classList.toggle("on", on.length > 0);
    c.select.disabled = c.input.disabled = on.length > 0;
    c.where = on[0]?.at || "";
    const state = c.e.querySelector(".state");
    if (on.length) {
      const left = Math.max(0, Math.round((new Date(on[0].until) - Date.now()) / 1000));
      state.textContent = `${on.map((x) => x.at).join(", ")}: ${left} s left, ${on.reduce((n, x) => n + x.hits, 0)} times so far`;
    } else if (was) {
      state.textContent = "";
    }
  }
}

// ---- what comes from the server
function showQueues(queues) {
  $("queues").replaceChildren(...queues.sort((a, b) => b.messages - a.messages).slice(0, 12).map((q) =>
    el("li", { className: q.name.endsWith(".dlq") ? "dlq" : "", textContent: `${q.name} ${q.messages}`, title: `led by ${q.leader}` })));
}

const source = new EventSource("page/events");
source.addEventListener("open", () => { $("live").textContent = "live"; $("live").className = "on"; });
source.addEventListener("error", () => { $("live").textContent = "reconnecting"; $("live").className = ""; });
source.addEventListener("snapshot", (ev) => {
  const s = JSON.parse(ev.data);
  flows = s.flows;
  show(s);
  showLedger(s.ledger);
  showLoad(s.load);
  showQueues(s.queues || []);
  showFailures(s.failures || []);
  if (s.products) showProducts(s.products);
  for (const k of ["traces", "console"]) {
    $(k).hidden = !s.links[k];
    if (s.links[k]) $(k).href = s.links[k];
  }
});
source.addEventListener("news", (ev) => {
  for (const n of JSON.parse(ev.data)) {
    if (flows[n.event]) send(flows[n.event]);
    remember(n.order, n.status);
    if (!pinned && !chosen) { chosen = n.order; }
    if (n.order === chosen) refresh();
  }
});

ask("GET", "orders?limit=8").then((page) => {
  for (const o of page.items.reverse()) remember(o.id, o.status);
  const newest = [...recent.keys()].pop();
  if (newest && !chosen) { chosen = newest; showRecent(); refresh(); }
}).catch(() => {});
