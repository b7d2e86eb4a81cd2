// What the browser keeps for the page; a browser that keeps nothing is no error.

export function recall(name, store = "localStorage") {
  try {
    return globalThis[store].getItem(name) || "";
  } catch {
    return "";
  }
}

export function keep(name, value, store = "localStorage") {
  try {
    globalThis[store].setItem(name, value);
  } catch {
    // Storage is full or forbidden.
  }
}
