// Time series: lines, areas, bars, stacks, thresholds.
import { colorOf, nameOf, named, numbers, shown } from './frames.mjs';
import { legendOf } from './legend.mjs';
import { scaleOf } from './scales.mjs';
import { GRID, box, clock, label, round, rule, widthOf } from './svg.mjs';

/** @typedef {import('./frames.mjs').Frame} Frame */
/** @typedef {import('./frames.mjs').Field} Field */
/** @typedef {{ width: number, height: number, from: number, to: number }} Room the space in pixels, the time in milliseconds */
/** @typedef {{ field: Field, frame: Frame, name: string, color: string, custom: any, times: number[], values: Array<number | null>, under: number[] }} Line */
/** @typedef {{ low: number, high: number, field: Field, y: (value: number) => number, marks: number[] }} Axis */

/** How far ticks are apart at least, in pixels: as high as their text. */
const LEAST = 15;

/**
 * @param {any} panel
 * @param {Frame[]} frames
 * @param {Room} room
 */
export function drawLines(panel, frames, room) {
  const lines = linesOf(frames);
  if (!lines.length) return nothing(panel, room);
  const legend = legendOf(panel, lines, room);
  const sides = [
    lines.filter(({ custom }) => custom.axisPlacement !== 'right'),
    lines.filter(({ custom }) => custom.axisPlacement === 'right'),
  ];
  const plot = { top: 6, bottom: room.height - 18 - legend.height, left: 0, right: room.width - 8 };
  const axes = sides.map((side) => (side.length ? axisOf(side, plot) : undefined));
  const [left, right] = axes;
  plot.left = left ? widest(left) + 10 : 8;
  if (right) plot.right -= widest(right) + 4;
  const x = (/** @type {number} */ at) =>
    plot.left + ((at - room.from) / (room.to - room.from)) * (plot.right - plot.left);
  const drawn = [
    grid(left ?? right, plot),
    timeAxis(plot, room, x),
    left
      ? left.marks.map((mark) =>
          label(plot.left - 6, left.y(mark) + 4, tickText(left.field, mark), { anchor: 'end' }),
        )
      : [],
    right
      ? right.marks.map((mark) => label(plot.right + 6, right.y(mark) + 4, tickText(right.field, mark)))
      : [],
    thresholds(lines[0], left ?? right, plot),
    `<g clip-path="inset(0)">${sides.map((side, index) => side.map((line) => draw(line, axes[index], x, plot)).join('')).join('')}</g>`,
    legend.svg,
  ];
  return drawn.flat(2).join('');
}

/**
 * What an empty panel says.
 *
 * @param {any} panel
 * @param {Room} room
 */
export function nothing(panel, { width, height }) {
  const says = panel.fieldConfig?.defaults?.noValue ?? 'No data';
  const [first, ...rest] = wrapped(says, 12, width - 40);
  return [first, ...rest]
    .map((line, index) =>
      label(width / 2, height / 2 + index * 16 - rest.length * 8, line ?? '', { anchor: 'middle' }),
    )
    .join('');
}

