// A line of samples over the last two minutes, on a canvas.

/** Samples that are shown, one a second. */
export const WINDOW = 120;

const style = getComputedStyle(document.documentElement);

export function push(series, value, most = WINDOW) {
  series.push(value);
  if (series.length > most) series.shift();
}

/**
 * Draw `series` (at most `most` samples, evenly apart, newest last) against its own
 * peak, or against `least` if it is always lower.
 */
export function draw(canvas, series, { axis = null, least = 1, most = WINDOW } = {}) {
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (!width) return;
  if (canvas.width !== Math.round(width * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const top = axis ? 14 : 2;
  const floor = height - (axis ? 16 : 1);
  const peak = ceiling(Math.max(least, ...series));
  const accent = style.getPropertyValue("--accent").trim();
  const line = style.getPropertyValue("--line").trim();
  const soft = style.getPropertyValue("--soft").trim();
  if (axis) {
    pen.strokeStyle = line;
    pen.lineWidth = 1;
    for (const y of [top, (top + floor) / 2, floor]) {
      pen.beginPath();
      pen.moveTo(0, Math.round(y) + 0.5);
      pen.lineTo(width, Math.round(y) + 0.5);
      pen.stroke();
    }
    pen.fillStyle = soft;
    pen.font = "11px system-ui, sans-serif";
    pen.fillText(axis(peak), 0, 10);
    pen.fillText("2 min ago", 0, height - 3);
    pen.textAlign = "right";
    pen.fillText("now", width, height - 3);
    pen.textAlign = "left";
  }
  if (series.length < 2) return;
  const x = (i) => width - ((series.length - 1 - i) * width) / (most - 1);
  const y = (v) => floor - (v / peak) * (floor - top);
  pen.beginPath();
  series.forEach((v, i) => (i ? pen.lineTo(x(i), y(v)) : pen.moveTo(x(i), y(v))));
  pen.strokeStyle = accent;
  pen.lineWidth = axis ? 1.8 : 1.4;
  pen.lineJoin = "round";
  pen.stroke();
  pen.lineTo(width, floor);
  pen.lineTo(x(0), floor);
  pen.globalAlpha = 0.13;
  pen.fillStyle = accent;
  pen.fill();
  pen.globalAlpha = 1;
}

// A round ceiling keeps the scale still while the rate wavers.
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((n) => n * power).find((n) => n >= value * 1.05) || 20 * power;
}
