// Playing: time, controls, legend, the token group, and commands in the address (#frame=120&play=1&yaw=1).

const COLOURS = {
  L: "#4f9dff", R: "#ffb454", BOM: "#ff5c93", C: "#35cfa4", S: "#b78bff", E: "#ff7a5c", EOM: "#ff5c93", face: "#4f9dff" };
const MEANING = {
  L: "L: on across the left edge, to a new vertex",
  R: "R: on across the right edge, to a new vertex",
  BOM: "BOM: a sub-mesh starts with three new vertices",
  C: "C: the tip was new; on across the left edge",
  S: "S: a split; left for now, its right edge waits",
  E: "E: a branch ends; back to the latest split, across its right edge",
  face: "a face of its own: three vertices" };

const $ = (id) => document.getElementById(id);
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
const fraction = (hex) => rgb(hex).map((x) => x / 255);
const format = (n) => n.toLocaleString("en-US");

const tokens = new Int32Array(bytes(DATA.tokens));
const groupStart = new Uint32Array(bytes(DATA.groupStart));
const cells = new Uint16Array(bytes(DATA.cells));
const arriving = new Uint8Array(bytes(DATA.arriving));
const leaving = new Uint8Array(bytes(DATA.leaving));
const numFaces = arriving.length;
const numOps = DATA.backend === "naive" ? 0 : DATA.classes.length;

const BOM = DATA.classes.indexOf("BOM"), E = DATA.classes.indexOf("E");
const starts = [...arriving.keys()].filter((face) => arriving[face] === BOM);
const broken = arriving.map((op) => op === BOM || op === E || BOM < 0);
const submesh = new Uint32Array(numFaces);
for (let face = 0, n = -1; face < numFaces; face++) submesh[face] = arriving[face] === BOM ? ++n : n;

const scene = new Scene(
  $("view"), Float32Array.from(cells, (q) => ((q + 0.5) / DATA.bins) * 2 - 1), starts, broken);

// ---- state ----

const state = { frame: 0, playing: false, speed: 1, ratio: Math.min(window.devicePixelRatio || 1, 2) };
let dirty = true, last = 0;

function seek(frame) {
  state.frame = Math.max(0, Math.min(numFaces, frame));
  dirty = true;
}
function setPlaying(playing) {
  if (playing && state.frame >= numFaces) seek(0);
  state.playing = playing;
  $("play").setAttribute("aria-pressed", playing);
  $("play").setAttribute("aria-label", playing ? "pause" : "play");
  dirty = true;
}
function step(by) {
  setPlaying(false);
  seek((by > 0 ? Math.floor(state.frame) : Math.ceil(state.frame)) + by);
}
function setSpeed(facesPerSecond) {
  state.speed = Math.max(0.5, Math.min(20000, facesPerSecond));
  $("speed").value = (100 * Math.log(state.speed / 0.5)) / Math.log(40000);
  const rounded = state.speed < 10 ? state.speed.toFixed(1) : format(Math.round(state.speed));
  $("rate").textContent = `${rounded} faces/s`;
}

// ---- colours ----

// Around the colour circle, and from cold to warm.
function hue(turn, saturation, lightness) {
  const channel = (n) => {
    const k = (n + turn * 12) % 12;
    return lightness - saturation * Math.min(lightness, 1 - lightness) * Math.max(-1, Math.min(k - 3, 9 - k, 1));
  };
  return [channel(0), channel(8), channel(4)].map((x) => Math.round(x * 255));
}
const RAMP = ["#3b4cc0", "#5f8bf0", "#8fd0e8", "#f2e6b1", "#f7a35c", "#d83a4a"].map(rgb);
function ramp(t) {
  const x = Math.min(0.9999, t) * (RAMP.length - 1), i = Math.floor(x);
  return RAMP[i].map((c, k) => Math.round(c + (RAMP[i + 1][k] - c) * (x - i)));
}

