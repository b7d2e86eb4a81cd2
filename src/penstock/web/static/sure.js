// A button that does what cannot be undone: the first press only asks.

const PATIENCE_MS = 3000;

/** Call `act()` at the second press; `asked()` is told of the first. */
export function sure(button, act, asked = () => {}) {
  const label = button.textContent;
  let timer = 0;

  function disarm() {
    clearTimeout(timer);
    timer = 0;
    button.textContent = label;
    button.classList.remove("sure");
  }

  button.addEventListener("click", async () => {
    if (!timer) {
      timer = setTimeout(disarm, PATIENCE_MS);
      button.textContent = "Sure?";
      button.classList.add("sure");
      asked();
      return;
    }
    disarm();
    button.disabled = true;
    await act();
    button.disabled = false;
  });
}
