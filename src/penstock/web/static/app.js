// The page: asks for the streams once a second, lists them, plays the chosen one.

import { createAdmin } from "./admin.js";
import { bits, bytes, channels, codec, fps, size, span } from "./format.js";
import { draw, push } from "./graph.js";
import { createJobs } from "./jobs.js";
import { createPublisher } from "./publish.js";
import { keep, recall } from "./store.js";
import { Watch } from "./watch.js";

const by = (id) => document.getElementById(id);
const entries = new Map(); // stream id -> what the page keeps of it
let chosen = null; // stream id
let server = null;
let previous = null; // server figures before, for rates
let filter = "";
let ticks = 0;

const player = new Watch(by("video"), (state, text) => {
  const veil = by("veil");
  veil.classList.toggle("off", state === "live" || state === "late");
  veil.classList.toggle("thin", by("video").videoWidth > 0);
  by("veil-text").textContent = text;
  const chip = by("chip");
  const playing = state === "live" || state === "late";
  chip.className = `chip ${state}`;
  text = playing ? text : state === "blind" ? "Sound only" : "Waiting";
  if (chip.textContent !== text) chip.textContent = text;
});

const publisher = createPublisher({
  named: (path) => by("publish-open").classList.toggle("onair", path !== ""),
});
const admin = createAdmin({ toast, changed: () => refreshServer() });
const jobs = createJobs({ toast, streams: () => [...entries.values()].map((e) => e.stream) });

// ---- asking -----------------------------------------------------------------

async function poll() {
  const begun = performance.now();
  if (!document.hidden) {
    try {
      const answer = await ask("/penstock/v1/streams");
      showStreams(answer.streams);
      if (ticks % 2 === 0) await refreshServer();
      by("lost").hidden = true;
      ticks += 1;
    } catch {
      by("lost").hidden = false;
    }
  }
  setTimeout(poll, Math.max(200, 1000 - (performance.now() - begun)));
}

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(8000) });
  if (!answer.ok) throw new Error(answer.statusText);
  return answer.json();
}

async function refreshServer() {
  server = await ask("/penstock/v1/server");
  if (server.admin && !(await admin.refresh())) server.admin = false;
  if (server.admin && server.has_jobs) await jobs.refresh();
  showServer();
}

// ---- the server -------------------------------------------------------------

function showServer() {
  const at = server.uptime_s;
  if (previous && at > previous.at) {
    const rate = (name) => ((server[name] - previous[name]) * 8) / (at - previous.at);
    set("total-in", bits(rate("bytes_received")));
    set("total-out", bits(rate("bytes_sent")));
  }
  previous = { at, bytes_received: server.bytes_received, bytes_sent: server.bytes_sent };
  set("foot-version", `penstock ${server.version}`);
  set("foot-uptime", `up ${span(at)} · ${bytes(server.bytes_received)} in · ${bytes(server.bytes_sent)} out`);
  set("foot-stall", `longest stall ${(server.loop_stall_s * 1000).toFixed(1)} ms`);
  const rules = {
    private: "Publishing is open to this machine and private networks.",
    token: "Publishing needs a token.",
    open: "Publishing is open to anybody.",
  };
  set("foot-rule", rules[server.publish] || "");
  set("empty-rule", `Send a stream and it appears here. ${rules[server.publish] || ""}`);
  by("sessions").hidden = !server.admin;
  by("jobs").hidden = !server.admin || !server.has_jobs;
  const sign = by("sign");
  const signedIn = server.signed_in;
  sign.hidden = !server.can_sign_in || (server.admin && !signedIn);
  sign.dataset.state = signedIn ? "in" : "out";
  set("sign", signedIn ? "Sign out" : "Sign in");
  publisher.server(server);
  by("way-browser").hidden = !speaks("webrtc");
  showPublishing();
}

const listener = (name) => server && server.listeners.find((l) => l.name === name);
const speaks = (name) => Boolean(listener(name));

function rtmpBase() {
  const plain = listener("rtmp");
  const chosen = plain || listener("rtmps");
  if (!chosen) return null;
  const usual = plain ? 1935 : 443;
  const port = chosen.port === usual ? "" : `:${chosen.port}`;
  return `${plain ? "rtmp" : "rtmps"}://${location.hostname}${port}`;
}

function srtAddress(port, stream) {
  const vhost = stream.vhost === "default" ? "" : `h=${stream.vhost},`;
  return `srt://${location.hostname}:${port}?streamid=#!::${vhost}r=${stream.path.slice(1)}`;
}

function showPublishing() {
  const base = rtmpBase() || `rtmp://${location.hostname}`;
  const name = server && server.publish === "token" ? "demo?token=TOKEN" : "demo";
  const encoded = `-c:v libx264 -bf 0 -g 60 -pix_fmt yuv420p -c:a aac -f flv "${base}/live/${name}"`;
  set("obs-server", `${base}/live`);
  set("obs-key", name);
  set("whip-url", `${location.origin}/live/demo/whip`);
  const srt = listener("srt");
  by("way-srt").hidden = by("srt-line").hidden = !srt;
  const token = name === "demo" ? "" : ",token=TOKEN";
  if (srt) {
    set("srt-url",
      `srt://${location.hostname}:${srt.port}?streamid=#!::r=live/demo,m=publish${token}`);
  }
  set("ffmpeg-line", `ffmpeg -re -i input.mp4 ${encoded}`);
  set("ffmpeg-test",
    `ffmpeg -re -f lavfi -i testsrc2=s=1280x720:r=30 -re -f lavfi -i sine=r=48000 ${encoded}`);
}