const COLOUR_OF = {
  arriving: (face) => rgb(COLOURS[DATA.classes[arriving[face]]]),
  leaving: (face) => rgb(COLOURS[DATA.classes[leaving[face]]]),
  submesh: (face) => hue((submesh[face] * 0.618034 + 0.58) % 1, 0.72, 0.62),
  order: (face) => ramp(face / Math.max(1, numFaces - 1)) };

function repaint() {
  scene.paint(COLOUR_OF[$("colour").value]);
  buildLegend();
  drawStrip();
  dirty = true;
}

// ---- legend ----

let entries = [], counted = { key: "", frame: 0, counts: [] };

function classesShown() {
  const mode = $("colour").value;
  return mode === "arriving" ? arriving : mode === "leaving" ? leaving : null;
}

function buildLegend() {
  const of = classesShown(), legend = $("legend");
  legend.replaceChildren();
  entries = [];
  if (!of) {
    const bar = document.createElement("div");
    const count = $("colour").value === "submesh" ? Math.max(starts.length, 1) : 24;
    const colourAt = (i) => $("colour").value === "submesh"
      ? hue((i * 0.618034 + 0.58) % 1, 0.72, 0.62) : ramp(i / (count - 1));
    const stops = [...Array(Math.min(count, 24)).keys()].map((i) => `rgb(${colourAt(i)})`);
    bar.className = "ramp";
    bar.style.background = stops.length > 1 ? `linear-gradient(to right, ${stops})` : stops[0];
    const ends = document.createElement("div");
    ends.className = "ramp-ends";
    const label = $("colour").value === "submesh" ? [`${format(count)} sub-mesh${count > 1 ? "es" : ""}`, ""] : ["first", "last"];
    ends.append(...label.map((text) => Object.assign(document.createElement("span"), { textContent: text })));
    legend.append(bar, ends);
    return;
  }
  const total = new Array(DATA.classes.length).fill(0);
  for (const op of of) total[op]++;
  DATA.classes.forEach((name, op) => {
    if (!total[op]) return;
    const entry = Object.assign(document.createElement("button"), { className: "entry", title: `To the next ${name}` });
    entry.setAttribute("role", "listitem");
    entry.innerHTML = `<span class="swatch"></span><span class="name"></span><span class="bar"><i></i></span><span class="count"></span>`;
    entry.querySelector(".swatch").style.background = entry.querySelector("i").style.background = COLOURS[name];
    entry.querySelector(".name").textContent = name;
    entry.onclick = () => {
      const next = of.indexOf(op, Math.ceil(state.frame)), again = of.indexOf(op);
      setPlaying(false);
      seek((next < 0 ? again : next) + 1);
    };
    legend.append(entry);
    entries.push({ op, total: total[op], bar: entry.querySelector("i"), count: entry.querySelector(".count") });
  });
}

function countUpTo(frame) {
  const of = classesShown(), key = $("colour").value;
  if (counted.key !== key || frame < counted.frame) counted = { key, frame: 0, counts: new Array(DATA.classes.length).fill(0) };
  for (; counted.frame < frame; counted.frame++) counted.counts[of[counted.frame]]++;
  return counted.counts;
}

// ---- timeline and token group ----

function drawStrip() {
  const strip = $("strip"), width = Math.max(1, Math.round(strip.clientWidth * state.ratio)), height = Math.round(26 * state.ratio), band = Math.round(17 * state.ratio);
  Object.assign(strip, { width, height });
  const context = strip.getContext("2d"), colourOf = COLOUR_OF[$("colour").value];
  for (let x = 0; x < width; x++) {
    const face = Math.min(numFaces - 1, Math.floor((x / width) * numFaces));
    context.fillStyle = `rgb(${colourOf(face)})`;
    context.fillRect(x, 0, 1, band);
  }
  const gap = (width / numFaces) * 0.12;
  context.globalCompositeOperation = "destination-out";
  for (let face = 1; gap > 0.5 && face < numFaces; face++) context.fillRect((face / numFaces) * width - gap / 2, 0, gap, band);
  context.globalCompositeOperation = "source-over";
  if (starts.length > width / 8) return;
  context.fillStyle = COLOURS.BOM;
  for (const face of starts) {
    const x = Math.round(((face + 0.5) / numFaces) * width), r = 3 * state.ratio;
    context.beginPath();
    context.arc(x, height - r, r, 0, 7);
    context.fill();
  }
}

