// Asking the server, and what it says when it refuses.

/** Send `value` as JSON; answers the response, or one that is not `ok` if none came. */
export async function send(path, value, method = "POST") {
  try {
    return await fetch(path, {
      method,
      headers: { "Content-Type": "application/json" },
      body: value === undefined ? undefined : JSON.stringify(value),
    });
  } catch {
    return new Response("", { status: 503 });
  }
}

/** The sentence that came with a refusal. */
export async function reason(answer) {
  try {
    return (await answer.json()).error;
  } catch {
    return "The server did not answer.";
  }
}
