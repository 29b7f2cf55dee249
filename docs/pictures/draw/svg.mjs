// Text, shapes and the ticks of a clock.
import { TEXT } from './frames.mjs';

export const FONT = 'Inter';
export const QUIET = TEXT.secondary;
export const LOUD = TEXT.primary;
export const GRID = 'rgba(204, 204, 220, 0.08)';

/** @param {unknown} text */
export function escaped(text) {
  return String(text).replace(
    /[&<>"]/g,
    (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign] ?? sign,
  );
}

/** About as wide as the text is in Inter. @param {string} text @param {number} size */
export function widthOf(text, size) {
  let ems = 0;
  for (const sign of text)
    ems += /[ilj.,:;|'!()\[\] ]/.test(sign)
      ? 0.31
      : /[mwMW@%]/.test(sign)
        ? 0.88
        : /[A-Z]/.test(sign)
          ? 0.69
          : 0.585;
  return ems * size;
}

/** The text, cut where it would be wider. @param {string} text @param {number} size @param {number} width */
export function cut(text, size, width) {
  if (widthOf(text, size) <= width) return text;
  let kept = text;
  while (kept && widthOf(`${kept}…`, size) > width) kept = kept.slice(0, -1);
  return `${kept.trimEnd()}…`;
}

/**
 * @param {number} x
 * @param {number} y
 * @param {string} text
 * @param {{ size?: number, color?: string | undefined, anchor?: string, weight?: number }} [how]
 */
export function label(x, y, text, { size = 12, color = QUIET, anchor = 'start', weight = 400 } = {}) {
  return `<text x="${round(x)}" y="${round(y)}" font-size="${size}" fill="${color}" text-anchor="${anchor}" font-weight="${weight}">${escaped(text)}</text>`;
}

/** @param {number} x @param {number} y @param {number} width @param {number} height @param {string} color @param {string} [more] */
export function box(x, y, width, height, color, more = '') {
  return `<rect x="${round(x)}" y="${round(y)}" width="${round(Math.max(width, 0))}" height="${round(Math.max(height, 0))}" fill="${color}" ${more}/>`;
}

/** @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 @param {string} color @param {string} [more] */
export function rule(x1, y1, x2, y2, color, more = '') {
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="${color}" ${more}/>`;
}

/** @param {number} value */
export function round(value) {
  return Math.round(value * 10) / 10;
}

// === a clock's ticks ===

/** Whole seconds that a clock's ticks may lie apart. */
const APART = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

/**
 * @param {number} from in milliseconds
 * @param {number} to
 * @param {number} most
 */
export function clock(from, to, most) {
  const apart = (APART.find((seconds) => (to - from) / 1000 / seconds <= most) ?? 86400) * 1000;
  const ticks = [];
  for (let at = Math.ceil(from / apart) * apart; at <= to; at += apart) ticks.push(at);
  const length = apart < 60000 ? 19 : 16;
  return ticks.map((at) => ({ at, text: new Date(at).toISOString().slice(11, length) }));
}
