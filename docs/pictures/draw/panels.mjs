// Which panel is drawn how; stat and bar gauge.
import { nameOf, numbers, rangeOf, reduced, shown } from './frames.mjs';
import { drawHeatmap } from './heatmap.mjs';
import { drawLines, nothing } from './lines.mjs';
import { LOUD, box, cut, label, round, widthOf } from './svg.mjs';
import { drawTable } from './table.mjs';
import { drawTimeline } from './timeline.mjs';

/** @typedef {import('./frames.mjs').Frame} Frame */
/** @typedef {import('./frames.mjs').Field} Field */
/** @typedef {import('./lines.mjs').Room} Room */

/** @type {Record<string, (panel: any, frames: Frame[], room: Room) => string>} */
const DRAWN = {
  bargauge: drawBars,
  gauge: drawBars,
  heatmap: drawHeatmap,
  stat: drawStats,
  'state-timeline': drawTimeline,
  table: drawTable,
  timeseries: drawLines,
};

/**
 * @param {any} panel
 * @param {Frame[]} frames
 * @param {Room} room
 */
export function drawn(panel, frames, room) {
  const draw = DRAWN[panel.type];
  if (!draw) throw new Error(`no drawing of a ${panel.type} panel: add one to panels.mjs`);
  return draw(panel, frames, room);
}

/**
 * One value of each series, as `reduceOptions` says.
 *
 * @param {any} panel
 * @param {Frame[]} frames
 */
function values(panel, frames) {
  const calc = panel.options?.reduceOptions?.calcs?.[0] ?? 'lastNotNull';
  return numbers(frames)
    .filter(({ field }) => field.values.length)
    .map(({ field, frame }) => {
      const value = reduced(field, calc);
      return { field, frame, value, name: nameOf(field, frame, frames), ...shown(field, value) };
    });
}

// === stat ===

/** @param {any} panel @param {Frame[]} frames @param {Room} room */
function drawStats(panel, frames, room) {
  const { colorMode, graphMode, textMode, orientation } = panel.options ?? {};
  const all = values(panel, frames);
  if (!all.length) return nothing(panel, room);
  const named =
    textMode === 'value_and_name' ||
    textMode === 'name' ||
    (textMode !== 'value' && textMode !== 'none' && all.length > 1);
  const across = orientation === 'vertical' || (orientation !== 'horizontal' && room.width > room.height);
  const [columns, rows] = across ? [all.length, 1] : [1, all.length];
  const [wide, high] = [room.width / columns, room.height / rows];
  return all
    .map((one, index) => {
      const [x, y] = [(index % columns) * wide, Math.floor(index / columns) * high];
      const filled = colorMode?.startsWith('background');
      const back = filled
        ? box(x + 2, y + 2, wide - 4, high - 4, one.color, 'rx="3" fill-opacity="0.85"')
        : '';
      const spark =
        graphMode === 'area' || graphMode === 'line' ? course(one, { x, y, wide, high, filled }) : '';
      const value = textMode === 'name' ? one.name : one.text;
      const size = fitting(
        value,
        wide - 20,
        named ? high * 0.42 : high * 0.52,
        panel.options?.text?.valueSize,
      );
      const color = filled ? '#fff' : colorMode === 'none' ? LOUD : one.color;
      const middle = y + high / 2;
      const title =
        named && textMode !== 'name'
          ? label(x + wide / 2, middle - size * 0.5, cut(one.name, 13, wide - 16), {
              size: 13,
              anchor: 'middle',
              color: filled ? '#fff' : LOUD,
              weight: 500,
            })
          : '';
      const under = title ? size * 0.56 : size * 0.36;
      return (
        back +
        spark +
        title +
        label(x + wide / 2, middle + under, value, { size, color, anchor: 'middle', weight: 500 })
      );
    })
    .join('');
}

/** @param {string} text @param {number} width @param {number} height @param {number} [given] */
function fitting(text, width, height, given) {
  return round(Math.max(11, Math.min(given ?? 44, height, width / Math.max(widthOf(text, 1), 0.1), 44)));
}

/** @param {{ field: Field, frame: Frame, color: string }} one @param {{ x: number, y: number, wide: number, high: number, filled: boolean }} at */
function course({ field, frame, color }, { x, y, wide, high, filled }) {
  const known = field.values
    .map((value, index) => [frame.fields[0]?.values[index], value])
    .filter(([, value]) => value !== null && Number.isFinite(value));
  if (known.length < 2) return '';
  const [first, last] = [known[0]?.[0], known.at(-1)?.[0]];
  const low = Math.min(...known.map(([, value]) => value), field.config.min ?? Infinity);
  const top = Math.max(...known.map(([, value]) => value), low + 1e-9);
  const points = known.map(
    ([at, value]) =>
      `${round(x + 2 + ((at - first) / (last - first)) * (wide - 4))},${round(y + high - 4 - ((value - low) / (top - low)) * high * 0.34)}`,
  );
  const ink = filled ? '#ffffff' : color;
  return `<path d="M${points.join('L')}L${round(x + wide - 2)},${round(y + high - 2)}L${round(x + 2)},${round(y + high - 2)}Z" fill="${ink}" fill-opacity="0.18"/><path d="M${points.join('L')}" fill="none" stroke="${ink}" stroke-opacity="0.7" stroke-width="1.3"/>`;
}

// === bar gauge ===

/** @param {any} panel @param {Frame[]} frames @param {Room} room */
function drawBars(panel, frames, room) {
  const all = values(panel, frames);
  if (!all.length) return nothing(panel, room);
  const most = Math.max(1, Math.floor(room.height / 20));
  const rows = all.slice(0, most);
  const high = Math.min(room.height / rows.length, 44);
  const names = Math.min(Math.max(...rows.map(({ name }) => widthOf(name, 12))) + 12, room.width * 0.45);
  const texts = Math.max(...rows.map(({ text }) => widthOf(text, 14))) + 14;
  return rows
    .map(({ field, name, value, text, color }, index) => {
      const y = index * high;
      const { low, top } = rangeOf(field);
      const wide = room.width - names - texts - 12;
      const share =
        top > low && Number.isFinite(value) ? Math.min(Math.max((value - low) / (top - low), 0), 1) : 0;
      return [
        label(8, y + high / 2 + 4, cut(name, 12, names - 12), { color: LOUD }),
        box(names, y + 4, wide, high - 8, 'rgba(204, 204, 220, 0.07)', 'rx="2"'),
        box(names, y + 4, Math.max(wide * share, 2), high - 8, color, 'rx="2" fill-opacity="0.55"'),
        box(names + Math.max(wide * share, 2) - 2, y + 4, 2, high - 8, color),
        label(room.width - 8, y + high / 2 + 5, text, { size: 14, color, anchor: 'end', weight: 500 }),
      ].join('');
    })
    .join('');
}
