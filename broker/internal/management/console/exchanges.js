// Exchanges: what leads where, and where a message would go.
import { h, fill, badge, card, table, pairs, n, rate, ask, toast, field, why } from "./dom.js";
import { list } from "./list.js";
import * as api from "./api.js";

const { seg } = api;
const apiName = (x) => seg(x || "amq.default");
const link = (x) => `#/exchange/${seg(x.vhost)}/${apiName(x.name)}`;
const r = (x, k) => ((x.message_stats || {})[k + "_details"] || {}).rate || 0;

// How much of an exchange is drawn, and listed below.
const shown = 60, listed = 200;

export async function exchanges(main) {
  const l = list({
    path: "/exchanges", label: "exchanges",
    columns: [
      { title: "Name", sort: "name", cell: (x) => h("div", {}, h("a", { class: "name", href: link(x) }, x.name || "default exchange"), h("div", { class: "small muted" }, [x.vhost, x.policy && "policy " + x.policy].filter(Boolean).join(" · "))) },
      { title: "Type", sort: "type", cell: (x) => badge(x.type, "", true), why: "direct: the key is equal. topic: words with * and #. fanout: everything. headers: the headers match." },
      { title: "", cell: (x) => [x.internal && badge("internal", "", true), x.auto_delete && badge("auto-delete", "", true), !x.durable && badge("not durable", "", true)] },
      { title: "In /s", sort: "message_stats.publish_in_details.rate", num: true, cell: (x) => rate(r(x, "publish_in")), why: "Messages published to it." },
      { title: "Out /s", sort: "message_stats.publish_out_details.rate", num: true, cell: (x) => rate(r(x, "publish_out")), why: "How many queues they went to. Less than in: some went nowhere." },
      { title: "Published", sort: "message_stats.publish_in", num: true, cell: (x) => n((x.message_stats || {}).publish_in || 0) }],
  });
  fill(main, h("div", { class: "head" }, h("h1", {}, "Exchanges"), l.search), h("div", { class: "card" }, l.element));
  await l.tick();
  return l.tick;
}