// ---- the list ---------------------------------------------------------------

function showStreams(streams) {
  streams.sort((a, b) => key(a).localeCompare(key(b)));
  const alive = new Set();
  let live = 0;
  let viewers = 0;
  for (const stream of streams) {
    alive.add(stream.id);
    live += stream.state === "live";
    viewers += stream.viewers;
    const entry = entries.get(stream.id) || createEntry(stream);
    entry.stream = stream;
    push(entry.series, stream.state === "live" ? stream.bitrate_bps : 0);
  }
  for (const [id, entry] of entries) {
    if (!alive.has(id)) {
      entry.item.remove();
      entries.delete(id);
    }
  }
  set("total-live", String(live));
  set("total-viewers", String(viewers));
  choose(streams);
  place(streams);
  const any = streams.length > 0;
  by("empty").hidden = any;
  by("stage").hidden = !any;
  for (const entry of entries.values()) showEntry(entry);
  showChosen();
}

const key = (stream) =>
  `${stream.vhost === "default" ? "" : `${stream.vhost}/`}${stream.app}/${stream.name}`;

function createEntry(stream) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "stream";
  const parts = {};
  for (const name of ["name", "rate", "meta", "seen"]) {
    parts[name] = document.createElement("span");
    parts[name].className = name;
    button.append(parts[name]);
  }
  const canvas = document.createElement("canvas");
  canvas.setAttribute("aria-hidden", "true");
  button.append(canvas);
  item.append(button);
  const entry = { item, button, parts, canvas, series: [], stream, visible: true };
  button.addEventListener("click", () => {
    location.hash = `#/${key(entry.stream)}`;
  });
  watcher.observe(item);
  item.penstock = entry;
  entries.set(stream.id, entry);
  return entry;
}

const watcher = new IntersectionObserver((changes) => {
  for (const change of changes) change.target.penstock.visible = change.isIntersecting;
});

/** Put the items in order, moving only those that stand wrong. */
function place(streams) {
  const list = by("streams");
  let shown = 0;
  let at = list.firstElementChild;
  for (const stream of streams) {
    const { item } = entries.get(stream.id);
    item.hidden = filter !== "" && !key(stream).toLowerCase().includes(filter);
    shown += !item.hidden;
    if (item === at) at = at.nextElementSibling;
    else list.insertBefore(item, at);
  }
  by("filter").hidden = streams.length < 8 && filter === "";
  by("no-match").hidden = shown > 0 || streams.length === 0;
}

function showEntry(entry) {
  if (!entry.visible) return;
  const { stream, parts } = entry;
  const video = stream.tracks.find((t) => t.kind === "video");
  const audio = stream.tracks.find((t) => t.kind === "audio");
  const live = stream.state === "live";
  const meta = [];
  if (video) meta.push(`${codec(video)} ${size(video)} · ${fps(video)} fps`);
  if (audio) meta.push(codec(audio));
  text(parts.name, key(stream));
  text(parts.rate, live ? bits(stream.bitrate_bps) : "–");
  text(parts.meta, live ? meta.join(" · ") || "no tracks yet" : "waiting for a publisher");
  text(parts.seen, `${stream.viewers} ${stream.viewers === 1 ? "viewer" : "viewers"}`);
  entry.button.classList.toggle("waiting", !live);
  entry.button.setAttribute("aria-current", String(stream.id === chosen));
  draw(entry.canvas, entry.series);
}

// ---- the chosen stream ------------------------------------------------------

