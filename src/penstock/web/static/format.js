// Numbers and names for people.

export function bits(bps) {
  if (!bps) return "0";
  if (bps < 1e6) return `${Math.round(bps / 1e3)} kbit/s`;
  return `${(bps / 1e6).toFixed(bps < 1e8 ? 2 : 0)} Mbit/s`;
}

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (count >= 1000 && at < units.length - 1) {
    count /= 1000;
    at += 1;
  }
  return `${at && count < 100 ? count.toFixed(1) : Math.round(count)} ${units[at]}`;
}

export function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n) => String(n).padStart(2, "0");
  if (s >= 86400) return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  if (s >= 3600) return `${Math.floor(s / 3600)}:${two(Math.floor((s % 3600) / 60))}:${two(s % 60)}`;
  return `${Math.floor(s / 60)}:${two(s % 60)}`;
}

const NAMES = {
  h264: "H.264", avc: "H.264", h265: "H.265", hevc: "H.265", av1: "AV1", vp8: "VP8",
  vp9: "VP9", aac: "AAC", opus: "Opus", mp3: "MP3", flac: "FLAC", ac3: "AC-3",
  eac3: "E-AC-3", "ac-3": "AC-3", "e-ac-3": "E-AC-3",
};

export function codec(track) {
  return NAMES[track.codec.toLowerCase()] || track.codec || "data";
}

export function size(track) {
  return track.width ? `${track.width}×${track.height}` : "";
}

export function fps(track) {
  return track.frame_rate ? `${Math.round(track.frame_rate * 10) / 10}` : "–";
}

export function channels(count) {
  return { 1: "mono", 2: "stereo", 6: "5.1", 8: "7.1" }[count] || (count ? `${count} ch` : "");
}
