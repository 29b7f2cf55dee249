// States over time, a row for each series.
import { nameOf, numbers, shown } from './frames.mjs';
import { nothing, timeAxis } from './lines.mjs';
import { LOUD, box, cut, label, widthOf } from './svg.mjs';

/** @typedef {import('./frames.mjs').Frame} Frame */
/** @typedef {import('./frames.mjs').Field} Field */
/** @typedef {import('./lines.mjs').Room} Room */

/** @param {any} panel @param {Frame[]} frames @param {Room} room */
export function drawTimeline(panel, frames, room) {
  const rows = numbers(frames).filter(({ field }) => field.values.length);
  if (!rows.length) return nothing(panel, room);
  const legend = stateLegend(
    panel,
    rows.map(({ field }) => field),
    room,
  );
  const left = Math.min(
    Math.max(...rows.map(({ field, frame }) => widthOf(nameOf(field, frame, frames), 12))) + 16,
    room.width * 0.4,
  );
  const plot = { top: 4, bottom: room.height - 18 - legend.height, left, right: room.width - 8 };
  const x = (/** @type {number} */ at) =>
    plot.left + ((at - room.from) / (room.to - room.from)) * (plot.right - plot.left);
  const high = (plot.bottom - plot.top) / rows.length;
  const thick = high * Math.min(panel.options?.rowHeight ?? 0.9, 0.9);
  const bars = rows.map(({ field, frame }, row) => {
    const y = plot.top + row * high + (high - thick) / 2;
    const opacity = (field.config.custom?.fillOpacity ?? 70) / 100;
    const parts = stretches(field, frame).map(({ from, to, value }) => {
      const { text, color } = shown(field, value);
      const [start, end] = [x(from), Math.min(x(to), plot.right)];
      const says =
        panel.options?.showValue !== 'never' && widthOf(text, 12) < end - start - 8
          ? label(start + 6, y + thick / 2 + 4, text, { color: '#fff', weight: 500 })
          : '';
      return box(start, y, end - start, thick, color, `fill-opacity="${opacity}"`) + says;
    });
    return (
      label(8, y + thick / 2 + 4, cut(nameOf(field, frame, frames), 12, left - 14), { color: LOUD }) +
      parts.join('')
    );
  });
  return timeAxis(plot, room, x).join('') + bars.join('') + legend.svg;
}

/**
 * Equal values that follow one another.
 *
 * @param {Field} field
 * @param {Frame} frame
 */
function stretches(field, frame) {
  const times = frame.fields[0]?.values ?? [];
  const step = times.length > 1 ? times[1] - times[0] : 5000;
  /** @type {Array<{ from: number, to: number, value: unknown }>} */
  const found = [];
  field.values.forEach((value, index) => {
    const last = found.at(-1);
    if (value === null) return;
    if (last && last.value === value && times[index] - last.to < step / 2) last.to = times[index] + step;
    else found.push({ from: times[index], to: times[index] + step, value });
  });
  return found;
}

/** @param {any} panel @param {Field[]} fields @param {Room} room */
function stateLegend(panel, fields, room) {
  if (!panel.options?.legend?.showLegend) return { height: 0, svg: '' };
  const seen = new Map();
  for (const field of fields)
    for (const value of field.values)
      if (value !== null) seen.set(shown(field, value).text, shown(field, value).color);
  let x = 8;
  const svg = [...seen].map(([text, color]) => {
    const here = x;
    x += widthOf(text, 12) + 34;
    return box(here, room.height - 11, 14, 4, color, 'rx="2"') + label(here + 20, room.height - 5, text);
  });
  return { height: 20, svg: svg.join('') };
}