function choose(streams) {
  const wanted = decodeURIComponent(location.hash.replace(/^#\/?/, ""));
  const named = streams.find((s) => key(s) === wanted);
  const kept = streams.find((s) => s.id === chosen);
  const next = named || kept || streams.find((s) => s.state === "live") || streams[0];
  chosen = next ? next.id : null;
  if (!next) {
    player.stop();
    return;
  }
  player.play({
    path: next.path,
    query: next.query,
    token: recall("penstock-token", "sessionStorage"),
    video: next.tracks.find((t) => t.kind === "video"),
    audio: next.tracks.find((t) => t.kind === "audio"),
    live: next.state === "live",
    webrtc: speaks("webrtc"),
  });
}

function showChosen() {
  const entry = entries.get(chosen);
  if (!entry) {
    document.title = "penstock";
    return;
  }
  const { stream } = entry;
  const video = stream.tracks.find((t) => t.kind === "video");
  const audio = stream.tracks.find((t) => t.kind === "audio");
  document.title = `${key(stream)} · penstock`;
  set("title", key(stream));
  set("since", stream.uptime_s === null ? "not live" : `live for ${span(stream.uptime_s)}`);
  fact("fact-video", video ? codec(video) : "–",
    video ? [size(video), video.profile].filter(Boolean).join(" ") : "");
  fact("fact-audio", audio ? codec(audio) : "–",
    audio ? [audio.sample_rate ? `${audio.sample_rate / 1000} kHz` : "", channels(audio.channels)].filter(Boolean).join(" ") : "");
  fact("fact-rate", bits(stream.bitrate_bps), `${bytes(stream.bytes_received)} received`);
  fact("fact-fps", video ? fps(video) : "–", video && video.frame_rate ? "measured" : "");
  fact("fact-key", video && video.key_distance_s ? `every ${video.key_distance_s.toFixed(1)} s` : "–", "");
  fact("fact-viewers", String(stream.viewers), `${bytes(stream.bytes_sent)} sent`);
  draw(by("graph"), entry.series, { axis: bits });
  showLinks(stream);
  by("token-form").hidden = !server || server.play !== "token";
}

function fact(id, main, small) {
  const node = by(id);
  if (!node.firstElementChild) {
    node.replaceChildren(document.createElement("span"), document.createElement("small"));
  }
  text(node.firstElementChild, main);
  text(node.lastElementChild, small);
}

let linksOf = "";

function showLinks(stream) {
  const base = rtmpBase();
  const lines = [];
  if (base) lines.push(["RTMP", `${base}${stream.path}${stream.query}`]);
  lines.push(["HTTP-FLV", `${location.origin}${stream.path}.flv${stream.query}`]);
  const socket = location.origin.replace(/^http/, "ws");
  lines.push(["WS-FLV", `${socket}${stream.path}.flv${stream.query}`]);
  lines.push(["fMP4", `${location.origin}${stream.path}.mp4${stream.query}`]);
  lines.push(["TS", `${location.origin}${stream.path}.ts${stream.query}`]);
  const srt = listener("srt");
  if (srt) lines.push(["SRT", srtAddress(srt.port, stream)]);
  if (speaks("webrtc")) {
    lines.push(["WHEP", `${location.origin}${stream.path}/whep${stream.query}`]);
  }
  const marker = JSON.stringify(lines);
  if (marker === linksOf) return;
  linksOf = marker;
  by("links").replaceChildren(...lines.map(([label, url], at) => {
    const line = document.createElement("div");
    line.className = "copyline";
    const name = document.createElement("span");
    name.textContent = label;
    const code = document.createElement("code");
    code.id = `link-${at}`;
    code.textContent = url;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.dataset.copy = code.id;
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy the ${label} address`);
    line.append(name, code, button);
    return line;
  }));
}

// ---- small things -----------------------------------------------------------

function set(id, value) {
  text(by(id), value);
}

function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

let toastTimer = 0;

function toast(message) {
  by("toast").textContent = message;
  by("toast").classList.add("on");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => by("toast").classList.remove("on"), 1800);
}

async function copy(value) {
  try {
    await navigator.clipboard.writeText(value);
  } catch {
    // Plain HTTP pages have no clipboard: an invisible selection does it there.
    const area = document.createElement("textarea");
    area.value = value;
    area.className = "hide";
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  toast("Copied");
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(by(button.dataset.copy).textContent);
});

async function toggleSound() {
  const on = await player.sound(by("video").muted);
  set("sound", on ? "Sound off" : "Sound on");
}

by("sound").addEventListener("click", toggleSound);
by("video").addEventListener("click", toggleSound);
by("full").addEventListener("click", toggleFull);

function toggleFull() {
  if (document.fullscreenElement) document.exitFullscreen();
  else by("screen").requestFullscreen().catch(() => {});
}

// Single keys count only while the player has the focus.
by("screen").addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "m") toggleSound();
  if (event.key === "f") toggleFull();
});
document.addEventListener("fullscreenchange", () => {
  set("full", document.fullscreenElement ? "Leave full screen" : "Full screen");
});

function openPublisher(open) {
  by("publish").hidden = !open;
  by("publish-open").setAttribute("aria-expanded", String(open));
  if (open) {
    publisher.opened();
    by("publish").scrollIntoView({ block: "nearest" });
  }
}

by("publish-open").addEventListener("click", () => openPublisher(by("publish").hidden));
by("publish-begin").addEventListener("click", () => {
  openPublisher(true);
  by("publish-name").focus();
});
by("filter").addEventListener("input", (event) => {
  filter = event.target.value.trim().toLowerCase();
  place([...entries.values()].map((e) => e.stream).sort((a, b) => key(a).localeCompare(key(b))));
});
by("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keep("penstock-token", by("token").value, "sessionStorage");
  choose([...entries.values()].map((e) => e.stream));
});
window.addEventListener("hashchange", () => {
  choose([...entries.values()].map((e) => e.stream));
  for (const entry of entries.values()) showEntry(entry);
  showChosen();
});
window.addEventListener("resize", () => {
  for (const entry of entries.values()) showEntry(entry);
  showChosen();
});

begin();

async function begin() {
  try {
    await refreshServer();
  } catch {
    by("lost").hidden = false;
  }
  poll();
}
