// What getStats says, as figures of the last second.

import { bits } from "./format.js";
import { draw, push } from "./graph.js";

const ms = (value) => `${Math.round(value * 1000)} ms`;
const percent = (value) => `${(value * 100).toFixed(value && value < 0.1 ? 1 : 0)} %`;
const whole = (value) => String(Math.round(value));

/** name -> label, how it is written, and what a larger graph would hide: its floor. */
const KINDS = {
  rate: ["Bit rate", bits, 1000],
  delay: ["Jitter buffer", ms, 0.1],
  trip: ["Round trip", ms, 0.02],
  loss: ["Loss", percent, 0.01],
  fps: ["Frames/s", whole, 30],
  frozen: ["Freezes", whole, 5],
  dropped: ["Dropped", whole, 5],
  buffered: ["Buffered", (value) => `${value.toFixed(1)} s`, 1],
  room: ["Room up", bits, 1000],
  level: ["Sound", percent, 0.2],
};

/** Takes the counters of one peer connection twice and gives what lies between. */
export class Meter {
  constructor() {
    this.before = null;
  }

  async read(peer) {
    const now = collect(await peer.getStats());
    const before = this.before && this.before.at < now.at ? this.before : null;
    this.before = now;
    return before ? between(before, now) : null;
  }
}

function collect(report) {
  const all = [...report.values()];
  const of = (type) => all.filter((entry) => entry.type === type);
  const incoming = of("inbound-rtp");
  const outgoing = of("outbound-rtp");
  const remote = of("remote-inbound-rtp");
  const transport = of("transport")[0];
  const pair = all.find((e) => e.id === transport?.selectedCandidatePairId) ||
    of("candidate-pair").find((e) => e.nominated && e.state === "succeeded");
  const pictures = [...incoming, ...outgoing].filter((e) => e.kind === "video");
  // Of simulcast the largest layer that is being sent speaks for the picture.
  const picture = pictures.reduce(
    (a, b) => ((b.frameWidth || 0) * (b.framesPerSecond ? 1 : 0.5) > (a?.frameWidth || 0) * (a?.framesPerSecond ? 1 : 0.5) ? b : a), pictures[0]);
  const sum = (list, name) => list.reduce((total, e) => total + (e[name] || 0), 0);
  const codec = picture && report.get(picture.codecId);
  const lost = outgoing.length ? remote : incoming;
  return {
    at: performance.now() / 1000,
    bytes: sum(incoming, "bytesReceived") + sum(outgoing, "bytesSent"),
    packets: sum(incoming, "packetsReceived") + sum(outgoing, "packetsSent"),
    lost: sum(lost, "packetsLost"),
    waited: sum(incoming.filter((e) => e.kind === "video"), "jitterBufferDelay"),
    emitted: sum(incoming.filter((e) => e.kind === "video"), "jitterBufferEmittedCount"),
    waitedSound: sum(incoming.filter((e) => e.kind === "audio"), "jitterBufferDelay"),
    emittedSound: sum(incoming.filter((e) => e.kind === "audio"), "jitterBufferEmittedCount"),
    frames: picture ? picture.framesDecoded ?? picture.framesEncoded ?? 0 : 0,
    frozen: sum(incoming, "freezeCount"),
    frozenFor: sum(incoming, "totalFreezesDuration"),
    dropped: sum(incoming, "framesDropped"),
    energy: sum(incoming.length ? incoming : of("media-source"), "totalAudioEnergy"),
    trip: pair?.currentRoundTripTime ?? remote[0]?.roundTripTime ?? null,
    room: pair?.availableOutgoingBitrate ?? null,
    width: picture?.frameWidth || 0,
    height: picture?.frameHeight || 0,
    codec: codec ? codec.mimeType.split("/")[1] : "",
    layers: outgoing.filter((e) => e.kind === "video" && e.rid && e.bytesSent > 0).length,
    limit: picture?.qualityLimitationReason || "none",
    relayed: report.get(pair?.localCandidateId)?.protocol || "",
    sends: outgoing.length > 0,
  };
}

function between(a, b) {
  const time = b.at - a.at;
  const step = (name) => Math.max(0, b[name] - a[name]);
  const packets = step("packets");
  const lost = step("lost");
  const emitted = step("emitted");
  const emittedSound = step("emittedSound");
  const figures = {
    ...b,
    rate: (step("bytes") * 8) / time,
    packets,
    loss: packets + lost ? lost / (packets + lost) : 0,
    fps: step("frames") / time,
    level: Math.min(1, Math.sqrt(step("energy") / time)),
  };
  if (emitted) figures.delay = step("waited") / emitted;
  else if (emittedSound) figures.delay = step("waitedSound") / emittedSound;
  return figures;
}

/** Figures with the line of their last two minutes, as tiles in `list`, a <dl>. */
export class Tiles {
  constructor(list, names) {
    this.list = list;
    this.tiles = new Map();
    for (const name of names) {
      const tile = document.createElement("div");
      const label = document.createElement("dt");
      label.textContent = KINDS[name][0];
      const value = document.createElement("dd");
      const line = document.createElement("canvas");
      line.setAttribute("aria-hidden", "true");
      tile.dataset.figure = name;
      tile.append(label, value, line);
      list.append(tile);
      this.tiles.set(name, { value, line, series: [] });
    }
    this.clear();
  }

  clear() {
    for (const tile of this.tiles.values()) {
      tile.series.length = 0;
      tile.value.textContent = "–";
      draw(tile.line, tile.series);
    }
  }

  show(figures) {
    for (const [name, tile] of this.tiles) {
      const value = figures[name];
      const [, write, floor] = KINDS[name];
      const text = value === undefined || value === null ? "–" : write(value);
      if (tile.value.textContent !== text) tile.value.textContent = text;
      push(tile.series, value || 0);
      draw(tile.line, tile.series, { least: floor });
    }
  }
}
