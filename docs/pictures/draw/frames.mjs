// From Prometheus's answers to what a panel shows: Grafana's own transformations,
// overrides, units and colours, out of @grafana/data.
import { grafana } from '../../../tests/grafana/data.mjs';

/** @typedef {import('../../../tests/grafana/data.mjs').Frame} Frame */
/** @typedef {import('../../../tests/grafana/data.mjs').Field} Field */
/** @typedef {{ legend: string, labels: Record<string, string>, points: Array<[number, number | null]> }} Series */
/** @typedef {{ refId: string, format: string, kind: 'range' | 'instant', step: number, series: Series[] }} Answer */
/** @typedef {{ dashboard: { uid: string, title: string }, title: string, type: string, panel: any, job: string, from: number, to: number, answers: Answer[] }} Picture */

const { FieldType } = grafana;
export const theme = grafana.createTheme();
/** Grafana's dark colours. @type {{ text: { primary: string, secondary: string }, background: { canvas: string, primary: string }, border: { weak: string } }} */
export const { text: TEXT, background: BACKGROUND, border: BORDER } = /** @type {any} */ (theme.colors);

const registry = new grafana.FieldConfigOptionsRegistry();
/** What every field may have; a panel's own properties are added as they are met. */
const OF_FIELDS = [
  'unit',
  'min',
  'max',
  'decimals',
  'displayName',
  'noValue',
  'color',
  'thresholds',
  'mappings',
  'links',
  'description',
  'filterable',
];
for (const id of OF_FIELDS) property(id);
// An id stands there twice, under an older name too.
const transformations = new Map(
  Object.values(grafana.standardTransformers).map((/** @type {any} */ one) => [one.id, one]),
);
const blank = { editor: () => null, imageDark: '', imageLight: '' };
grafana.standardTransformersRegistry.setInit(() =>
  [...transformations].map(([id, transformation]) => ({
    ...blank,
    id,
    name: id,
    transformation: () => Promise.resolve(transformation),
  })),
);

/** @param {string} id */
function property(id) {
  if (registry.getIfExists(id)) return;
  const isCustom = id.startsWith('custom.');
  /** @type {any} */
  const item = {
    id,
    path: id.replace(/^custom\./, ''),
    name: id,
    isCustom,
    process: (/** @type {any} */ value) => value,
    shouldApply: () => true,
    override: () => null,
    editor: () => null,
  };
  registry.register(item);
}

/**
 * The frames of a panel, transformed, with all that its field config says.
 *
 * @param {Picture} picture
 * @returns {Promise<Frame[]>}
 */
export async function framesOf(picture) {
  const { panel, answers } = picture;
  const many = answers.filter(({ format }) => format === 'table').length > 1;
  const raw = answers.flatMap((answer) => read(answer, many));
  const data = await transformed(panel.transformations ?? [], raw);
  const fieldConfig = panel.fieldConfig ?? { defaults: {}, overrides: [] };
  for (const id of Object.keys(fieldConfig.defaults.custom ?? {})) property(`custom.${id}`);
  for (const { properties } of fieldConfig.overrides ?? []) for (const { id } of properties) property(id);
  return grafana.applyFieldOverrides({
    data,
    fieldConfig,
    fieldConfigRegistry: registry,
    replaceVariables: (text) => text,
    theme,
    timeZone: 'utc',
  });
}

/**
 * @param {any[]} transformations
 * @param {Frame[]} frames
 * @returns {Promise<Frame[]>}
 */
function transformed(transformations, frames) {
  return new Promise((resolve, reject) => {
    grafana.transformDataFrame(transformations, frames).subscribe({ next: resolve, error: reject });
  });
}

/**
 * An answer as the Prometheus data source reads it.
 *
 * @param {Answer} answer
 * @param {boolean} many
 * @returns {Frame[]}
 */
function read(answer, many) {
  if (answer.format === 'table') return [rows(answer, many)];
  const frames = answer.series.map((series) => line(answer, series));
  return answer.format === 'heatmap' ? [buckets(frames)] : frames;
}

/**
 * @param {Answer} answer
 * @param {Series} series
 * @returns {Frame}
 */
