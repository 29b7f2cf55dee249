// Words that are plain strings to the compiler and that Grafana looks up:
// units, colours, reducers, times. @grafana/data has the lists.
import { grafana, schema, schemes } from './data.mjs';

const UNITS = new Set(
  grafana.getValueFormats().flatMap(({ submenu = [] }) => submenu.map(({ value }) => value)),
);
const OWN_UNIT = /^(suffix|prefix|time|si|count|currency|bool):./;
const COLOURS = new Set([
  'text',
  'transparent',
  ...grafana
    .createTheme()
    .visualization.hues.flatMap(({ shades }) =>
      shades.flatMap(({ name, aliases = [] }) => [name, ...aliases]),
    ),
]);
const OWN_COLOUR = /^(#([0-9a-f]{3}|[0-9a-f]{6}|[0-9a-f]{8})|rgba?\([\d., %]+\))$/i;
/** The words of a dashboard link's icon; they are in Grafana's core, in no package. */
const LINK_ICONS = new Set(['external link', 'dashboard', 'question', 'info', 'bolt', 'doc', 'cloud']);

/** @typedef {{ path: string, says: string }} Complaint */
/** @typedef {(value: any, path?: any) => string | undefined} Rule What is wrong with a value, if anything. */

/** @type {Record<string, Rule>} The rule for each key whose value is such a word, wherever the key stands. */
const RULES = {
  aggregations: reducers,
  calcs: reducers,
  color: (value) => (typeof value === 'string' ? colour(value) : undefined),
  fill: (value, path) => (path.at(-2) === 'color' ? colour(value) : undefined),
  fixedColor: colour,
  from: (value, path) => (path.at(-2) === 'time' ? time(value) : undefined),
  icon: (value, path) =>
    path[0] === 'links' && !LINK_ICONS.has(value)
      ? `no icon of a link: one of ${[...LINK_ICONS].join(', ')}`
      : undefined,
  iconColor: colour,
  interval,
  pattern: regex,
  reducer: (value) => reducers([value]),
  reducers,
  refresh: (value, path) => (path.length === 1 ? interval(value) : undefined),
  refresh_intervals: (values) => values.map(interval).find(Boolean),
  regex,
  renamePattern: () => undefined,
  schemaVersion: (value) =>
    value === schema.defaultDashboard.schemaVersion
      ? undefined
      : `this Grafana writes ${schema.defaultDashboard.schemaVersion}: an older one is migrated each time it is loaded`,
  scheme: (value) => (`interpolate${value}` in schemes ? undefined : 'no colour scheme of a heatmap'),
  step: interval,
  timeFrom: (value) => interval(value),
  timezone: (value) =>
    ['', 'browser', 'utc', ...grafana.getTimeZones()].includes(value) ? undefined : 'no time zone',
  to: (value, path) => (path.at(-2) === 'time' ? time(value) : undefined),
  uid: (value, path) =>
    path.length > 1 || /^[\w-]{1,40}$/.test(value) ? undefined : 'a uid is 1 to 40 letters, digits, - and _',
  unit,
};

/**
 * What Grafana would not know in a dashboard.
 *
 * @param {unknown} dashboard
 * @returns {Complaint[]}
 */
export function unknown(dashboard) {
  /** @type {Complaint[]} */
  const found = [];
  walk(dashboard, [], (value, path) => {
    const says = judged(value, path);
    if (says) found.push({ path: path.join('.'), says: `${JSON.stringify(value)}: ${says}` });
  });
  return found;
}

/** @type {Rule} */
function judged(value, path) {
  // The names of a record's keys are the dashboard's own: `renameByName.unit`.
  if (/ByName$|^properties$|^current$/.test(path.at(-2) ?? '')) return undefined;
  return RULES[path.at(-1) ?? '']?.(value, path);
}

/**
 * @param {unknown} value
 * @param {string[]} path
 * @param {(value: unknown, path: string[]) => void} see
 */
function walk(value, path, see) {
  see(value, path);
  if (typeof value !== 'object' || value === null) return;
  // An override names the property beside its value; read it as that property.
  if ('id' in value && 'value' in value) {
    walk(value.value, [...path, String(value.id).replace(/^custom\./, '')], see);
    return;
  }
  // A matcher by regular expression has that in `options`.
  if ('id' in value && value.id === 'byRegexp' && 'options' in value) see(value.options, [...path, 'regex']);
  for (const [key, inner] of Object.entries(value)) walk(inner, [...path, key], see);
}

/** @type {Rule} */
function unit(value) {
  return UNITS.has(value) || OWN_UNIT.test(value) ? undefined : 'no unit of Grafana';
}

/** @type {Rule} */
function colour(value) {
  return COLOURS.has(value) || OWN_COLOUR.test(value)
    ? undefined
    : "no colour of Grafana's theme, nor #rrggbb, nor rgb(), nor rgba()";
}

/** @type {Rule} */
function reducers(values) {
  const strange = values.filter((/** @type {string} */ value) => !grafana.fieldReducers.getIfExists(value));
  return strange.length ? `no reducer of Grafana: ${strange.join(', ')}` : undefined;
}

/** @type {Rule} */
function interval(value) {
  if (/\$/.test(value) || value === '') return undefined;
  try {
    return grafana.rangeUtil.intervalToMs(value) > 0 ? undefined : 'no interval';
  } catch (error) {
    return String(error instanceof Error ? error.message : error);
  }
}

/** @type {Rule} */
function time(value) {
  return grafana.dateMath.isValid(value) ? undefined : 'no time, such as now-15m';
}

/** @type {Rule} */
function regex(value) {
  if (/\$\{?\w/.test(value)) return undefined;
  try {
    grafana.stringToJsRegex(value);
    return undefined;
  } catch (error) {
    return String(error instanceof Error ? error.message : error);
  }
}
