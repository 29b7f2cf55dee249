// The legend of time series: a list, or a table with what each adds up to.
import { reduced, shown } from './frames.mjs';
import { box, cut, label, widthOf } from './svg.mjs';

/** @typedef {import('./lines.mjs').Line} Line */
/** @typedef {import('./lines.mjs').Room} Room */

const LEGEND = 18;

/**
 * @param {any} panel
 * @param {Line[]} all
 * @param {Room} room
 */
export function legendOf(panel, all, room) {
  const options = panel.options?.legend ?? { showLegend: true, displayMode: 'list', calcs: [] };
  const lines = all.filter(({ custom }) => !custom.hideFrom?.legend);
  if (!options.showLegend || !lines.length) return { height: 0, svg: '' };
  return options.displayMode === 'table'
    ? legendTable(lines, options.calcs ?? [], room, options)
    : legendList(lines, options.calcs ?? [], room);
}

/** @param {string} calc */
function titled(calc) {
  return (
    { lastNotNull: 'Last', last: 'Last', max: 'Max', min: 'Min', mean: 'Mean', sum: 'Total' }[calc] ?? calc
  );
}

/** @param {Line[]} lines @param {string[]} calcs @param {Room} room */
function legendList(lines, calcs, room) {
  let [x, row] = [8, 0];
  const placed = lines.map(({ field, name, color }) => {
    const values = calcs
      .map((calc) => `${titled(calc)}: ${shown(field, reduced(field, calc)).text}`)
      .join('  ');
    const text = cut(values ? `${name}  ${values}` : name, 12, room.width - 36);
    const wide = widthOf(text, 12) + 32;
    if (x > 8 && x + wide > room.width) [x, row] = [8, row + 1];
    const here = { x, row, text, color };
    x += wide;
    return here;
  });
  const rows = Math.min(row + 1, Math.max(1, Math.floor(room.height / 3 / LEGEND)));
  const top = room.height - rows * LEGEND + 2;
  const svg = placed
    .filter((item) => item.row < rows)
    .map((item) => entry(item.x, top + item.row * LEGEND + 8, item.text, item.color));
  return { height: rows * LEGEND + 2, svg: svg.join('') };
}

/** @param {number} x @param {number} y @param {string} text @param {string} color */
function entry(x, y, text, color) {
  return box(x, y - 5, 14, 4, color, 'rx="2"') + label(x + 20, y + 1, text);
}

/** @param {Line[]} lines @param {string[]} calcs @param {Room} room @param {any} options */
function legendTable(lines, calcs, room, options) {
  const by = calcs.find(
    (calc) => titled(calc) === options.sortBy || titled(calc) === String(options.sortBy).replace(/ \*$/, ''),
  );
  const sorted = by
    ? [...lines].sort(
        (one, other) => (reduced(one.field, by) - reduced(other.field, by)) * (options.sortDesc ? -1 : 1),
      )
    : lines;
  const rows = sorted.slice(0, Math.max(2, Math.floor((room.height * 0.36) / LEGEND) - 1));
  const column = 74;
  const top = room.height - (rows.length + 1) * LEGEND + 4;
  const right = (/** @type {number} */ index) => room.width - 10 - (calcs.length - 1 - index) * column;
  const head = [
    label(28, top + 8, 'Name', { color: '#6e9fff', weight: 500 }),
    ...calcs.map((calc, index) =>
      label(right(index), top + 8, titled(calc), { anchor: 'end', color: '#6e9fff', weight: 500 }),
    ),
  ];
  const body = rows.map(({ field, name, color }, row) => {
    const y = top + (row + 1) * LEGEND + 8;
    const cells = calcs.map((calc, index) =>
      label(right(index), y + 1, shown(field, reduced(field, calc)).text, { anchor: 'end' }),
    );
    return entry(8, y, cut(name, 12, room.width - 40 - calcs.length * column), color) + cells.join('');
  });
  return { height: (rows.length + 1) * LEGEND + 4, svg: [...head, ...body].join('') };
}
