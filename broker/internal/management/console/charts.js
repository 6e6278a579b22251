// Lines, drawn as SVG.
import { h, n } from "./dom.js";

function path(points, x, y) { return points.map((p, i) => `${i ? "L" : "M"}${x(p).toFixed(1)} ${y(p).toFixed(1)}`).join(""); }

// points returns [time, value] of samples as the API gives them, oldest first.
export function points(details) { return ((details && details.samples) || []).map((s) => [s.timestamp, s.sample]).reverse(); }

// perSecond turns a counter's points into rates.
export function perSecond(ps) {
  const out = [];
  for (let i = 1; i < ps.length; i++) {
    const dt = (ps[i][0] - ps[i - 1][0]) / 1000;
    if (dt > 0) out.push([ps[i][0], Math.max(0, (ps[i][1] - ps[i - 1][1]) / dt)]);
  }
  return out;
}

const shownTime = 120000; // milliseconds

export function spark(ps, label) {
  const w = 110, hgt = 26, t1 = ps.length ? ps[ps.length - 1][0] : 0, t0 = t1 - shownTime;
  ps = ps.filter((p) => p[0] >= t0);
  const max = Math.max(1, ...ps.map((p) => p[1]));
  const x = (p) => ((p[0] - t0) / shownTime) * (w - 2) + 1, y = (p) => hgt - 2 - (p[1] / max) * (hgt - 5);
  const s = h("svg:svg", { class: "spark", viewBox: `0 0 ${w} ${hgt}`, role: "img", "aria-label": label });
  if (ps.length > 1) {
    s.append(h("svg:path", { d: path(ps, x, y) + `L${w - 1} ${hgt}L${x(ps[0]).toFixed(1)} ${hgt}Z`, fill: "var(--s2)", opacity: ".14" }),
      h("svg:path", { d: path(ps, x, y), fill: "none", stroke: "var(--s2)", "stroke-width": "1.6", "stroke-linejoin": "round" }));
  } else {
    s.append(h("svg:path", { d: `M1 ${hgt - 2}L${w - 1} ${hgt - 2}`, stroke: "var(--line)", "stroke-width": "1.6" }));
  }
  return s;
}

function nice(v) {
  const p = 10 ** Math.floor(Math.log10(Math.max(v, 1)));
  return [1, 2, 2.5, 5, 10].map((k) => k * p).find((k) => k >= v) || v;
}

function short(v) { return v >= 1e6 ? +(v / 1e6).toFixed(2) + "M" : v >= 1e3 ? +(v / 1e3).toFixed(2) + "k" : String(+v.toFixed(2)); }

// chart draws series {name, color, points, now} over the last two minutes.
export function chart(series, label) {
  const w = 640, hgt = 148, left = 38, bottom = 18;
  const all = series.flatMap((s) => s.points);
  const t1 = all.length ? Math.max(...all.map((p) => p[0])) : Date.now(), t0 = t1 - shownTime;
  const max = nice(Math.max(1, ...all.map((p) => p[1])));
  const x = (p) => left + ((p[0] - t0) / (t1 - t0)) * (w - left - 4), y = (p) => 6 + (1 - p[1] / max) * (hgt - bottom - 8);
  const s = h("svg:svg", { class: "chart", viewBox: `0 0 ${w} ${hgt}`, role: "img", "aria-label": label });
  for (const v of [0, max / 2, max]) {
    s.append(h("svg:line", { class: "gridline", x1: left, x2: w, y1: y([0, v]), y2: y([0, v]) }), h("svg:text", { class: "axis", x: left - 6, y: y([0, v]) + 3.5, "text-anchor": "end" }, short(v)));
  }
  s.append(h("svg:text", { class: "axis", x: left, y: hgt - 3 }, "2 min ago"), h("svg:text", { class: "axis", x: w - 2, y: hgt - 3, "text-anchor": "end" }, "now"));
  for (const line of series) {
    const ps = line.points.filter((p) => p[0] >= t0);
    if (ps.length > 1) s.append(h("svg:path", { d: path(ps, x, y), fill: "none", stroke: line.color, "stroke-width": "2", "stroke-linejoin": "round" }));
  }
  return [s, h("div", { class: "legend" }, series.map((l) => h("span", {}, h("i", { style: `background:${l.color}` }), l.name, " ", h("b", {}, l.now !== undefined ? l.now : n(0)))))];
}
