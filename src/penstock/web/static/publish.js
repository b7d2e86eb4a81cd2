// Publishes camera, screen and microphone by WHIP.

import { Link } from "./link.js";
import { Meter, Tiles } from "./meter.js";
import * as store from "./store.js";

const by = (id) => document.getElementById(id);
const NAMES = { "video/h264": "H.264", "video/vp8": "VP8", "video/vp9": "VP9", "video/av1": "AV1", "video/h265": "H.265" };
const FIGURES = ["rate", "trip", "loss", "fps", "room", "level"];
const FIELDS = ["publish-name", "publish-codec", "publish-size", "publish-rate", "publish-kbps"];
const KEPT = "penstock-publish";

/** Wire the panel; `named(path)` is told what goes out, or "". */
export function createPublisher({ named }) {
  const preview = by("preview");
  const tiles = new Tiles(by("publish-tiles"), FIGURES);
  let media = null;
  let meter = null;
  let wanted = false; // the person has pressed "Go live"
  let asking = 0;

  const link = new Link({
    prepare: (peer) => {
      meter = new Meter();
      addTracks(peer, media);
    },
    report: reported,
    tick: async (peer) => {
      const figures = await meter.read(peer);
      if (figures) measured(figures);
      return "";
    },
  });

  // ---- the form ---------------------------------------------------------------

  fillCodecs();
  recall();
  const reason = cannot();
  by("publish-cannot").textContent = reason;
  by("publish-cannot").hidden = !reason;
  by("publish-start").disabled = by("publish-look").disabled = Boolean(reason);
  if (!navigator.mediaDevices?.getDisplayMedia) by("source-screen").disabled = true;

  by("publish-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (wanted) leave();
    else begin();
  });
  by("publish-look").addEventListener("click", async () => {
    if (media) release();
    else await acquire();
    show();
  });
  for (const id of ["source-camera", "source-screen", "source-none"]) {
    by(id).addEventListener("change", changed);
  }
  for (const id of ["publish-camera", "publish-microphone", "publish-size", "publish-rate"]) {
    by(id).addEventListener("change", changed);
  }
  by("publish-kbps").addEventListener("change", () => {
    for (const sender of link.peer?.getSenders() || []) limit(sender);
  });
  by("publish-picture").addEventListener("click", () => toggle("video", by("publish-picture")));
  by("publish-voice").addEventListener("click", () => toggle("audio", by("publish-voice")));
  navigator.mediaDevices?.addEventListener?.("devicechange", listDevices);

  function cannot() {
    if (!globalThis.RTCPeerConnection) return "This browser has no WebRTC.";
    if (!isSecureContext) {
      return "Browsers give a camera, a microphone or the screen only to pages that came over " +
        `https, or from this very machine (http://localhost). This one came from ${location.origin}: ` +
        "set http.cert and http.key on the server and open it with https.";
    }
    if (!navigator.mediaDevices?.getUserMedia) return "This browser gives pages no camera.";
    return "";
  }

  function fillCodecs() {
    const codecs = globalThis.RTCRtpSender?.getCapabilities?.("video")?.codecs || [];
    const types = [...new Set(codecs.map((c) => c.mimeType.toLowerCase()))];
    for (const type of types.filter((t) => NAMES[t])) {
      by("publish-codec").append(new Option(NAMES[type], type));
    }
  }

  async function listDevices() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    for (const [id, kind, word] of [
      ["publish-camera", "videoinput", "Camera"], ["publish-microphone", "audioinput", "Microphone"],
    ]) {
      const select = by(id);
      const kept = select.value;
      const fixed = [...select.options].filter((option) => option.dataset.fixed !== undefined);
      const found = devices.filter((d) => d.kind === kind && d.deviceId && d.deviceId !== "default");
      select.replaceChildren(...fixed, ...found.map((d, at) => new Option(d.label || `${word} ${at + 1}`, d.deviceId)));
      select.value = kept;
      if (select.selectedIndex < 0) select.value = "";
    }
  }

  function recall() {
    try {
      const kept = JSON.parse(store.recall(KEPT) || "{}");
      for (const id of FIELDS) if (kept[id]) by(id).value = kept[id];
      if (by("publish-codec").selectedIndex < 0) by("publish-codec").selectedIndex = 0;
    } catch {
      // Nothing kept, or of another version.
    }
  }

  function keep() {
    store.keep(KEPT, JSON.stringify(Object.fromEntries(FIELDS.map((id) => [id, by(id).value]))));
  }

  // ---- camera, screen, microphone -------------------------------------------

  const source = () => document.querySelector("[name=source]:checked").value;
  const microphone = () => by("publish-microphone").value;

  async function acquire() {
    const run = (asking += 1);
    complain("");
    const [width, height] = by("publish-size").value.split("x").map(Number);
    const frameRate = { ideal: Number(by("publish-rate").value) };
    const exact = (id) => (by(id).value ? { deviceId: { exact: by(id).value } } : {});
    const sound = microphone() === "none" ? false : exact("publish-microphone");
    const tracks = [];
    try {
      if (source() === "screen") {
        const shared = await navigator.mediaDevices.getDisplayMedia({
          video: { width: { max: width }, height: { max: height }, frameRate }, audio: true,
        });
        tracks.push(...shared.getTracks());
        if (sound && !shared.getAudioTracks().length) {
          tracks.push(...(await navigator.mediaDevices.getUserMedia({ audio: sound })).getTracks());
        }
      } else {
        const video = source() === "none" ? false
          : { ...exact("publish-camera"), width: { ideal: width }, height: { ideal: height }, frameRate };
        if (!video && !sound) throw new DOMException("", "NothingChosen");
        tracks.push(...(await navigator.mediaDevices.getUserMedia({ video, audio: sound })).getTracks());
      }
    } catch (error) {
      for (const track of tracks) track.stop();
      if (run === asking) complain(denied(error, source()));
      return false;
    }
    if (run !== asking) {
      for (const track of tracks) track.stop();
      return false;
    }
    release();
    asking = run;
    media = new MediaStream(tracks);
    for (const track of tracks) {
      // Sharing a screen is ended in the browser's own bar.
      track.addEventListener("ended", () => {
        if (!media?.getTracks().includes(track)) return;
        if (wanted && track.kind === "video") leave("The source has ended.");
        else if (track.kind === "audio") complain("The microphone is gone.");
      });
    }
    applyToggles();
    preview.srcObject = media;
    preview.play().catch(() => {});
    listDevices();
    return true;
  }

  function release() {
    asking += 1;
    for (const track of media?.getTracks() || []) track.stop();
    media = null;
    preview.srcObject = null;
  }

  /** Another device or size: what is on air already goes on with it. */
  async function changed() {
    by("publish-camera").disabled = source() !== "camera";
    if (!media) return;
    const peer = link.peer;
    const kinds = () => media.getTracks().map((t) => t.kind).sort().join();
    const before = kinds();
    if (!(await acquire()) || !wanted || peer !== link.peer) {
      show();
      return;
    }
    if (kinds() !== before) {
      link.start(endpoint(), by("publish-token").value);
    } else {
      for (const sender of peer?.getSenders() || []) {
        const track = media.getTracks().find((t) => t.kind === sender.track?.kind);
        if (track) await sender.replaceTrack(track);
      }
    }
    show();
  }

  function toggle(kind, button) {
    const off = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(off));
    applyToggles(kind);
  }

  function applyToggles() {
    for (const [kind, id] of [["video", "publish-picture"], ["audio", "publish-voice"]]) {
      const off = by(id).getAttribute("aria-pressed") === "true";
      for (const track of media?.getTracks().filter((t) => t.kind === kind) || []) track.enabled = !off;
    }
  }

  // ---- on air -----------------------------------------------------------------

  const path = () => {
    const words = by("publish-name").value.trim().replace(/^\/+|\/+$/g, "");
    return words.includes("/") ? words : `live/${words}`;
  };
  const endpoint = () => `/${path().split("/").map(encodeURIComponent).join("/")}/whip`;

  async function begin() {
    keep();
    wanted = true;
    show();
    if (!media && !(await acquire())) {
      wanted = false;
      show();
      return;
    }
    if (!wanted) return;
    complain("");
    tiles.clear();
    link.start(endpoint(), by("publish-token").value);
    show();
  }

  function leave(why = "") {
    wanted = false;
    link.stop();
    release();
    if (why) complain(why);
    show();
  }

  function addTracks(peer, stream) {
    const chosen = by("publish-codec").value;
    const [video] = stream.getVideoTracks();
    const [audio] = stream.getAudioTracks();
    if (video) {
      if (source() === "screen") video.contentHint = "detail";
      const layers = by("publish-simulcast").checked;
      const sendEncodings = layers
        ? [{ rid: "h" }, { rid: "m", scaleResolutionDownBy: 2 }, { rid: "l", scaleResolutionDownBy: 4 }]
        : [{}];
      share(sendEncodings);
      const transceiver = peer.addTransceiver(video, { direction: "sendonly", streams: [stream], sendEncodings });
      const { codecs } = RTCRtpSender.getCapabilities("video");
      const type = (codec) => codec.mimeType.toLowerCase();
      transceiver.setCodecPreferences?.([
        ...codecs.filter((codec) => type(codec) === chosen),
        ...codecs.filter((codec) => type(codec) === "video/rtx"),
      ]);
    }
    if (audio) peer.addTransceiver(audio, { direction: "sendonly", streams: [stream] });
  }

  /** Spread the bit rate over the layers: a quarter of the pixels, a third of the bits. */
  function share(encodings) {
    const whole = Math.max(50, Number(by("publish-kbps").value) || 2500) * 1000;
    const weights = encodings.map((_, at) => 1 / 3 ** at);
    const sum = weights.reduce((a, b) => a + b, 0);
    encodings.forEach((encoding, at) => {
      encoding.maxBitrate = Math.round((whole * weights[at]) / sum);
      encoding.maxFramerate = Number(by("publish-rate").value);
    });
  }

  function limit(sender) {
    if (sender.track?.kind !== "video") return;
    const parameters = sender.getParameters();
    if (!parameters.encodings?.length) return;
    share(parameters.encodings);
    sender.setParameters(parameters).catch(() => {});
  }

  function reported(state, text, error) {
    if (state === "refused") {
      wanted = false;
      show();
      complain(refusedWords(text, error, path()));
      if (error.status === 401 || (error.status === 403 && by("publish-token").value)) by("publish-token").focus();
    } else if (state === "live" || state === "connecting") {
      complain("");
    }
    const words = state === "live" ? "On air" : state === "off" || state === "refused" ? "Not on air" : text;
    if (by("publish-state").textContent !== words) by("publish-state").textContent = words;
    by("publish-state").className = `chip flat ${state === "live" ? "live" : state === "off" || state === "refused" ? "" : "late"}`;
    show();
  }

  function measured(figures) {
    tiles.show(figures);
    const limits = { cpu: "held back by this machine", bandwidth: "held back by the connection", other: "held back" };
    const words = [
      figures.codec, figures.width ? `${figures.width}×${figures.height}` : "",
      figures.layers > 1 ? `${figures.layers} layers` : "", limits[figures.limit] || "",
    ];
    by("publish-facts").textContent = words.filter(Boolean).join(" · ");
  }

  function complain(text) {
    if (by("publish-error").textContent !== text) by("publish-error").textContent = text;
  }

  function show() {
    by("publish-start").textContent = wanted ? "Stop" : "Go live";
    by("publish-start").classList.toggle("stop", wanted);
    by("publish-look").textContent = media ? "Close the preview" : "Preview";
    by("publish-look").hidden = wanted;
    by("preview-none").hidden = Boolean(media);
    for (const id of ["publish-name", "publish-codec", "publish-simulcast", "publish-token"]) by(id).disabled = wanted;
    by("publish-stats").hidden = !wanted;
    named(wanted ? path() : "");
  }

  show();
  return {
    /** What the panel must know of the server. */
    server(server) {
      const off = !server.listeners.some((l) => l.name === "webrtc");
      by("publish-off").hidden = !off;
      by("publish-token-note").textContent = server.publish === "token"
        ? "This server asks publishers for one." : "Only if the server asks for one.";
    },
    opened() {
      if (!reason) listDevices();
    },
  };
}

function denied(error, source) {
  const what = source === "screen" ? "the screen" : source === "none" ? "the microphone" : "the camera or the microphone";
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return `The browser was not allowed to use ${what}. Allow it beside the page's address and try again.`;
    case "NotFoundError":
      return "There is no such camera or microphone. Plug one in, or choose another source.";
    case "NotReadableError":
    case "AbortError":
      return `Something else is using ${what}, or it has failed.`;
    case "OverconstrainedError":
      return "The chosen device is gone, or cannot do this size.";
    case "NothingChosen":
      return "Without picture and microphone there is nothing to publish.";
    default:
      return `${error.name}: ${error.message}`;
  }
}

function refusedWords(text, error, name) {
  const head = {
    400: "The server could not use the offer",
    401: "The server asks for a token",
    403: "The server does not allow it",
    404: "There is no WHIP at this address",
    405: "There is no WHIP at this address",
    409: `${name} cannot be published now`,
    422: "The server cannot take what this browser offers",
  }[error.status] || "It did not work";
  const said = text.replace("Refused: ", "");
  return said ? `${head}: ${said}` : `${head}.`;
}