function line({ refId, kind, step }, { legend, labels, points }) {
  const known = new Map(points.map(([at, value]) => [at, value]));
  const times = kind === 'instant' ? points.map(([at]) => at) : steps(points, step);
  return {
    refId,
    name: legend,
    length: times.length,
    fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: times.map((at) => at * 1000) },
      {
        name: 'Value',
        type: FieldType.number,
        labels,
        config: { displayNameFromDS: legend },
        values: times.map((at) => known.get(at) ?? null),
      },
    ],
  };
}

/**
 * The times of a series without a hole: Prometheus leaves out where it has none.
 *
 * @param {Series['points']} points
 * @param {number} step
 */
function steps(points, step) {
  const [first, last] = [points[0]?.[0] ?? 0, points.at(-1)?.[0] ?? -1];
  return Array.from({ length: Math.floor((last - first) / step + 1.5) }, (_, index) => first + index * step);
}

/**
 * @param {Answer} answer
 * @param {boolean} many
 * @returns {Frame}
 */
function rows({ refId, series }, many) {
  const names = [...new Set(series.flatMap(({ labels }) => Object.keys(labels)))].sort();
  const last = series.map(({ points }) => points.at(-1) ?? [0, null]);
  return {
    refId,
    length: series.length,
    fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: last.map(([at]) => Number(at) * 1000) },
      ...names.map((name) => ({
        name,
        type: FieldType.string,
        config: {},
        values: series.map(({ labels }) => labels[name] ?? ''),
      })),
      {
        name: many ? `Value #${refId}` : 'Value',
        type: FieldType.number,
        config: {},
        values: last.map(([, value]) => value),
      },
    ],
  };
}

/**
 * Cumulative buckets as the share of each, the lowest first.
 *
 * @param {Frame[]} frames
 * @returns {Frame}
 */
function buckets(frames) {
  const edge = (/** @type {Frame} */ frame) =>
    Number((frame.fields[1]?.labels?.['le'] ?? '').replace('+Inf', 'Infinity'));
  const sorted = [...frames].sort((left, right) => edge(left) - edge(right));
  const times = [...new Set(sorted.flatMap((frame) => frame.fields[0]?.values ?? []))].sort(
    (left, right) => left - right,
  );
  /** @type {Field[]} */
  const fields = [{ name: 'Time', type: FieldType.time, config: {}, values: times }];
  let below = times.map(() => 0);
  for (const frame of sorted) {
    const at = new Map(
      (frame.fields[0]?.values ?? []).map((time, index) => [time, frame.fields[1]?.values[index]]),
    );
    const here = times.map((time, index) => at.get(time) ?? below[index] ?? 0);
    fields.push({
      name: frame.fields[1]?.labels?.['le'] ?? '',
      type: FieldType.number,
      config: {},
      values: here.map((value, index) => Math.max(0, value - (below[index] ?? 0))),
    });
    below = here;
  }
  return { length: times.length, fields };
}

// === what the drawings ask ===

/**
 * A value in words, with its colour.
 *
 * @param {Field} field
 * @param {unknown} value
 */
export function shown(field, value) {
  const display = (field.display ?? grafana.getDisplayProcessor({ field, theme }))(value);
  return {
    text: grafana.formattedValueToString(display),
    color: /** @type {string} */ (display.color ?? TEXT.primary),
  };
}

/** @param {Field} field @param {Frame} frame @param {Frame[]} frames */
export function nameOf(field, frame, frames) {
  return grafana.getFieldDisplayName(field, frame, frames);
}

/** The colour of a series as a whole. @param {Field} field */
export function colorOf(field) {
  return grafana.getFieldSeriesColor(field, theme).color;
}

/** @param {Field} field @param {string} calc */
export function reduced(field, calc) {
  return grafana.reduceField({ field, reducers: [calc] })[calc];
}

/** From where to where a gauge goes: what is configured, else what all its fields have. @param {Field} field */
export function rangeOf(field) {
  const { min, max } = grafana.getFieldConfigWithMinMax(field, false);
  return { low: min ?? 0, top: max ?? 100 };
}

/** A colour by the name that a dashboard gives it. @param {string} name */
export function named(name) {
  return theme.visualization.getColorByName(name);
}

/** The numbers among the fields. @param {Frame[]} frames */
export function numbers(frames) {
  return frames.flatMap((frame) =>
    frame.fields.filter(({ type }) => type === FieldType.number).map((field) => ({ field, frame })),
  );
}
