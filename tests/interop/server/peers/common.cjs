// What peers that run in Node share: arguments, the exchange of descriptions, the clip
// that they send in real time, and RTP payloads of H.264 taken apart and put together.
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");

const VIDEO_RATE = 90000;
const AUDIO_RATE = 48000;
const PAYLOAD_OCTETS = 1100;

// SEI, parameter sets and delimiters: senders repeat, move and leave them out.
const UNSEEN = new Set([6, 7, 8, 9]);

const [, , role, url, ...words] = process.argv;
const options = { seconds: "15", frames: "75" };
for (let i = 0; i + 1 < words.length; i += 2) options[words[i].slice(2)] = words[i + 1];

// One array [kind, milliseconds, base64] a line, in the order of sending.
function clip() {
  const lines = fs.readFileSync(options.file, "utf8").trim().split("\n");
  return lines.map((line) => {
    const [kind, ms, data] = JSON.parse(line);
    return { kind, ms, data: Buffer.from(data, "base64") };
  });
}

async function post(offer) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/sdp" },
    body: offer,
  });
  const text = await response.text();
  if (response.status !== 201) throw new Error(`${response.status} ${text}`);
  const location = response.headers.get("Location");
  if (!location || !text) throw new Error("no Location, or no answer");
  return { answer: text, session: new URL(location, url).href };
}

async function leave(session) {
  return (await fetch(session, { method: "DELETE" })).status;
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(condition, what) {
  const end = Date.now() + 1000 * Number(options.seconds);
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited ${options.seconds} s for ${what}`);
    await pause(10);
  }
}

async function play(send) {
  const start = performance.now();
  for (const unit of clip()) {
    const wait = unit.ms - (performance.now() - start);
    if (wait > 1) await pause(wait);
    send(unit);
  }
}

function nals(annexb) {
  const found = [];
  let begin = -1;
  for (let i = 0; i + 2 < annexb.length; i++) {
    if (annexb[i] || annexb[i + 1] || annexb[i + 2] !== 1) continue;
    if (begin >= 0) found.push(annexb.subarray(begin, annexb[i - 1] ? i : i - 1));
    begin = i + 3;
    i += 2;
  }
  if (begin >= 0) found.push(annexb.subarray(begin));
  return found;
}

// RFC 6184: one packet a unit, or fragments of it.
function packetise(annexb) {
  const payloads = [];
  for (const nal of nals(annexb)) {
    if (nal.length <= PAYLOAD_OCTETS) {
      payloads.push(nal);
      continue;
    }
    for (let i = 1; i < nal.length; i += PAYLOAD_OCTETS) {
      const end = i + PAYLOAD_OCTETS >= nal.length;
      const head = (i === 1 ? 0x80 : 0) | (end ? 0x40 : 0) | (nal[0] & 0x1f);
      const piece = nal.subarray(i, i + PAYLOAD_OCTETS);
      payloads.push(Buffer.concat([Buffer.from([(nal[0] & 0xe0) | 28, head]), piece]));
    }
  }
  return payloads;
}

// Collects the packets of one stream; `finish` tells the pictures' hashes in order.
class Collector {
  constructor() {
    this.packets = new Map();
    this.last = null;
    this.markers = 0;
  }

  add(sequence, timestamp, marker, payload) {
    if (!payload.length) return;
    const near = this.last ?? sequence;
    const number = near + (((sequence - near + 0x8000) & 0xffff) - 0x8000);
    this.last = Math.max(near, number);
    if (!this.packets.has(number) && marker) this.markers++;
    this.packets.set(number, { timestamp, marker, payload: Buffer.from(payload) });
  }

  finish() {
    const numbers = [...this.packets.keys()].sort((a, b) => a - b);
    const pictures = [];
    let units = [];
    let missing = 0;
    numbers.forEach((number, i) => {
      if (i) missing += number - numbers[i - 1] - 1;
      const { payload, marker } = this.packets.get(number);
      const type = payload[0] & 0x1f;
      if (type === 28) {
        const head = Buffer.from([(payload[0] & 0xe0) | (payload[1] & 0x1f)]);
        if (payload[1] & 0x80) units.push(head);
        units[units.length - 1] = Buffer.concat([units.at(-1), payload.subarray(2)]);
      } else if (type === 24) {
        for (let at = 1; at < payload.length; ) {
          const size = payload.readUInt16BE(at);
          units.push(payload.subarray(at + 2, at + 2 + size));
          at += 2 + size;
        }
      } else units.push(payload);
      if (marker) {
        pictures.push(hash(units));
        units = [];
      }
    });
    return { pictures, missing };
  }
}

function hash(units) {
  const sum = crypto.createHash("md5");
  for (const unit of units) if (!UNSEEN.has(unit[0] & 0x1f)) sum.update(unit);
  return sum.digest("hex");
}

function tell(result) {
  fs.writeSync(1, JSON.stringify(result) + "\n");
  process.exit(0);
}

function run(roles) {
  process.on("unhandledRejection", (error) => {
    fs.writeSync(2, `${error.stack}\n`);
    process.exit(1);
  });
  roles[role]().then(tell);
}

module.exports = {
  ...{ AUDIO_RATE, VIDEO_RATE, Collector, clip, hash, leave, nals, options },
  ...{ packetise, pause, play, post, run, until },
};
