// From values to places on an axis, and which values get a tick.

/** @typedef {{ low: number, high: number, fixed: { low: boolean, high: boolean }, most: number, unit: string | undefined }} Extent */
/** @typedef {{ low: number, high: number, marks: number[], bend: (value: number) => number }} Scale */

/**
 * @param {{ type: string, log?: number, linearThreshold?: number }} distribution
 * @param {Extent} extent
 * @returns {Scale}
 */
export function scaleOf({ type, log = 2, linearThreshold = 1 }, extent) {
  if (type === 'log') return logarithmic(log, extent);
  if (type === 'symlog') return bent(log, linearThreshold, extent);
  return linear(extent);
}

/** @param {Extent} extent @returns {Scale} */
function linear({ low, high, fixed, most, unit }) {
  [low, high] = high > low ? [low, high] : low >= 0 ? [0, low * 2 || 1] : [low - 1, low + 1];
  const step = stepOf(low, high, most, unit);
  if (!fixed.high) high = Math.ceil(high / step - 1e-9) * step;
  if (!fixed.low) low = Math.floor(low / step + 1e-9) * step;
  return { low, high, marks: multiples(low, high, step), bend: (value) => value };
}

/** @param {number} base @param {Extent} extent @returns {Scale} */
function logarithmic(base, { low, high, most }) {
  const top = power(base, Math.max(high, 1e-6), Math.ceil);
  const bottom = Math.min(power(base, low > 0 ? low : top / base ** 3, Math.floor), top / base);
  const bend = (/** @type {number} */ value) => Math.log(Math.max(value, bottom));
  return { low: bottom, high: top, marks: powers(base, bottom, top, most), bend };
}

/** Straight about 0, and a logarithm beyond `threshold`. @param {number} base @param {number} threshold @param {Extent} extent @returns {Scale} */
function bent(base, threshold, { low, high, fixed, most }) {
  const bottom = Math.min(low, 0);
  const top = fixed.high ? high : power(base, Math.max(high, threshold), Math.ceil);
  const bend = (/** @type {number} */ value) => Math.asinh(value / threshold);
  return { low: bottom, high: top, marks: [0, ...powers(base, threshold, top, most - 1)], bend };
}

/** @param {number} base @param {number} value @param {(exponent: number) => number} rounded */
function power(base, value, rounded) {
  return base ** rounded(Number((Math.log(value) / Math.log(base)).toFixed(9)));
}

/** @param {number} base @param {number} low @param {number} high @param {number} most */
function powers(base, low, high, most) {
  const exponent = (/** @type {number} */ value) => Math.round(Math.log(value) / Math.log(base));
  const apart = Math.max(1, Math.ceil((exponent(high) - exponent(low)) / Math.max(most, 1)));
  return Array.from(
    { length: Math.floor((exponent(high) - exponent(low)) / apart) + 1 },
    (_, index) => low * base ** (index * apart),
  );
}

/** Steps that a unit likes: time in parts of minutes and hours, bytes in powers of two. @param {string | undefined} unit */
function liked(unit = '') {
  if (['s', 'dtdurations', 'clocks'].includes(unit))
    return [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 57600];
  if (['bytes', 'binBps'].includes(unit)) return Array.from({ length: 60 }, (_, exponent) => 2 ** exponent);
  return [];
}

/** @param {number} low @param {number} high @param {number} most @param {string | undefined} unit */
function stepOf(low, high, most, unit) {
  const least = (high - low) / Math.max(most, 1);
  const ten = 10 ** Math.floor(Math.log10(least));
  const round = [1, 2, 2.5, 5, 10].map((digit) => digit * ten);
  return (
    (least >= 1 ? liked(unit).find((step) => step >= least) : undefined) ??
    round.find((step) => step >= least * (1 - 1e-9)) ??
    ten * 10
  );
}

/** @param {number} low @param {number} high @param {number} step */
function multiples(low, high, step) {
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, index) =>
    Number(((first + index) * step).toPrecision(12)),
  );
}
