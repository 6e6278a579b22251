// Small parts that both views use. Text always goes through text nodes, never through markup.

export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key === 'style') for (const [name, v] of Object.entries(value)) node.style.setProperty(name, v);
    else node[key] = value;
  }
  node.append(...children.filter(child => child !== null && child !== undefined && child !== false));
  return node;
}

export async function api(path) {
  const response = await fetch(path);
  const body = await response.json();
  if (body.errors) throw new Error(body.errors.map(e => e.msg).join(', '));
  return body.data;
}

const hues = [212, 32, 142, 275, 325, 180, 50, 310, 95, 235, 160, 300]; // no red: that is for errors
const known = new Map();

const apart = (a, b) => Math.min(Math.abs(a - b), 360 - Math.abs(a - b));

// color is stable for a service within a page: its name's hash chooses among the hues that are far from all in use.
export function color(service) {
  if (!known.has(service)) {
    let hash = 0;
    for (const c of service) hash = (hash * 31 + c.codePointAt(0)) >>> 0;
    const distance = hue => Math.min(360, ...[...known.values()].map(other => apart(hue, other)));
    const best = Math.max(...hues.map(distance));
    const far = hues.filter(hue => distance(hue) >= Math.min(best, 50));
    known.set(service, far[hash % far.length]);
  }
  return `hsl(${known.get(service)} 60% 52%)`;
}

export const chip = (service, count) => el('span', {className: 'chip', style: {'--c': color(service)}}, count ? `${service} (${count})` : service);

// duration writes microseconds for people.
export function duration(us) {
  if (us < 1000) return us + 'µs';
  if (us < 1e6) return +(us / 1000).toPrecision(3) + 'ms';
  if (us < 6e7) return +(us / 1e6).toPrecision(3) + 's';
  return Math.floor(us / 6e7) + 'm ' + Math.round(us % 6e7 / 1e6) + 's';
}

export function ago(us) {
  const s = Math.max(0, Math.round((Date.now() - us / 1000) / 1000));
  if (s < 60) return s + ' s ago';
  if (s < 3600) return Math.floor(s / 60) + ' min ago';
  if (s < 86400) return Math.floor(s / 3600) + ' h ago';
  return Math.floor(s / 86400) + ' d ago';
}

export const tag = (span, key) => (span.tags.find(t => t.key === key) || {}).value;
export const failed = span => tag(span, 'error') === true || tag(span, 'error') === 'true';

// summary is what both views tell about a trace.
export function summary(trace) {
  const ids = new Set(trace.spans.map(s => s.spanID));
  const start = Math.min(...trace.spans.map(s => s.startTime));
  const end = Math.max(...trace.spans.map(s => s.startTime + s.duration));
  const root = trace.spans.find(s => !s.references.some(r => ids.has(r.spanID))) || trace.spans[0];
  const services = new Map();
  for (const s of trace.spans) {
    const name = trace.processes[s.processID].serviceName;
    services.set(name, (services.get(name) || 0) + 1);
  }
  return {start, end, root, services, duration: end - start, errors: trace.spans.filter(failed).length,
    rootService: trace.processes[root.processID].serviceName};
}