/** @param {string} text @param {number} size @param {number} width */
export function wrapped(text, size, width) {
  /** @type {string[]} */
  const lines = [];
  for (const word of text.split(' ')) {
    const longer = `${lines.at(-1) ?? ''} ${word}`.trim();
    if (lines.length && widthOf(longer, size) <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/**
 * @param {Frame[]} frames
 * @returns {Line[]}
 */
function linesOf(frames) {
  const found = numbers(frames).filter(({ field }) => !field.config.custom?.hideFrom?.viz);
  const below = new Map();
  return found.map(({ field, frame }) => {
    const custom = field.config.custom ?? {};
    const times = frame.fields[0]?.values ?? [];
    const stacked = custom.stacking?.mode === 'normal';
    const group = custom.stacking?.group ?? 'A';
    const sums = below.get(group) ?? new Map();
    const under = times.map((at) => (stacked ? (sums.get(at) ?? 0) : 0));
    const values = field.values.map((value, index) =>
      value === null || !stacked ? value : value + (under[index] ?? 0),
    );
    if (stacked) times.forEach((at, index) => sums.set(at, values[index] ?? under[index]));
    below.set(group, sums);
    return {
      field,
      frame,
      name: nameOf(field, frame, frames),
      color: colorOf(field),
      custom,
      times,
      values,
      under,
    };
  });
}

// === axes ===

/**
 * @param {Line[]} lines
 * @param {{ top: number, bottom: number }} plot
 * @returns {Axis}
 */
function axisOf(lines, plot) {
  const [{ field, custom }] = /** @type {[Line]} */ (lines);
  const stacked = (/** @type {Line} */ line) => (line.custom.stacking?.mode === 'normal' ? line.under : []);
  const values = lines
    .flatMap((line) => [...line.values, ...stacked(line)])
    .filter((value) => value !== null);
  const extent = {
    low: field.config.min ?? Math.min(...values, custom.axisSoftMin ?? Infinity),
    high: field.config.max ?? Math.max(...values, custom.axisSoftMax ?? -Infinity),
    fixed: { low: field.config.min != null, high: field.config.max != null },
    most: Math.max(2, Math.floor((plot.bottom - plot.top) / 32)),
    unit: field.config.unit,
  };
  const { low, high, marks, bend } = scaleOf(custom.scaleDistribution ?? { type: 'linear' }, extent);
  const share = (/** @type {number} */ value) => (bend(value) - bend(low)) / (bend(high) - bend(low));
  const y = (/** @type {number} */ value) => plot.bottom - share(value) * (plot.bottom - plot.top);
  /** @type {number[]} */
  const apart = [];
  for (const mark of marks.filter((mark) => mark >= low && mark <= high * 1.0001)) {
    if (!apart.length || y(apart.at(-1) ?? 0) - y(mark) >= LEAST) apart.push(mark);
  }
  return { low, high, field, y, marks: apart };
}

/** A tick's value without zeros that say nothing. @param {Field} field @param {number} mark */
export function tickText(field, mark) {
  return shown(field, mark)
    .text.replace(/(\.\d*?)0+(?!\d)/, '$1')
    .replace(/\.(?!\d)/, '');
}

/** @param {Axis} axis */
function widest({ field, marks }) {
  return Math.max(...marks.map((mark) => widthOf(tickText(field, mark), 12)));
}

/** @param {Axis | undefined} axis @param {{ left: number, right: number }} plot */
function grid(axis, plot) {
  return (axis?.marks ?? []).map((mark) =>
    rule(plot.left, axis?.y(mark) ?? 0, plot.right, axis?.y(mark) ?? 0, GRID),
  );
}

/**
 * @param {{ top: number, bottom: number, left: number, right: number }} plot
 * @param {Room} room
 * @param {(at: number) => number} x
 */
export function timeAxis(plot, room, x) {
  const marks = clock(room.from, room.to, Math.max(1, Math.floor((plot.right - plot.left) / 70)));
  const inside = marks.filter(
    ({ at, text }) => x(at) + widthOf(text, 12) / 2 < room.width && x(at) - widthOf(text, 12) / 2 > 0,
  );
  return inside.map(
    ({ at, text }) =>
      rule(x(at), plot.top, x(at), plot.bottom, GRID) +
      label(x(at), plot.bottom + 14, text, { anchor: 'middle' }),
  );
}

/**
 * @param {Line | undefined} line
 * @param {Axis | undefined} axis
 * @param {{ top: number, bottom: number, left: number, right: number }} plot
 */
function thresholds(line, axis, plot) {
  const mode = line?.custom.thresholdsStyle?.mode ?? 'off';
  const steps = line?.field.config.thresholds?.steps ?? [];
  if (!axis || mode === 'off') return [];
  return steps
    .filter(
      ({ value }) => value !== null && Number.isFinite(value) && value >= axis.low && value <= axis.high,
    )
    .map(({ value, color }) => {
      const y = axis.y(value ?? 0);
      const dash = mode.includes('dashed') ? 'stroke-dasharray="6 5"' : '';
      const area = mode.includes('area')
        ? box(plot.left, plot.top, plot.right - plot.left, y - plot.top, named(color), 'fill-opacity="0.06"')
        : '';
      return (
        area +
        rule(plot.left, y, plot.right, y, named(color), `stroke-width="1.2" stroke-opacity="0.8" ${dash}`)
      );
    });
}

// === lines ===

/**
 * @param {Line} line
 * @param {Axis | undefined} axis
 * @param {(at: number) => number} x
 * @param {{ bottom: number }} plot
 */
function draw(line, axis, x, plot) {
  if (!axis) return '';
  const { custom, color, times, values, under } = line;
  if (custom.drawStyle === 'bars') return bars(line, axis, x);
  const dash =
    custom.lineStyle?.fill === 'dash'
      ? 'stroke-dasharray="8 6"'
      : custom.lineStyle?.fill === 'dot'
        ? 'stroke-dasharray="1 5" stroke-linecap="round"'
        : '';
  const stroke = `fill="none" stroke="${color}" stroke-width="${Math.max(custom.lineWidth ?? 1, 1) + 0.4}" stroke-linejoin="round" ${dash}`;
  const parts = runs(times, values, custom.spanNulls).map((indexes) => {
    const points = indexes.map((index) => [x(times[index] ?? 0), axis.y(values[index] ?? 0)]);
    const path = `M${joined(corners(points, custom.lineInterpolation))}`;
    const filled = (custom.fillOpacity ?? 0) / 100;
    const floor =
      custom.stacking?.mode === 'normal'
        ? corners(
            indexes.map((index) => [x(times[index] ?? 0), axis.y(under[index] ?? 0)]),
            custom.lineInterpolation,
          ).reverse()
        : [
            [points.at(-1)?.[0] ?? 0, plot.bottom],
            [points[0]?.[0] ?? 0, plot.bottom],
          ];
    const area = filled
      ? `<path d="${path}L${joined(floor)}Z" fill="${color}" fill-opacity="${filled}" stroke="none"/>`
      : '';
    const dot =
      indexes.length === 1 || custom.showPoints === 'always'
        ? points
            .map(
              ([px, py]) => `<circle cx="${round(px ?? 0)}" cy="${round(py ?? 0)}" r="2.2" fill="${color}"/>`,
            )
            .join('')
        : '';
    return `${area}${custom.drawStyle === 'points' ? '' : `<path d="${path}" ${stroke}/>`}${dot}`;
  });
  return parts.join('');
}

/**
 * The stretches without a hole.
 *
 * @param {number[]} times
 * @param {Array<number | null>} values
 * @param {boolean | number | undefined} span
 */
function runs(times, values, span) {
  /** @type {number[][]} */
  const found = [];
  let open = false;
  times.forEach((at, index) => {
    const value = values[index];
    if (value === null || value === undefined) {
      const last = found.at(-1)?.at(-1);
      open =
        open &&
        span !== undefined &&
        span !== false &&
        (span === true || at - (times[last ?? 0] ?? 0) <= span);
      return;
    }
    if (open) found.at(-1)?.push(index);
    else found.push([index]);
    open = true;
  });
  return found;
}

/** The points, and the corners between them where a line goes in steps. @param {number[][]} points @param {string | undefined} how */
function corners(points, how) {
  return points.flatMap(([px = 0, py = 0], index) => {
    const [bx = 0, by = 0] = points[index - 1] ?? [];
    if (index === 0 || (how !== 'stepAfter' && how !== 'stepBefore')) return [[px, py]];
    return [how === 'stepAfter' ? [px, by] : [bx, py], [px, py]];
  });
}

/** @param {number[][]} points */
function joined(points) {
  return points.map(([px = 0, py = 0]) => `${round(px)},${round(py)}`).join('L');
}

/** @param {Line} line @param {Axis} axis @param {(at: number) => number} x */
function bars({ times, values, under, color, custom }, axis, x) {
  const apart = times.length > 1 ? x(times[1] ?? 0) - x(times[0] ?? 0) : 6;
  const wide = Math.max(1, apart * 0.7);
  return values
    .map((value, index) =>
      value === null
        ? ''
        : box(
            x(times[index] ?? 0) - wide / 2,
            axis.y(value),
            wide,
            axis.y(Math.max(under[index] ?? 0, axis.low)) - axis.y(value),
            color,
            `fill-opacity="${Math.max((custom.fillOpacity ?? 80) / 100, 0.4)}"`,
          ),
    )
    .join('');
}
