// Small tools for building the page. Text is always text: nothing is parsed as HTML.

export function h(tag, attrs = {}, ...children) {
  const e = tag.startsWith("svg:") ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4)) : document.createElement(tag);
  for (const [k, v] of Object.entries(attrs)) {
    if (v === undefined || v === null || v === false) continue;
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (k === "value") e.value = v;
    else e.setAttribute(k, v === true ? "" : v);
  }
  add(e, children);
  return e;
}

function add(e, children) {
  for (const c of children) {
    if (Array.isArray(c)) add(e, c);
    else if (c !== undefined && c !== null && c !== false) e.append(c);
  }
}

export function fill(e, ...children) {
  e.replaceChildren();
  add(e, children);
  return e;
}

// why is the small button that says what a figure means.
let whys = 0;
export function why(text) {
  const id = "why" + ++whys;
  const pop = h("div", { id, popover: "auto", role: "note" }, text);
  const b = h("button", { class: "why", type: "button", popovertarget: id, "aria-label": "What does this mean?" }, "?");
  pop.addEventListener("toggle", (ev) => {
    if (ev.newState !== "open") return;
    const r = b.getBoundingClientRect();
    pop.style.left = Math.max(8, Math.min(r.left, innerWidth - 316)) + "px";
    pop.style.top = Math.min(r.bottom + 6, innerHeight - pop.offsetHeight - 8) + "px";
  });
  return [b, pop];
}

export function figure(label, value, unit, text, sub) {
  return h("div", { class: "figure" }, h("div", { class: "label" }, label, text && why(text)),
    h("div", { class: "value" }, value, unit && h("span", { class: "unit" }, unit)), sub && h("div", { class: "sub" }, sub));
}

export function badge(text, kind = "", plain = false) { return h("span", { class: `badge ${kind} ${plain ? "plain" : ""}` }, text); }

export function meter(label, share, text, explain) {
  const p = Math.max(0, Math.min(100, share * 100 || 0));
  return h("div", { class: "meter " + (p > 90 ? "bad" : p > 70 ? "warn" : "") },
    h("div", { class: "text" }, h("span", {}, label, explain && [" ", why(explain)]), h("span", {}, text)),
    h("div", { class: "bar", role: "img", "aria-label": `${label}: ${Math.round(p)} percent` }, h("i", { style: `width:${p}%` })));
}

export function card(cls, title, explain, ...children) {
  return h("section", { class: "card " + cls }, title && h("h2", {}, title, explain && why(explain)), children);
}

// table builds a table; columns are {title, cell(row), num, sort}.
export function table(columns, rows, { sort, reverse, onsort, empty = "Nothing here." } = {}) {
  if (rows.length === 0) return h("div", { class: "empty" }, empty);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "table" }, h("table", {},
    h("thead", {}, h("tr", {}, columns.map((c) => h("th", { class: c.num && "num", scope: "col" }, h("span", { class: "th" }, c.sort && onsort
      ? h("button", { "aria-pressed": String(sort === c.sort), onclick: () => onsort(c.sort) }, c.title, sort === c.sort ? (reverse ? " ↓" : " ↑") : "") : c.title,
      c.why && why(c.why)))))),
    h("tbody", {}, rows.map((r) => h("tr", {}, columns.map((c) => h("td", { class: c.num && "num" }, c.cell(r))))))));
}

export function pairs(object) {
  return h("dl", {}, Object.entries(object).filter(([, v]) => v !== undefined && v !== null && v !== "").map(([k, v]) => [h("dt", {}, k), h("dd", {}, v)]));
}

// Numbers for people.
export function n(v) { return v === undefined || v === null ? "–" : Number(v).toLocaleString("en-US"); }
export function rate(v) { v = v || 0; return v >= 100 ? n(Math.round(v)) : v === 0 ? "0" : v.toFixed(1); }
export function bytes(v) {
  if (v === undefined || v === null) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (v >= 1024 && i < 4) { v /= 1024; i++; }
  return `${v >= 100 || i === 0 ? Math.round(v) : v.toFixed(1)} ${units[i]}`;
}
export function ms(v) { v = v || 0; return v >= 1000 ? (v / 1000).toFixed(1) + " s" : v >= 10 ? Math.round(v) + " ms" : v.toFixed(1) + " ms"; }
export function ago(v) {
  const s = Math.max(0, Math.round((Date.now() - v) / 1000));
  return s < 60 ? s + " s" : s < 3600 ? Math.floor(s / 60) + " min" : s < 86400 ? Math.floor(s / 3600) + " h" : Math.floor(s / 86400) + " d";
}
export function clock(v) { return new Date(v).toLocaleTimeString("en-GB"); }

export function toast(text, bad) {
  const t = h("div", { class: "toast " + (bad ? "bad" : ""), role: bad ? "alert" : "status" }, text);
  document.body.append(t);
  setTimeout(() => t.remove(), bad ? 8000 : 3500);
}

// ask asks once before something is changed.
export function ask(title, text, verb) {
  return new Promise((done) => {
    const d = h("dialog", { "aria-labelledby": "ask-title" }, h("h1", { id: "ask-title" }, title), h("p", {}, text),
      h("p", { class: "muted small" }, "It is written to the audit log, with your name."),
      h("form", { method: "dialog", class: "row", style: "justify-content:flex-end" },
        h("button", { class: "b", value: "no" }, "Cancel"), h("button", { class: "b main", value: "yes", id: "ask-yes" }, verb)));
    d.addEventListener("close", () => { done(d.returnValue === "yes"); d.remove(); });
    document.body.append(d);
    d.showModal();
  });
}

export function field(label, input) { return h("label", { class: "field" }, label, input); }
