import {api, chip, color, duration, el, failed, summary} from '/ui/parts.js';

// order returns the spans depth first, children by start, each with its depth and its children. A span whose parent is not
// here is a root; a link to a span of this trace counts as a parent when there is no other.
function order(trace) {
  const nodes = new Map(trace.spans.map(span => [span.spanID, {span, children: [], depth: 0}]));
  const roots = [];
  for (const node of nodes.values()) {
    const refs = [...node.span.references].sort((a, b) => (a.refType === 'CHILD_OF' ? 0 : 1) - (b.refType === 'CHILD_OF' ? 0 : 1));
    const parent = refs.map(r => r.traceID === trace.traceID && nodes.get(r.spanID)).find(n => n && n !== node);
    (parent ? parent.children : roots).push(node);
  }
  const out = [];
  const seen = new Set();
  const walk = (node, depth) => {
    if (seen.has(node)) return;
    seen.add(node);
    node.depth = depth;
    out.push(node);
    node.children.sort((a, b) => a.span.startTime - b.span.startTime).forEach(child => walk(child, depth + 1));
  };
  roots.sort((a, b) => a.span.startTime - b.span.startTime).forEach(node => walk(node, 0));
  nodes.forEach(node => walk(node, 0)); // what a cycle of references left over
  return out;
}

const table = pairs => el('table', {}, ...pairs.map(p => el('tr', {}, el('td', {}, p.key), el('td', {className: 'mono'}, String(p.value)))));

function detail(trace, node, start) {
  const {span} = node;
  const process = trace.processes[span.processID];
  const links = span.references.filter(r => r.refType !== 'CHILD_OF');
  const box = el('div', {className: 'detail', style: {'--c': color(process.serviceName)}},
    el('div', {className: 'facts'}, el('span', {}, 'span ', el('a', {href: '#' + span.spanID, className: 'mono'}, span.spanID)), el('span', {}, 'starts at ', el('b', {}, duration(span.startTime - start))), el('span', {}, 'takes ', el('b', {}, duration(span.duration)))),
    el('h3', {}, 'Tags'), table([...span.tags].sort((a, b) => a.key < b.key ? -1 : 1)));
  if (span.logs.length) {
    box.append(el('h3', {}, 'Events'));
    for (const log of span.logs) box.append(table([{key: '+' + duration(Math.max(0, log.timestamp - span.startTime)), value: (log.fields.find(f => f.key === 'event') || {}).value || ''}, ...log.fields.filter(f => f.key !== 'event')]));
  }
  if (links.length) box.append(el('h3', {}, 'Links'), ...links.map(r => el('div', {}, el('a', {href: '/trace/' + r.traceID, className: 'mono'}, r.traceID + ' / ' + r.spanID))));
  box.append(el('h3', {}, 'Process'), table([{key: 'service.name', value: process.serviceName}, ...process.tags]));
  return box;
}

function row(trace, node, facts, toggle) {
  const {span} = node;
  const service = trace.processes[span.processID].serviceName;
  const total = Math.max(1, facts.duration);
  const left = 100 * (span.startTime - facts.start) / total;
  const width = 100 * span.duration / total;
  const after = left + width < 82;
  const took = after ? {left: `calc(${left + width}% + 4px)`} : left > 18 ? {right: `calc(${100 - left}% + 4px)`} : {left: '4px'};
  const twist = el('button', {className: 'twist', title: 'fold', ariaLabel: 'fold', textContent: node.children.length ? '▾' : '',
    onclick: event => { event.stopPropagation(); toggle(node, twist); }});
  return el('div', {className: 'row', style: {'--c': color(service)}},
    el('div', {className: 'name', style: {'padding-left': `${0.4 + node.depth * 1.1}rem`}, title: `${service}: ${span.operationName}`},
      twist, failed(span) && el('span', {className: 'bad', title: 'error'}, '●'),
      el('span', {className: 'svc'}, service), el('span', {className: 'op'}, span.operationName)),
    el('div', {className: 'lane'},
      el('div', {className: failed(span) ? 'bar bad' : 'bar', style: {left: left + '%', width: width + '%'}}),
      ...span.logs.map(log => el('i', {className: 'event', title: String((log.fields[0] || {}).value), style: {left: 100 * (log.timestamp - facts.start) / total + '%'}})),
      el('span', {className: 'took', style: took}, duration(span.duration))));
}

function ruler(total) {
  return el('div', {className: 'row ruler'}, el('div', {className: 'name'}, 'Service and operation'),
    el('div', {className: 'lane'}, ...[0, 0.25, 0.5, 0.75].map(f => el('span', {className: 'tick', style: {left: 100 * f + '%'}}, duration(Math.round(total * f)))),
      el('span', {className: 'tick', style: {left: '100%'}}, duration(total))));
}

// waterfall is the page of one trace.
export async function waterfall(id) {
  const [trace] = await api('/api/traces/' + encodeURIComponent(id));
  const facts = summary(trace);
  const nodes = order(trace);
  document.title = `${facts.rootService}: ${facts.root.operationName}`;
  const box = el('div', {className: 'waterfall'}, ruler(facts.duration));
  const folded = new Set();
  const refresh = () => {
    let hideBelow = Infinity;
    for (const node of nodes) {
      if (node.depth <= hideBelow) hideBelow = folded.has(node) ? node.depth : Infinity;
      const hidden = node.depth > hideBelow;
      node.row.hidden = hidden;
      node.row.style.display = hidden ? 'none' : '';
      if (node.detail) node.detail.style.display = hidden ? 'none' : '';
    }
  };
  const toggle = (node, twist) => {
    folded.has(node) ? folded.delete(node) : folded.add(node);
    twist.textContent = node.children.length ? (folded.has(node) ? '▸' : '▾') : '';
    refresh();
  };
  for (const node of nodes) {
    node.row = row(trace, node, facts, toggle);
    const open = () => {
      node.detail = detail(trace, node, facts.start);
      node.row.after(node.detail);
    };
    node.row.addEventListener('click', () => {
      if (!node.detail) { open(); return; }
      node.detail.remove();
      node.detail = null;
    });
    box.append(node.row);
    if (location.hash.slice(1) === node.span.spanID) open(); // a link to one span
  }
  const filter = el('input', {placeholder: 'Highlight…', ariaLabel: 'highlight spans', oninput: () => {
    const text = filter.value.toLowerCase();
    for (const node of nodes) node.row.classList.toggle('faded', text !== '' && !JSON.stringify([node.span, trace.processes[node.span.processID].serviceName]).toLowerCase().includes(text));
  }});
  return el('div', {},
    el('div', {className: 'title'}, el('h1', {}, facts.rootService + ': ' + facts.root.operationName), el('code', {className: 'dim'}, trace.traceID),
      el('span', {className: 'right'}, filter, el('a', {className: 'button', href: `/api/traces/${trace.traceID}?download`}, 'Download as Jaeger JSON'))),
    el('div', {className: 'facts'},
      el('span', {}, 'start ', el('b', {}, new Date(facts.start / 1000).toLocaleString())), el('span', {}, 'duration ', el('b', {}, duration(facts.duration))),
      el('span', {}, 'spans ', el('b', {}, String(trace.spans.length))), el('span', {}, 'depth ', el('b', {}, String(Math.max(...nodes.map(n => n.depth)) + 1))),
      facts.errors > 0 && el('span', {className: 'bad'}, facts.errors + ' with errors'), ...[...facts.services].sort().map(([name, n]) => chip(name, n)),
      ...(trace.warnings || []).map(w => el('span', {className: 'bad'}, w))),
    box);
}
