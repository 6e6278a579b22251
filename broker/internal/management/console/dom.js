// Small tools for building the page. Text is always text: nothing is parsed as HTML.

export function h(tag, attrs = {}, ...children) {
  const e = tag.startsWith("svg:") ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4)) : document.createElement(tag);
  for (const [k, v] of Object.entries(attrs)) {
    if (v === undefined || v === null || v === false) continue;
    if (k.startsWith("on")) { e[k] = v; (e.listens ||= []).push(k); }
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

// fill gives e new children. What was there and is alike is kept and brought up to date: so
// the focus, a selection and an open explanation outlive the news. A child that the caller
// goes on using is for an e that was empty.
export function fill(e, ...children) {
  const wanted = document.createDocumentFragment();
  add(wanted, children);
  adapt(e, wanted);
  return e;
}

function adapt(e, wanted) {
  let old = e.firstChild;
  for (const w of [...wanted.childNodes]) {
    const next = old?.nextSibling;
    if (!old) e.append(w);
    else if (old.nodeName === w.nodeName) update(old, w);
    else old.replaceWith(w);
    old = next;
  }
  while (old) {
    const next = old.nextSibling;
    old.remove();
    old = next;
  }
}

function update(old, w) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== w.data) old.data = w.data;
    return;
  }
  // Whether details are open is the reader's.
  for (const a of [...old.attributes]) if (a.name !== "open" && !w.hasAttribute(a.name)) old.removeAttribute(a.name);
  for (const a of w.attributes) if (old.getAttribute(a.name) !== a.value) old.setAttribute(a.name, a.value);
  for (const k of [...(old.listens || []), ...(w.listens || [])]) old[k] = w[k];
  old.listens = w.listens;
  adapt(old, w);
}

// why is the small button that says what a figure means.
let whys = 0;
export function why(text) {
  const id = "why" + ++whys;
  const pop = h("div", { id, popover: "auto", role: "note", ontoggle: place }, text);
  return [h("button", { class: "why", type: "button", popovertarget: id, "aria-label": "What does this mean?" }, "?"), pop];
}

// place puts an explanation below its button. Where it stands is in variables of the page,
// since attributes of what is shown come and go with the news.
function place(ev) {
  if (ev.newState !== "open") return;
  const pop = ev.target, r = pop.previousElementSibling.getBoundingClientRect(), page = document.documentElement.style;
  page.setProperty("--why-left", Math.max(8, Math.min(r.left, innerWidth - 316)) + "px");
  page.setProperty("--why-top", Math.min(r.bottom + 6, innerHeight - pop.offsetHeight - 8) + "px");
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

// table builds a table; columns are {title, cell(row), num, sort, why}.
export function table(columns, rows, { sort, reverse, onsort, label = "table", empty = "Nothing here." } = {}) {
  if (rows.length === 0) return h("div", { class: "empty" }, empty);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, h("table", {},
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
export function ms(v) { return !v ? "–" : v >= 1000 ? (v / 1000).toFixed(1) + " s" : v >= 10 ? Math.round(v) + " ms" : v.toFixed(1) + " ms"; }
export function ago(v) {
  const s = Math.max(0, Math.round((Date.now() - v) / 1000));
  return s < 60 ? s + " s" : s < 3600 ? Math.floor(s / 60) + " min" : s < 86400 ? Math.floor(s / 3600) + " h" : Math.floor(s / 86400) + " d";
}
export function clock(v) { return new Date(v).toLocaleTimeString("en-GB"); }
// when is the time, with the day if it is not today.
export function when(v) { const d = new Date(v); return (d.toDateString() === new Date().toDateString() ? "" : d.toLocaleDateString("en-CA") + " ") + clock(v); }

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