function chips(face) {
  if (face < 0 || face >= numFaces) return [];
  return [...tokens.subarray(groupStart[face], groupStart[face + 1])].map((token) => {
    const chip = Object.assign(document.createElement("span"), { className: "chip", textContent: token });
    if (token < numOps) {
      chip.className = "chip op";
      chip.textContent = DATA.classes[token];
      chip.title = `token ${token}`;
      chip.style.background = COLOURS[DATA.classes[token]];
    }
    return chip;
  });
}

function describe(face) {
  if (face < 0) return "Press play, or drag the timeline.";
  const [x, y, z] = cells.subarray(9 * face, 9 * face + 3);
  const place = `tokens ${format(groupStart[face])} to ${format(groupStart[face + 1] - 1)}`;
  return `${MEANING[DATA.classes[arriving[face]]]} · ${place} · tip at cell (${x}, ${y}, ${z})`;
}

function showPosition() {
  const shown = Math.ceil(state.frame), face = shown - 1;
  $("slider").value = shown;
  $("position").innerHTML = `face <b>${format(shown)}</b> of ${format(numFaces)}`;
  $("before").replaceChildren(...chips(face - 1));
  $("current").replaceChildren(...chips(face));
  $("after").replaceChildren(...chips(face + 1));
  $("meaning").textContent = describe(face);
  if (!entries.length) return;
  const counts = countUpTo(shown);
  for (const { op, total, bar, count } of entries) {
    bar.style.width = `${(100 * counts[op]) / total}%`;
    count.innerHTML = `<b>${format(counts[op])}</b> / ${format(total)}`;
  }
}

// ---- drawing ----

const bare = () => document.documentElement.hasAttribute("data-bare");
const light = () => document.documentElement.dataset.theme === "light";

function freeArea() {
  const width = window.innerWidth, height = window.innerHeight;
  if (bare()) return { x: 0, y: 0, width, height };
  const edge = (id, side) => $(id).getBoundingClientRect()[side];
  const narrow = width <= 820, bottom = height - edge(narrow ? "panel" : "dock", "top");
  const right = narrow ? 0 : width - edge("panel", "left"), top = narrow ? edge("about", "bottom") : 0;
  return { x: 0, y: top, width: width - right, height: height - bottom - top };
}

function style() {
  return {
    ratio: state.ratio,
    todo: $("todo").checked, path: $("path").checked, starts: $("starts").checked,
    todoColour: fraction(light() ? "#cdd5e2" : "#47546f"),
    edgeColour: fraction(light() ? "#3c4860" : "#0d121d"),
    pathColour: [1, 1, 1], gateColour: [1, 1, 1], startColour: fraction(COLOURS.BOM) };
}

function redraw() {
  showPosition();
  scene.draw(state.frame, freeArea(), style());
}

function tick(time) {
  const seconds = Math.min(0.1, (time - last) / 1000);
  last = time;
  if (state.playing) {
    seek(state.frame + seconds * state.speed);
    if (state.frame >= numFaces) setPlaying(false);
  }
  if ($("spin").checked) {
    scene.camera.yaw += seconds * 0.4;
    dirty = true;
  }
  if (dirty) {
    dirty = false;
    redraw();
  }
  requestAnimationFrame(tick);
}

// ---- input ----