export async function exchange(main, [vhost, given]) {
  const name = given === "amq.default" ? "" : given;
  const path = `/exchanges/${seg(vhost)}/${apiName(name)}`;
  const head = h("div", { class: "head" }), picture = h("div"), leads = h("div"), settings = h("div");
  let hits = new Set();
  let all = [];
  const key = h("input", { placeholder: "order.placed", id: "route-key" }), heads = h("input", { placeholder: '{"type": "big"}' }), answer = h("div", { class: "row", role: "status", style: "margin-top:.7rem" });
  const body = h("textarea", { rows: 2, placeholder: "Payload, to publish it for real", "aria-label": "Payload" });
  const message = () => ({ properties: heads.value ? { headers: JSON.parse(heads.value) } : {}, routing_key: key.value, payload: body.value, payload_encoding: "string" });
  const test = async (e) => {
    e?.preventDefault();
    try {
      const v = await api.post(path + "/routes", message());
      hits = new Set(v.queues);
      fill(answer, v.queues.length ? ["It goes to", v.queues.map((q) => h("a", { href: `#/queue/${seg(vhost)}/${seg(q)}` }, badge(q, "good")))] : badge("It goes nowhere: it would be returned or dropped.", "bad"));
      draw();
    } catch (x) { toast(x.message, true); }
  };
  const publish = async () => {
    if (!await ask("Publish this message?", `It goes to ${name || "the default exchange"} with routing key ${key.value || "(none)"}, and consumers get it.`, "Publish")) return;
    try { const v = await api.post(path + "/publish", message()); toast(v.routed ? "Published" : "Published, and it went nowhere", !v.routed); } catch (x) { toast(x.message, true); }
  };
  fill(main, head, h("section", { class: "card", style: "margin-bottom:1rem" }, h("h2", {}, "Bindings", why("From left to right: this exchange, what is bound to it, and with what key. Exchanges that are bound lead on.")), picture),
    h("section", { class: "card", style: "margin-bottom:1rem" }, h("h2", {}, "Where would this message go?", why("The node routes the message as it would a published one, alternate exchanges included, and sends nothing.")),
      h("form", { class: "form", onsubmit: test }, field("Routing key", key), field("Headers (JSON)", heads), h("button", { class: "b main", id: "route" }, "Try"), h("button", { class: "b", type: "button", onclick: publish }, "Publish it")), h("div", { style: "margin-top:.7rem" }, body), answer),
    h("div", { class: "grid" }, card("c8", "Leads to", "", leads, name && bind(vhost, name, () => tick())), card("c4", "Settings", "", settings)));
  const draw = () => fill(picture, graph(vhost, name, all, hits));
  const remove = async () => {
    if (!await ask(`Delete ${name}?`, "Its bindings go with it; what is published to it from then on is an error.", "Delete")) return;
    try { await api.del(path); toast("Deleted"); location.hash = "#/exchanges"; } catch (x) { toast(x.message, true); }
  };
  let drawn = "";
  const tick = async () => {
    const [x, bs] = await Promise.all([api.get(path), api.get(`/bindings/${seg(vhost)}`)]);
    all = bs;
    const seen = JSON.stringify(bs);
    if (seen !== drawn) { drawn = seen; draw(); }
    fill(head, h("div", {}, h("div", { class: "crumb" }, h("a", { href: "#/exchanges" }, "Exchanges"), " in virtual host ", h("b", {}, vhost)), h("h1", {}, name || "default exchange"),
      h("div", { class: "row", style: "margin-top:.4rem" }, badge(x.type, "", true), x.internal && badge("internal", "", true), x.durable && badge("durable", "", true))),
      name && !name.startsWith("amq.") && h("button", { class: "b bad", id: "delete", onclick: remove }, "Delete"));
    const unbind = (b) => async () => {
      if (!await ask("Remove this binding?", `${b.source} no longer leads to ${b.destination} with key ${b.routing_key || "(none)"}.`, "Remove")) return;
      try { await api.del(`/bindings/${seg(vhost)}/e/${apiName(b.source)}/${b.destination_type[0]}/${seg(b.destination)}/${seg(b.properties_key)}`); toast("Removed"); tick(); } catch (e) { toast(e.message, true); }
    };
    const mine = bs.filter((b) => b.source === name);
    fill(leads, table([
      { title: "To", cell: (b) => h("a", { href: `#/${b.destination_type}/${seg(vhost)}/${seg(b.destination)}` }, b.destination) }, { title: "", cell: (b) => badge(b.destination_type, "", true) }, { title: "Routing key", cell: (b) => h("code", {}, b.routing_key || "–") },
      { title: "Arguments", cell: (b) => Object.keys(b.arguments).length ? h("code", {}, JSON.stringify(b.arguments)) : "" }, { title: "", num: true, cell: (b) => name && h("button", { class: "b mini bad", onclick: unbind(b) }, "Remove") }], mine.slice(0, listed), { label: "bindings", empty: "Nothing is bound to it: what is published goes nowhere." }), mine.length > listed && h("p", { class: "muted small", style: "margin:1.3rem 0 0" }, `and ${n(mine.length - listed)} more`));
    fill(settings, pairs({ Published: n((x.message_stats || {}).publish_in || 0), "To queues": n((x.message_stats || {}).publish_out || 0), Arguments: Object.keys(x.arguments).length ? h("code", {}, JSON.stringify(x.arguments)) : "none", Policy: x.policy || "none", "Auto-delete": x.auto_delete ? "yes" : "no" }));
  };
  await tick();
  return tick;
}

function bind(vhost, name, done) {
  const to = h("input", { required: true }), kind = h("select", {}, h("option", { value: "q" }, "queue"), h("option", { value: "e" }, "exchange")), key = h("input");
  return h("form", { class: "form", id: "bind-form", style: "margin-top:1.4rem", onsubmit: async (e) => {
    e.preventDefault();
    if (!await ask(`Bind ${to.value}?`, `It gets what is published to ${name} with key ${key.value || "(none)"}.`, "Bind")) return;
    try { await api.post(`/bindings/${seg(vhost)}/e/${seg(name)}/${kind.value}/${seg(to.value)}`, { routing_key: key.value }); toast("Bound"); to.value = ""; done(); } catch (x) { toast(x.message, true); }
  } }, field("Bind to", to), field("Which is a", kind), field("With routing key", key), h("button", { class: "b" }, "Bind"));
}

