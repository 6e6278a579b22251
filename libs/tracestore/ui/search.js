import {ago, api, chip, duration, el, summary} from '/ui/parts.js';

const option = (value, text, chosen) => el('option', {value, selected: value === chosen}, text);

// tagsOf reads `key=value key2="two words"`.
function tagsOf(text) {
  const tags = {};
  for (const [, key, quoted, bare] of text.matchAll(/([^\s=]+)=(?:"([^"]*)"|(\S*))/g)) tags[key] = quoted ?? bare;
  return tags;
}

function card(trace, longest) {
  const s = summary(trace);
  return el('a', {className: 'card', href: '/trace/' + trace.traceID},
    el('div', {className: 'top'},
      el('span', {className: 'fill', style: {width: (100 * s.duration / longest) + '%'}}),
      el('span', {}, el('b', {}, s.rootService), ' ' + s.root.operationName + ' ', el('code', {className: 'dim'}, trace.traceID.slice(0, 7))),
      el('b', {}, duration(s.duration))),
    el('div', {className: 'bottom'},
      el('span', {}, trace.spans.length + (trace.spans.length === 1 ? ' span' : ' spans')),
      s.errors > 0 && el('span', {className: 'bad'}, s.errors + (s.errors === 1 ? ' error' : ' errors')),
      ...[...s.services].sort().map(([name, n]) => chip(name, n)),
      el('span', {className: 'dim when', title: new Date(s.start / 1000).toISOString()}, new Date(s.start / 1000).toLocaleTimeString() + ' · ' + ago(s.start))));
}

async function results(params) {
  const query = new URLSearchParams();
  for (const key of ['service', 'operation', 'limit', 'lookback', 'minDuration', 'maxDuration']) if (params.get(key)) query.set(key, params.get(key));
  if (params.get('tags')) query.set('tags', JSON.stringify(tagsOf(params.get('tags'))));
  const traces = await api('/api/traces?' + query);
  if (!traces.length) return el('div', {className: 'empty'}, 'No trace matches. Spans arrive here over OTLP, ports 4317 (gRPC) and 4318 (HTTP).');
  const longest = Math.max(1, ...traces.map(t => summary(t).duration));
  return el('div', {}, ...traces.map(t => card(t, longest)));
}

// search is the start page. Its state is the address, so that a search can be sent to somebody.
export async function search() {
  document.title = 'Traces';
  const params = new URLSearchParams(location.search);
  if (!params.has('lookback')) params.set('lookback', '1h');
  const services = await api('/api/services');
  const service = params.get('service') || '';
  const operations = service ? await api(`/api/services/${encodeURIComponent(service)}/operations`) : [];
  const form = el('form', {action: '/search'},
    el('label', {}, 'Service', el('select', {name: 'service', onchange: () => { form.elements.operation.value = ''; form.requestSubmit(); }},
      option('', 'all', service), ...services.map(s => option(s, s, service)))),
    el('label', {}, 'Operation', el('select', {name: 'operation', disabled: !service},
      option('', 'all', params.get('operation') || ''), ...operations.map(o => option(o, o, params.get('operation'))))),
    el('label', {}, 'Tags', el('input', {name: 'tags', placeholder: 'error=true order.id=…', value: params.get('tags') || '', spellcheck: false})),
    el('div', {className: 'two'},
      el('label', {}, 'Longer than', el('input', {name: 'minDuration', placeholder: '100ms', value: params.get('minDuration') || ''})),
      el('label', {}, 'Shorter than', el('input', {name: 'maxDuration', placeholder: '2s', value: params.get('maxDuration') || ''}))),
    el('div', {className: 'two'},
      el('label', {}, 'Last', el('select', {name: 'lookback'}, ...['5m', '15m', '1h', '6h', '24h', '7d'].map(v => option(v, v, params.get('lookback'))))),
      el('label', {}, 'Limit', el('select', {name: 'limit'}, ...['20', '50', '200', '1000'].map(v => option(v, v, params.get('limit') || '20'))))),
    el('button', {className: 'primary'}, 'Find traces'));
  const list = await results(params).catch(error => el('div', {className: 'empty bad'}, error.message));
  return el('div', {className: 'search'}, form, list);
}
