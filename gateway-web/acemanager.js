// What is nicer with a script: marks on changed fields, a warning before they are lost, values that refresh
// themselves, times in the reader's zone. Nothing needs it.
'use strict';

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

function localTimes(root) {
  const now = new Date();
  for (const at of root.querySelectorAll('time[datetime]')) {
    const then = new Date(at.dateTime);
    if (isNaN(then)) continue;
    const clock = then.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
    const day = then.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' });
    const year = then.getFullYear();
    at.title = then.toISOString().replace('T', ' ').slice(0, 19) + ' UTC';
    if (then.toDateString() === now.toDateString()) at.textContent = clock;
    else if (year === now.getFullYear()) at.textContent = day + ' ' + clock;
    else at.textContent = year + '-' + String(then.getMonth() + 1).padStart(2, '0') + '-' + String(then.getDate()).padStart(2, '0');
  }
}

function zoneNote() {
  const note = document.getElementById('zone');
  if (note && zone) note.textContent = zone === 'UTC' ? 'Times are UTC.' : 'Times are in your zone, ' + zone + '.';
}

// ---- changes that are not applied ----

const form = document.getElementById('settings');
let leaving = false;

function fields() {
  return form ? [...form.querySelectorAll('[data-stored]')] : [];
}

function isChanged(field) {
  return field.value !== field.dataset.stored;
}

function mark() {
  const n = fields().filter((field) => {
    (field.closest('.field') || field).classList.toggle('changed', isChanged(field));
    return isChanged(field);
  }).length;
  const words = n === 0 ? '' : n === 1 ? '1 change not applied' : n + ' changes not applied';
  const note = document.getElementById('unsaved');
  if (note && note.textContent !== words) note.textContent = words;
  return n;
}

function watchForm() {
  if (!form) return;
  form.addEventListener('input', mark);
  form.addEventListener('submit', () => { leaving = true; });
  form.addEventListener('reset', (event) => {
    // A form that came back with refused values resets to what is stored, not to what was typed.
    event.preventDefault();
    for (const field of fields()) field.value = field.dataset.stored;
    mark();
  });
  document.getElementById('refresh').addEventListener('click', () => { leaving = true; });
  addEventListener('beforeunload', (event) => { if (!leaving && mark() > 0) event.preventDefault(); });
  addEventListener('pageshow', () => { leaving = false; mark(); });
}

// ---- values that refresh themselves ----

const policy = window.trustedTypes ? trustedTypes.createPolicy('acemanager', { createHTML: (text) => text })
                                   : { createHTML: (text) => text };

// The page is asked for again and its live parts take the place of the old ones. The text comes from the
// gateway, which escapes all values; a document made by DOMParser runs no scripts.
async function refresh() {
  const answer = await fetch(location.pathname, { headers: { 'X-Refresh': '1' }, redirect: 'manual', cache: 'no-store' });
  if (!answer.ok) return false;
  const page = new DOMParser().parseFromString(policy.createHTML(await answer.text()), 'text/html');
  localTimes(page);
  for (const part of document.querySelectorAll('[data-live]')) {
    const fresh = page.getElementById(part.id);
    if (fresh && !part.contains(document.activeElement)) part.replaceChildren(...fresh.childNodes);
  }
  return true;
}

function watchValues() {
  const seconds = Number(document.body.dataset.refresh);
  if (!(seconds > 0)) return;
  const strip = document.getElementById('strip');
  setInterval(async () => {
    if (document.hidden) return;
    let fresh = false;
    try { fresh = await refresh(); } catch { /* the gateway may be away for a while */ }
    strip.classList.toggle('old', !fresh);
    strip.title = fresh ? '' : 'May be old: the gateway did not answer.';
  }, seconds * 1000);
}

// ---- after a reboot: back as soon as the gateway answers ----

function waitForGateway() {
  const link = document.getElementById('back');
  if (!link) return;
  const again = async () => {
    try {
      await fetch('/login', { method: 'HEAD', cache: 'no-store' });
      location.assign(link.href);
    } catch { setTimeout(again, 2000); }
  };
  setTimeout(again, Number(link.dataset.wait) * 1000);
}

localTimes(document);
zoneNote();
watchForm();
watchValues();
waitForGateway();