// graph draws what leads from an exchange: columns by distance, edges with their keys.
function graph(vhost, name, all, hits) {
  const nodes = new Map(), edges = [];
  const put = (id, title, isExchange, depth) => { if (!nodes.has(id)) nodes.set(id, { id, title, isExchange, depth }); return nodes.get(id); };
  const walk = [put("e:" + name, name || "default exchange", true, 0)];
  while (walk.length) {
    const from = walk.shift();
    for (const b of all.filter((x) => "e:" + x.source === from.id)) {
      if (nodes.size > shown) break;
      const id = b.destination_type[0] + ":" + b.destination, known = nodes.has(id);
      const to = put(id, b.destination, b.destination_type === "exchange", from.depth + 1);
      edges.push({ from, to, key: b.routing_key || (Object.keys(b.arguments).length ? "headers" : "") });
      if (!known && to.isExchange) walk.push(to);
    }
  }
  if (!edges.length) return h("p", { class: "muted" }, "Nothing is bound to this exchange.");
  const columns = [];
  for (const x of nodes.values()) (columns[x.depth] ||= []).push(x);
  const w = 200, gap = 190, step = 50, height = Math.max(...columns.map((c) => c.length)) * step + 16, width = columns.length * (w + gap) - gap + 8;
  columns.forEach((c, i) => c.forEach((x, j) => { x.x = 4 + i * (w + gap); x.y = (height - c.length * step) / 2 + j * step + 6; }));
  // What leads to a hit is drawn as one.
  const hit = new Set([...nodes.values()].filter((x) => !x.isExchange && hits.has(x.title)).map((x) => x.id));
  for (let grew = true; grew; ) {
    grew = false;
    for (const e of edges) if (hit.has(e.to.id) && e.from.depth < e.to.depth && e.from.isExchange && !hit.has(e.from.id)) { hit.add(e.from.id); grew = true; }
  }
  const svg = h("svg:svg", { class: "graph", viewBox: `0 0 ${width} ${height}`, style: `max-width:${width}px`, role: "img", "aria-label": `Bindings of ${name || "the default exchange"}: ${edges.map((e) => `${e.from.title} to ${e.to.title} with ${e.key || "no key"}`).join(", ")}` });
  const labels = [];
  edges.forEach((e) => {
    const x1 = e.from.x + w, y1 = e.from.y + 18, x2 = e.to.x, y2 = e.to.y + 18, m = (x1 + x2) / 2;
    svg.append(h("svg:path", { d: `M${x1} ${y1}C${m} ${y1} ${m} ${y2} ${x2} ${y2}`, class: hits.size && hit.has(e.to.id) && hit.has(e.from.id) ? "hit" : "" }));
    if (e.key && name !== "") labels.push(h("svg:text", { class: "key halo", x: x1 + (x2 - x1) * 0.62, y: y1 + (y2 - y1) * 0.68 + 4, "text-anchor": "middle" }, e.key.length > 24 ? e.key.slice(0, 23) + "…" : e.key));
  });
  labels.forEach((l) => svg.append(l));
  for (const x of nodes.values()) {
    svg.append(h("svg:a", { href: x.isExchange ? `#/exchange/${seg(vhost)}/${seg(x.title === "default exchange" ? "amq.default" : x.title)}` : `#/queue/${seg(vhost)}/${seg(x.title)}` },
      h("svg:g", { class: (x.isExchange ? "x " : "") + (hits.size && hit.has(x.id) ? "hit" : "") }, h("svg:rect", { x: x.x, y: x.y, width: w, height: 36, rx: x.isExchange ? 18 : 8 }), h("svg:text", { x: x.x + w / 2, y: x.y + 23, "text-anchor": "middle" }, x.title.length > 25 ? x.title.slice(0, 24) + "…" : x.title))));
  }
  return h("div", { class: "scroll", style: "margin-bottom:0", tabindex: "0", role: "region", "aria-label": "Binding graph" }, svg, nodes.size > shown && h("p", { class: "muted small" }, `Only the first ${shown} are drawn.`));
}
