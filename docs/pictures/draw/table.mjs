// A table, with what its columns' overrides say.
import { nameOf, shown } from './frames.mjs';
import { nothing } from './lines.mjs';
import { GRID, LOUD, box, cut, label, rule } from './svg.mjs';

/** @typedef {import('./frames.mjs').Frame} Frame */
/** @typedef {import('./frames.mjs').Field} Field */
/** @typedef {import('./lines.mjs').Room} Room */

const ROW = 28;

/** @param {any} panel @param {Frame[]} frames @param {Room} room */
export function drawTable(panel, frames, room) {
  const frame = frames[panel.options?.frameIndex ?? 0];
  const fields =
    frame?.fields.filter(({ config }) => !(config.custom?.hidden || config.custom?.hideFrom?.viz)) ?? [];
  if (!frame?.length || !fields.length) return nothing(panel, room);
  const order = sortedRows(panel, frames, frame);
  const widths = columnWidths(fields, frame, frames, room.width - 16);
  const right = (/** @type {Field} */ field) =>
    field.config.custom?.align === 'right' ||
    (field.type === 'number' && (field.config.custom?.align ?? 'auto') === 'auto');
  let x = 8;
  const columns = fields.map((field, column) => {
    const [start, wide] = [x, widths[column] ?? 0];
    x += wide;
    const at = right(field) ? start + wide - 8 : start + 4;
    const anchor = right(field) ? 'end' : 'start';
    const head = label(at, 17, cut(nameOf(field, frame, frames), 12, wide - 10), {
      anchor,
      color: '#6e9fff',
      weight: 500,
    });
    const body = order.map((row, line) => {
      const y = (line + 1) * ROW;
      if (y + ROW > room.height) return '';
      const { text, color } = shown(field, field.values[row]);
      const type = field.config.custom?.cellOptions?.type;
      const back = type?.startsWith('color-background')
        ? box(start + 1, y + 2, wide - 2, ROW - 4, color, 'fill-opacity="0.75"')
        : '';
      const ink = back
        ? '#fff'
        : type === 'color-text'
          ? color
          : field.config.links?.length
            ? '#6e9fff'
            : LOUD;
      return back + label(at, y + 18, cut(text, 12.5, wide - 12), { size: 12.5, anchor, color: ink });
    });
    return head + body.join('');
  });
  const lines = order.map((_, line) =>
    (line + 1) * ROW < room.height ? rule(0, (line + 1) * ROW, room.width, (line + 1) * ROW, GRID) : '',
  );
  return lines.join('') + columns.join('');
}

/** @param {any} panel @param {Frame[]} frames @param {Frame} frame */
function sortedRows(panel, frames, frame) {
  const [by] = panel.options?.sortBy ?? [];
  const rows = Array.from({ length: frame.length }, (_, row) => row);
  const field = frame.fields.find((field) => nameOf(field, frame, frames) === by?.displayName);
  if (!field) return rows;
  const way = by.desc ? -1 : 1;
  return rows.sort((one, other) =>
    field.values[one] > field.values[other] ? way : field.values[one] < field.values[other] ? -way : 0,
  );
}

/** Widths that are said are kept, and the rest is shared. @param {Field[]} fields @param {Frame} frame @param {Frame[]} frames @param {number} width */
function columnWidths(fields, frame, frames, width) {
  const said = fields.map((field) => field.config.custom?.width || undefined);
  const free = said.filter((wide) => !wide).length;
  const rest = Math.max(width - said.reduce((sum, wide) => sum + (wide ?? 0), 0), free * 60);
  const widths = said.map((wide) => wide ?? rest / free);
  const total = widths.reduce((sum, wide) => sum + wide, 0);
  return total > width || !free ? widths.map((wide) => (wide * width) / total) : widths;
}