function listen() {
  $("play").onclick = () => setPlaying(!state.playing);
  $("back").onclick = () => step(-1);
  $("forward").onclick = () => step(1);
  $("first").onclick = () => { setPlaying(false); seek(0); };
  $("last").onclick = () => { setPlaying(false); seek(numFaces); };
  $("slider").oninput = () => { setPlaying(false); seek(Number($("slider").value)); };
  $("speed").oninput = () => setSpeed(0.5 * 40000 ** ($("speed").value / 100));
  $("colour").onchange = repaint;
  for (const id of ["todo", "path", "starts", "spin"]) $(id).onchange = () => { dirty = true; };
  window.addEventListener("resize", () => { drawStrip(); dirty = true; });
  window.addEventListener("hashchange", obeyAddress);
  window.addEventListener("keydown", onKey);
  listenToPointers($("view"));
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  const keys = {
    " ": () => setPlaying(!state.playing), ArrowLeft: () => step(-1), ArrowRight: () => step(1),
    Home: () => seek(0), End: () => seek(numFaces) };
  if (!keys[event.key] || (event.key === " " && event.target.tagName === "BUTTON")) return;
  keys[event.key]();
  event.preventDefault();
}

// One finger or the left button turns; two fingers, shift or another button move; wheel and pinch zoom.
function listenToPointers(canvas) {
  const held = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, event);
    $("spin").checked = false;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (!before) return;
    const dx = event.clientX - before.clientX, dy = event.clientY - before.clientY;
    held.set(event.pointerId, event);
    if (held.size === 2) {
      const other = [...held.values()].find((pointer) => pointer.pointerId !== event.pointerId);
      const distance = (p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY);
      scene.camera.zoomBy(distance(event) / Math.max(1, distance(before)));
      scene.camera.move(dx / 2, dy / 2, canvas.clientHeight);
    } else if (event.shiftKey || event.buttons & 6) scene.camera.move(dx, dy, canvas.clientHeight);
    else scene.camera.turn(dx, dy);
    dirty = true;
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => held.delete(event.pointerId));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    scene.camera.zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.03 : 0.0012)));
    dirty = true;
  }, { passive: false });
  canvas.addEventListener("dblclick", () => { scene.camera.reset(); dirty = true; });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
}

// frame, play, speed, yaw, pitch, zoom, colour, theme, and 0 or 1 for todo, path, starts, spin, bare.
function obeyAddress() {
  const command = new URLSearchParams(location.hash.slice(1)), root = document.documentElement;
  for (const name of ["yaw", "pitch", "zoom"]) if (command.has(name)) scene.camera[name] = Number(command.get(name));
  for (const id of ["todo", "path", "starts", "spin"]) if (command.has(id)) $(id).checked = command.get(id) === "1";
  if (command.has("theme")) root.dataset.theme = command.get("theme");
  root.toggleAttribute("data-bare", command.get("bare") === "1");
  if (command.has("speed")) setSpeed(Number(command.get("speed")));
  if (command.has("frame")) seek(Number(command.get("frame")));
  if (command.has("play")) setPlaying(command.get("play") === "1");
  if (COLOUR_OF[command.get("colour")]) $("colour").value = command.get("colour");
  repaint();
}

function begin() {
  document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
  $("title").textContent = DATA.title;
  const perFace = (groupStart[numFaces] / numFaces).toFixed(2);
  const parts = starts.length ? ` · ${format(starts.length)} sub-mesh${starts.length > 1 ? "es" : ""}` : "";
  $("summary").textContent =
    `${DATA.mode}, ${DATA.backend}, ${DATA.bins} bins · ${format(numFaces)} faces${parts} · ` +
    `${format(groupStart[numFaces])} tokens, ${perFace} a face`;
  $("error").textContent = `Stops early: ${DATA.error}`;
  $("error").hidden = !DATA.error;
  $("slider").max = numFaces;
  $("todo").checked = DATA.mode === "encoding";
  if (DATA.backend === "naive") $("colour").value = "order";
  setSpeed(Math.max(3, numFaces / 25));
  setPlaying(false);
  listen();
  obeyAddress();
  requestAnimationFrame((time) => { last = time; tick(time); });
}

// For tests: what is shown, and the number of pixels that something is drawn on.
window.player = {
  state, seek, step, setPlaying, numFaces, scene,
  drawnPixels() {
    redraw();
    const { gl } = scene, pixels = new Uint8Array(gl.drawingBufferWidth * gl.drawingBufferHeight * 4);
    gl.readPixels(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    return pixels.filter((_, i) => i % 4 === 3 && pixels[i] > 0).length;
  } };

begin();
