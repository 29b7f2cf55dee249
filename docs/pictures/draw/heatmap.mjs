// Buckets over time, the fuller the brighter.
import { schemes } from '../../../tests/grafana/data.mjs';
import { named, shown } from './frames.mjs';
import { nothing, tickText, timeAxis } from './lines.mjs';
import { GRID, LOUD, box, label, rule, widthOf } from './svg.mjs';

/** @typedef {import('./frames.mjs').Frame} Frame */
/** @typedef {import('./frames.mjs').Field} Field */
/** @typedef {import('./lines.mjs').Room} Room */

/** @param {any} panel @param {Frame[]} frames @param {Room} room */
export function drawHeatmap(panel, frames, room) {
  const frame = frames[0];
  const fields = frame?.fields.slice(1) ?? [];
  const times = frame?.fields[0]?.values ?? [];
  const cells = fields.flatMap((field) => field.values);
  if (!cells.some((value) => value > 0)) return nothing(panel, room);
  const { color = {}, yAxis = {}, filterValues = {} } = panel.options ?? {};
  const kept = fields.filter((field) => field.values.some((value) => value > 0));
  const [first, last] = [
    fields.indexOf(/** @type {Field} */ (kept[0])),
    fields.indexOf(/** @type {Field} */ (kept.at(-1))),
  ];
  const rows = fields.slice(Math.max(0, first - 1), last + 2);
  const unit = { .../** @type {Field} */ (rows[0]), config: { unit: yAxis.unit ?? 's' }, display: undefined };
  const edge = (/** @type {Field} */ field) =>
    field.name === '+Inf' ? '+Inf' : tickText(/** @type {any} */ (unit), Number(field.name));
  const left = Math.max(...rows.map((field) => widthOf(edge(field), 12))) + 14;
  const plot = { top: 6, bottom: room.height - 18 - 22, left, right: room.width - 8 };
  const x = (/** @type {number} */ at) =>
    plot.left + ((at - room.from) / (room.to - room.from)) * (plot.right - plot.left);
  const high = (plot.bottom - plot.top) / rows.length;
  const most = Math.max(...cells);
  const ink = inkOf(color, most);
  const step = times.length > 1 ? times[1] - times[0] : 5000;
  const every = Math.ceil(16 / high);
  const drawn = rows.map((field, row) => {
    const y = plot.bottom - (row + 1) * high;
    const tick = row % every === 0 ? label(plot.left - 6, y + 4, edge(field), { anchor: 'end' }) : '';
    const cells = field.values.map((value, index) => {
      if (!(value > (filterValues.le ?? 1e-9))) return '';
      const [start, end] = [x(times[index]), Math.min(x(times[index] + step), plot.right)];
      // Between narrow cells a gap would be half of what is seen.
      const gap = end - start > 8 ? 1 : 0;
      return box(start, y + 0.5, end - start - gap, high - 1, ink(value), 'shape-rendering="crispEdges"');
    });
    return tick + rule(plot.left, y, plot.right, y, GRID) + cells.join('');
  });
  return timeAxis(plot, room, x).join('') + drawn.join('') + scale(ink, most, panel, fields[0], room);
}

/** @param {any} color @param {number} most */
function inkOf(color, most) {
  const share = (/** @type {number} */ value) =>
    color.scale === 'linear' ? value / most : (value / most) ** (color.exponent ?? 0.5);
  if (color.mode === 'opacity')
    return (/** @type {number} */ value) =>
      withAlpha(named(color.fill ?? 'dark-orange'), 0.15 + 0.85 * share(value));
  const scheme = schemes[`interpolate${color.scheme ?? 'Oranges'}`] ?? (() => LOUD);
  // On a dark page Grafana turns the scheme round, so that little is dark.
  return (/** @type {number} */ value) => scheme(color.reverse ? share(value) : 1 - share(value));
}

/** @param {string} color @param {number} alpha */
function withAlpha(color, alpha) {
  return `color-mix(in srgb, ${color} ${Math.round(alpha * 100)}%, transparent)`;
}

/** @param {(value: number) => string} ink @param {number} most @param {any} panel @param {Field | undefined} field @param {Room} room */
function scale(ink, most, panel, field, room) {
  const [wide, y] = [140, room.height - 14];
  const bars = Array.from({ length: 28 }, (_, index) =>
    box(8 + (index * wide) / 28, y, wide / 28 + 0.5, 8, ink(((index + 1) / 28) * most)),
  );
  const unit = {
    ...field,
    config: {
      unit: panel.options?.cellValues?.unit ?? 'short',
      decimals: panel.options?.cellValues?.decimals ?? 1,
    },
    display: undefined,
  };
  return bars.join('') + label(8 + wide + 8, y + 9, `up to ${shown(/** @type {any} */ (unit), most).text}`);
}
