// How the network treats one SRT session: a small graph over the last two minutes, and
// the figures of now beside it.

const SAMPLES = 60;
const root = getComputedStyle(document.documentElement);
const color = (name) => root.getPropertyValue(name).trim();

export class Quality {
  constructor(cell) {
    cell.className = "quality";
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.text = document.createElement("span");
    this.text.className = "num";
    cell.append(this.canvas, this.text);
    this.samples = [];
    this.last = null;
    this.shown = "";
  }

  /** Take the figures of a session: null if it has none. */
  update(link) {
    this.canvas.hidden = !link;
    if (!link) {
      this.show("–", "");
      return;
    }
    const last = this.last || link;
    this.last = link;
    const packets = link.packets - last.packets;
    const share = (count) => (packets > 0 ? Math.min(1, count / packets) : 0);
    const sample = {
      rtt: link.rtt_ms,
      lost: share(link.lost - last.lost),
      dropped: share(link.dropped - last.dropped),
    };
    this.samples.push(sample);
    if (this.samples.length > SAMPLES) this.samples.shift();
    const percent = (part) => `${(100 * part).toFixed(part && part < 0.1 ? 1 : 0)} %`;
    const rtt = link.rtt_ms < 10 ? link.rtt_ms.toFixed(1) : String(Math.round(link.rtt_ms));
    const lines = [
      `Round trip ${rtt} ms, latency ${Math.round(link.latency_ms)} ms`,
      `Buffer ${Math.round(link.buffer_ms)} ms`,
      `Lost ${percent(sample.lost)} now, ${link.lost} of ${link.packets} packets in all`,
      `${link.retransmitted} sent again, ${link.dropped} too late`,
      link.encryption ? `Encrypted: ${link.encryption}` : "Not encrypted",
    ];
    if (link.links > 1) lines.push(`${link.links} links, bonded`);
    if (link.undecrypted) lines.push(`${link.undecrypted} could not be decrypted`);
    this.show(`${rtt} ms · ${percent(sample.lost)}`, lines.join("\n"));
    this.draw();
  }

  show(text, title) {
    if (this.shown === text + title) return;
    this.shown = text + title;
    this.text.textContent = text;
    this.text.parentElement.title = title;
    this.canvas.setAttribute("aria-label", title);
  }

  /** Bars from above: lost, and darker what came too late; the line: round trip. */
  draw() {
    const { canvas, samples } = this;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width) return;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const step = width / SAMPLES;
    const x = (at) => width - (samples.length - at) * step;
    // Square roots, so that one percent can be seen beside thirty.
    const tall = (part) => (part ? Math.max(2, Math.sqrt(part) * height) : 0);
    samples.forEach((sample, at) => {
      pen.globalAlpha = 0.45;
      pen.fillStyle = color("--live");
      pen.fillRect(x(at), 0, Math.max(1, step - 0.5), tall(sample.lost));
      pen.globalAlpha = 1;
      pen.fillRect(x(at), 0, Math.max(1, step - 0.5), tall(sample.dropped));
    });
    const peak = Math.max(1, ...samples.map((sample) => sample.rtt)) * 1.1;
    pen.beginPath();
    samples.forEach((sample, at) => {
      const y = height - 1 - (sample.rtt / peak) * (height - 3);
      if (at) pen.lineTo(x(at) + step / 2, y);
      else pen.moveTo(x(at) + step / 2, y);
    });
    pen.strokeStyle = color("--accent");
    pen.lineWidth = 1.4;
    pen.stroke();
  }
}
