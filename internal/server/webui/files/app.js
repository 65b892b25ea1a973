// The page: a wall of latest pictures, a player for any span, and what is recorded. All state comes from the API.
const api = '/api/v1';
const $ = (id) => document.getElementById(id);
const ticks = 90; // per millisecond
let cameras = [];
let zone; // the site's time zone, from the API

async function get(path) {
  const answer = await fetch(api + path, { headers: { Accept: 'application/json' } });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.detail || body.title || `the server answered ${answer.status}`);
  return body;
}

function el(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) {
    if (k.startsWith('on')) e.addEventListener(k.slice(2), v);
    else if (v !== undefined && v !== false) e.setAttribute(k, v);
  }
  e.append(...children);
  return e;
}

function time(instant, options = {}) {
  return new Intl.DateTimeFormat(undefined, { timeZone: zone, hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23', ...options }).format(instant);
}
const day = { year: 'numeric', month: 'short', day: 'numeric' };

function size(bytes) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let n = bytes, i = 0;
  while (n >= 1000 && i < units.length - 1) { n /= 1000; i++; }
  return `${n >= 100 || i === 0 ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
}

function lasts(ms) {
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
}

const path = (camera, stream) => `/cameras/${encodeURIComponent(camera)}/${encodeURIComponent(stream)}`;

// Tile shows the latest pictures of one camera: spans of the recording in progress, one after the other, each loaded
// while its predecessor plays.
class Tile {
  constructor(camera) {
    this.camera = camera;
    this.stream = (camera.streams.find((s) => s.name === 'sub' && s.record) || camera.streams[0] || {}).name;
    this.videos = [0, 1].map(() => el('video', { muted: '', playsinline: '', preload: 'auto', tabindex: '-1' }));
    this.videos.forEach((v) => { v.muted = true; v.addEventListener('ended', () => this.turn(v)); v.addEventListener('error', () => this.later()); });
    this.label = el('span', { class: 'label' });
    this.trouble = el('span', { class: 'trouble' });
    this.root = el('div', { class: 'tile' }, ...this.videos, this.trouble, this.label,
      el('button', { 'aria-label': `Play the last minute of ${camera.name}`, onclick: () => choose(camera.name, '1 minute ago', 'now') }));
    this.next = 0; // ticks from which on the next span is played; 0 for the latest
    this.update(camera);
    this.load(0);
  }

  update(camera) {
    this.camera = camera;
    const s = camera.streams.find((x) => x.name === this.stream);
    const fine = s && s.state.phase === 'recording';
    this.root.classList.toggle('dim', !fine);
    this.label.replaceChildren(el('b', {}, camera.name));
    this.trouble.textContent = fine || !s ? '' : trouble(s.state);
  }

  // recorded tells whether there is a latest span to ask for: a recording can be played some five seconds after it began.
  recorded() {
    const s = this.camera.streams.find((x) => x.name === this.stream);
    return s && s.state.phase === 'recording' && Date.now() - Date.parse(s.state.since) > 7000;
  }

  async load(which) {
    if (document.hidden || !this.root.isConnected || !this.recorded()) return this.later();
    const now = (Date.now() - 1000) * ticks;
    let start = this.next;
    if (!start || start < now - 30_000 * ticks) start = now - 6000 * ticks;
    if (now - start < 2000 * ticks) return this.later();
    const url = `${api}${path(this.camera.name, this.stream)}/view.mp4?start=${Math.round(start)}t&end=${Math.round(now)}t&audio=none`;
    this.next = now;
    const v = this.videos[which];
    v.src = url;
    v.load();
    if (this.playing === undefined) this.show(which);
  }

  show(which) {
    this.playing = which;
    this.videos.forEach((v, i) => { v.style.zIndex = i === which ? 1 : 0; });
    this.videos[which].play().catch(() => {});
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(1 - which), 3000);
  }

  turn(v) {
    const other = 1 - this.videos.indexOf(v);
    if (this.videos[other].readyState >= 2) this.show(other);
    else setTimeout(() => this.turn(v), 200);
  }

  later() {
    clearTimeout(this.timer);
    this.playing = undefined;
    this.timer = setTimeout(() => this.load(0), 2500);
  }
}

function trouble(state) {
  if (state.phase === 'connecting') return 'Connecting …';
  if (state.phase === 'stopped') return 'Not recording';
  return `Not recording since ${time(new Date(state.since))}: ${state.detail || state.reason}`;
}

const tiles = new Map();
function drawWall() {
  const wall = $('wall');
  for (const c of cameras) {
    if (!tiles.has(c.uuid)) {
      const t = new Tile(c);
      tiles.set(c.uuid, t);
      wall.append(t.root);
      t.later();
      t.load(0);
    }
    tiles.get(c.uuid).update(c);
  }
  for (const [uuid, t] of tiles) {
    if (!cameras.some((c) => c.uuid === uuid)) { t.root.remove(); tiles.delete(uuid); }
  }
  let empty = wall.querySelector('.empty');
  if (cameras.length === 0 && !empty) {
    wall.append(el('p', { class: 'empty' }, 'No cameras yet. Add one with ', el('code', {}, 'nightjar camera add NAME --main rtsp://…'), '.'));
  } else if (cameras.length > 0 && empty) empty.remove();
}

function drawState() {
  const streams = cameras.flatMap((c) => c.streams.filter((s) => s.record).map((s) => ({ c, s })));
  const wrong = streams.filter(({ s }) => s.state.phase !== 'recording');
  const state = $('state');
  state.className = wrong.length === 0 ? '' : wrong.length === streams.length ? 'bad' : 'warn';
  if (streams.length === 0) state.textContent = 'Nothing is set to record.';
  else if (wrong.length === 0) state.textContent = `${streams.length} of ${streams.length} streams recording`;
  else state.textContent = `${streams.length - wrong.length} of ${streams.length} streams recording. ${wrong[0].c.name}/${wrong[0].s.name}: ${trouble(wrong[0].s.state)}`;
}

function drawChoice() {
  const select = $('camera'), before = select.value;
  const wanted = cameras.flatMap((c) => c.streams.map((s) => `${c.name}/${s.name}`));
  if ([...select.options].map((o) => o.value).join() === wanted.join()) return;
  select.replaceChildren(...wanted.map((w) => el('option', { value: w }, w)));
  select.value = wanted.includes(before) ? before : wanted[0] || '';
}

function chosen() {
  const [camera, stream] = [$('camera').value.replace(/\/[^/]*$/, ''), $('camera').value.replace(/^.*\//, '')];
  return { camera, stream };
}

async function choose(camera, from, to) {
  const first = [...$('camera').options].find((o) => o.value.startsWith(camera + '/'));
  if (first) $('camera').value = first.value;
  $('from').value = from;
  $('to').value = to;
  await play();
}

let playing; // {start} in milliseconds: what the player's time 0 stands for
async function play() {
  const { camera, stream } = chosen();
  const said = $('said'), player = $('player');
  said.textContent = '';
  try {
    const span = await get(`${path(camera, stream)}/span?start=${encodeURIComponent($('from').value)}&end=${encodeURIComponent($('to').value)}`);
    const query = `start=${span.startTime90k}t&end=${span.endTime90k}t`;
    $('download').href = `${api}${path(camera, stream)}/view.mp4?${query}`;
    player.src = `${api}${path(camera, stream)}/view.mp4?${query}`;
    player.hidden = false;
    playing = { start: span.startTime90k / ticks, camera, stream };
    await player.play().catch(() => {});
    await drawRecorded(camera, stream, span.startTime90k, span.endTime90k);
  } catch (e) {
    said.textContent = e.message;
  }
}

$('span').addEventListener('submit', (e) => { e.preventDefault(); play(); });
$('camera').addEventListener('change', () => { overview(); });
$('player').addEventListener('error', () => {
  $('said').textContent = 'The browser cannot play this picture coding. The download plays in VLC and other players.';
});
$('player').addEventListener('timeupdate', () => {
  const p = $('position');
  p.hidden = !playing;
  if (playing) p.textContent = `${playing.camera}/${playing.stream} · ${time(playing.start + $('player').currentTime * 1000, { ...day, fractionalSecondDigits: 3 })}`;
});

async function drawRecorded(camera, stream, start, end) {
  const list = await get(`${path(camera, stream)}/recordings?start=${start}t&end=${end}t&limit=200`);
  const { gaps } = await get(`/gaps?camera=${encodeURIComponent(camera)}&stream=${encodeURIComponent(stream)}&start=${start}t&end=${end}t`);
  const lane = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  lane.setAttribute('viewBox', '0 0 1000 20');
  lane.setAttribute('preserveAspectRatio', 'none');
  lane.setAttribute('role', 'img');
  lane.setAttribute('aria-label', `${list.recordings.length} recordings, ${gaps.length} gaps`);
  const x = (t) => Math.min(1000, Math.max(0, ((t - start) / (end - start)) * 1000));
  const bar = (kind, from, to, text) => {
    const r = document.createElementNS(lane.namespaceURI, 'rect');
    r.setAttribute('class', kind);
    r.setAttribute('x', x(from));
    r.setAttribute('y', kind === 'gap' ? 8 : 4);
    r.setAttribute('height', kind === 'gap' ? 4 : 12);
    r.setAttribute('width', Math.max(1, x(to) - x(from)));
    const title = document.createElementNS(lane.namespaceURI, 'title');
    title.textContent = text;
    r.append(title);
    lane.append(r);
  };
  list.recordings.forEach((r) => bar('recorded', r.startTime90k, r.endTime90k, time(r.startTime90k / ticks, day)));
  gaps.forEach((g) => bar('gap', g.startTime90k, g.endTime90k ?? end, `${g.reason}: ${g.detail || ''}`));
  $('lanes').replaceChildren(
    el('div', { class: 'lane' }, el('span', { class: 'name' }, `${camera}/${stream}`), lane),
    el('div', { class: 'axis' }, el('span', {}, time(start / ticks, day)), el('span', {}, time(end / ticks, day))));
  $('caption').textContent = list.recordings.length ? `${list.recordings.length} recording${list.recordings.length === 1 ? '' : 's'}${list.next ? ', the oldest of more' : ''}` : 'Nothing is recorded in this span.';
  document.querySelector('#recordings tbody').replaceChildren(...list.recordings.toReversed().map((r) => el('tr', {},
    el('td', {}, el('button', { onclick: () => choosePinned(r) }, time(r.startTime90k / ticks, day))),
    el('td', {}, lasts((r.endTime90k - r.startTime90k) / ticks)),
    el('td', {}, r.width ? `${r.width}×${r.height} ${r.codec}` : ''),
    el('td', {}, size(r.bytes)),
    el('td', {}, r.growing ? 'still recording' : r.endReason ? `${r.endReason}${r.endDetail ? ': ' + r.endDetail : ''}` : 'goes on in the next'))));
}

function choosePinned(r) {
  $('from').value = `${r.startTime90k}t`;
  $('to').value = `${r.endTime90k}t`;
  play();
}

async function overview() {
  const { camera, stream } = chosen();
  if (!camera) return;
  const now = Date.now() * ticks;
  $('download').removeAttribute('href');
  await drawRecorded(camera, stream, now - 3_600_000 * ticks, now).catch((e) => { $('said').textContent = e.message; });
}

async function refresh() {
  try {
    const answer = await get('/cameras');
    const first = cameras.length === 0;
    cameras = answer.cameras;
    zone = answer.zone;
    drawWall();
    drawChoice();
    drawState();
    if (first && cameras.length) {
      $('from').value = '1 minute ago';
      $('to').value = 'now';
      overview();
    }
  } catch (e) {
    $('state').className = 'bad';
    $('state').textContent = `The server does not answer: ${e.message}`;
  }
}

setInterval(() => { if (!document.hidden) refresh(); }, 5000);
setInterval(() => { $('clock').textContent = zone ? `${time(Date.now())} ${zone}` : ''; }, 1000);
refresh();
