// WHIP and WHEP as a browser speaks them: offer, restart, goodbye.

const PATIENCE_MS = 8000;
const GOODBYE_MS = 1500;
const SDP = "application/sdp";
const FRAGMENT = "application/trickle-ice-sdpfrag";

/** The server said no, or (with status 0) nothing at all. */
export class Refused extends Error {
  constructor(status, detail, retryAfter = 0) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/**
 * Send the offer that `peer` would make, and take the answer.
 *
 * Returns `{ url, answer }`: where the session is, and the answer as it came.
 */
export async function offer(peer, endpoint, token) {
  const description = await peer.createOffer();
  const headers = { "Content-Type": SDP };
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await ask(endpoint, { method: "POST", headers, body: description.sdp });
  if (response.status !== 201) throw await refusal(response);
  const place = response.headers.get("Location");
  if (!place) throw new Refused(502, "The server named no session");
  const url = new URL(place, response.url).href;
  const answer = await response.text();
  try {
    // The servers to gather with come with the answer, so gathering begins after it.
    const iceServers = linkedServers(response.headers.get("Link"));
    if (iceServers.length) peer.setConfiguration({ ...peer.getConfiguration(), iceServers });
    await peer.setLocalDescription(description);
    await peer.setRemoteDescription({ type: "answer", sdp: answer });
  } catch (error) {
    leave(url);
    throw error;
  }
  return { url, answer };
}

/** Restart ICE; the media goes on where it was as soon as a path is found. */
export async function restart(peer, session) {
  const description = await peer.createOffer({ iceRestart: true });
  await peer.setLocalDescription(description);
  const sdp = description.sdp;
  const body = [
    `a=ice-ufrag:${attribute(sdp, "ice-ufrag")}`,
    `a=ice-pwd:${attribute(sdp, "ice-pwd")}`,
    "a=ice-options:trickle",
    "",
  ].join("\r\n");
  const response = await ask(session.url, {
    method: "PATCH",
    headers: { "Content-Type": FRAGMENT, "If-Match": "*" },
    body,
  });
  if (response.status !== 200) throw await refusal(response);
  const fragment = await response.text();
  const answer = withCredentials(
    session.answer, attribute(fragment, "ice-ufrag"), attribute(fragment, "ice-pwd"));
  await peer.setRemoteDescription({ type: "answer", sdp: answer });
  session.answer = answer;
}

/** End a session; works while the page goes away too. Settles once it is done. */
export async function leave(url) {
  const signal = AbortSignal.timeout(GOODBYE_MS);
  try {
    await fetch(url, { method: "DELETE", keepalive: true, signal });
  } catch {
    // The server will notice by itself.
  }
}

async function ask(url, options) {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  try {
    return await fetch(url, { ...options, cache: "no-store", signal });
  } catch {
    throw new Refused(0, "The server does not answer");
  }
}

async function refusal(response) {
  const text = await response.text().catch(() => "");
  let said = "";
  try {
    const problem = JSON.parse(text);
    said = problem.detail || problem.title || problem.error || "";
  } catch {
    said = text.startsWith("<") ? "" : text;
  }
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  return new Refused(response.status, said.trim().slice(0, 300), retryAfter);
}

function attribute(sdp, name) {
  const found = sdp.match(new RegExp(`^a=${name}:(.*?)\\r?$`, "m"));
  return found ? found[1] : "";
}

function withCredentials(sdp, ufrag, pwd) {
  return sdp
    .replace(/^a=ice-ufrag:.*?(\r?)$/gm, `a=ice-ufrag:${ufrag}$1`)
    .replace(/^a=ice-pwd:.*?(\r?)$/gm, `a=ice-pwd:${pwd}$1`);
}

/** Read `<stun:…>; rel="ice-server"; username="…"` and the like. */
function linkedServers(header) {
  const servers = [];
  for (const [, url, rest] of (header || "").matchAll(/<([^>]*)>((?:[^,"]|"(?:\\.|[^"\\])*")*)/g)) {
    const value = (name) => {
      const found = rest.match(new RegExp(`;\\s*${name}\\s*=\\s*(?:"((?:\\\\.|[^"\\\\])*)"|([^;,\\s]+))`, "i"));
      return found ? (found[1] ?? found[2]).replace(/\\(.)/g, "$1") : "";
    };
    if (value("rel") !== "ice-server") continue;
    const server = { urls: url };
    if (value("username")) server.username = value("username");
    if (value("credential")) server.credential = value("credential");
    servers.push(server);
  }
  return servers;
}
