import {search} from '/ui/search.js';
import {waterfall} from '/ui/waterfall.js';
import {api, el, chip} from '/ui/parts.js';

const main = document.getElementById('main');

document.getElementById('jump').addEventListener('submit', event => {
  event.preventDefault();
  const id = event.target.elements.id.value.trim();
  if (id) location.href = '/trace/' + encodeURIComponent(id);
});

async function dependencies() {
  document.title = 'Services';
  const edges = await api('/api/dependencies');
  if (!edges.length) return el('div', {className: 'empty'}, 'No service has called another yet.');
  return el('table', {className: 'deps'},
    el('tr', {}, el('th', {}, 'from'), el('th', {}, 'to'), el('th', {}, 'calls')),
    ...edges.map(e => el('tr', {}, el('td', {}, chip(e.parent)), el('td', {}, chip(e.child)), el('td', {}, String(e.callCount)))));
}

const path = location.pathname;
const view = path.startsWith('/trace/') ? waterfall(decodeURIComponent(path.slice(7))) : path === '/dependencies' ? dependencies() : search();
view.then(node => main.replaceChildren(node), error => main.replaceChildren(el('div', {className: 'empty bad'}, error.message)));
