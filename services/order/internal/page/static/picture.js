// The picture: four services around the cluster, and a dot for each message on its way.
const NS = "http://www.w3.org/2000/svg";
const places = { order: [120, 85], payment: [780, 85], shipment: [120, 315], product: [780, 315] };
const brokerAt = (i) => [370 + i * 80, 200];
const centre = [450, 200];
const travelTime = 650; // ms for half the way
const dotsMax = 90;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const svg = document.getElementById("picture");
let dots = [];
let brokers = [];
let frame = 0;

function make(name, attributes, parent, text) {
  const e = document.createElementNS(NS, name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  if (text) e.textContent = text;
  parent.append(e);
  return e;
}

for (const [x, y] of Object.values(places)) make("path", { class: "wire", d: `M${x},${y} L${centre}` }, svg);
make("rect", { class: "box", x: 320, y: 140, width: 260, height: 120, rx: 16 }, svg);
make("text", { x: 450, y: 128, class: "small" }, svg, "cluster");
const nodes = make("g", {}, svg);
const layer = make("g", {}, svg);
const services = {};
for (const [name, [x, y]] of Object.entries(places)) {
  const g = make("g", { class: `service ${name}` }, svg);
  make("rect", { class: "box", x: x - 82, y: y - 36, width: 164, height: 72, rx: 14 }, g);
  make("text", { x, y: y - 1 }, g, name);
  services[name] = { g, state: make("text", { x, y: y + 21, class: "small" }, g, "") };
}

// show draws what a snapshot says of services and brokers.
export function show(snapshot) {
  for (const s of snapshot.services) {
    services[s.name].g.classList.toggle("off", !s.ready);
    services[s.name].state.textContent = s.ready ? "ready" : "not ready";
  }
  brokers = snapshot.brokers || [];
  nodes.replaceChildren();
  brokers.forEach((b, i) => {
    const [x, y] = brokerAt(i);
    const g = make("g", { class: b.running ? (b.alarm ? "alarm" : "") : "off" }, nodes);
    make("circle", { class: "box", cx: x, cy: y, r: 30 }, g);
    make("text", { x, y: y + 6 }, g, b.name.replace(/^\D+/, ""));
    make("text", { x, y: y + 48, class: "small" }, g, b.running ? (b.alarm ? "alarm" : "up") : "down");
  });
}

// send lets an event travel from who tells it to all who hear it.
export function send(flow) {
  if (calm.matches || document.hidden || dots.length > dotsMax || !places[flow.from]) return;
  const up = brokers.map((b, i) => [b, i]).filter(([b]) => b.running);
  const via = up.length ? brokerAt(up[Math.floor(Math.random() * up.length)][1]) : centre;
  const now = performance.now();
  dots.push(dot(flow.from, places[flow.from], via, now));
  for (const to of flow.to || []) if (places[to]) dots.push(dot(flow.from, via, places[to], now + travelTime));
  if (!frame) frame = requestAnimationFrame(move);
}

function dot(name, from, to, begin) {
  return { from, to, begin, e: make("circle", { class: `dot ${name}`, r: 6, visibility: "hidden" }, layer) };
}

function move(now) {
  dots = dots.filter((d) => {
    const t = (now - d.begin) / travelTime;
    if (t >= 1) { d.e.remove(); return false; }
    if (t >= 0) {
      const s = t * t * (3 - 2 * t);
      d.e.setAttribute("cx", d.from[0] + (d.to[0] - d.from[0]) * s);
      d.e.setAttribute("cy", d.from[1] + (d.to[1] - d.from[1]) * s);
      d.e.setAttribute("visibility", "visible");
    }
    return true;
  });
  frame = dots.length ? requestAnimationFrame(move) : 0;
}
