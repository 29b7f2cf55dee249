// Holds that the check would notice: takes a dashboard in which all is well and
// breaks it in one place at a time. Every key is misspelt, every value is given
// another type, every word is replaced by one that no list has.
import { complaints } from './compile.mjs';
import { unknown } from './names.mjs';

/** @typedef {{ name: string, type: string, from: string, whole: any, known?: (part: any) => import('./names.mjs').Complaint[] }} Sample */
/** @typedef {Sample & { says: string }} Mutant */

/** Keys whose strings are free: any text will do, or another test reads it. */
const FREE = new Set(
  [
    'alias',
    'allValue',
    'axisLabel',
    'byField',
    'content',
    'definition',
    'description',
    'displayName',
    'expr',
    'field',
    'group',
    'label',
    'left',
  ]
    .concat([
      'legendFormat',
      'name',
      'names',
      'noValue',
      'options',
      'prefix',
      'query',
      'refId',
      'regex',
      'renamePattern',
      'repeat',
      'sortBy',
      'tagKeys',
    ])
    .concat([
      'tags',
      'text',
      'textFormat',
      'title',
      'titleFormat',
      'tooltip',
      'uid',
      'url',
      'value',
      'valueLabel',
      'fixed',
      'keepLabels',
      'fields',
    ])
    .concat([
      'pattern',
      'path',
      'tag',
      'folder',
      'folderUid',
      'key',
      'spanStartTimeShift',
      'spanEndTimeShift',
      'datasourceUid',
      'timeInterval',
      'queryTimeout',
    ]),
);
/** Records whose keys are the file's own. */
const OWN_KEYS = /(ByName|mappings\.\d+\.options|options\.fields|secureJsonData)$/;
/** Values that have more than one type. */
const EITHER = new Set(['width', 'limitField', 'spanNulls', 'useValueForTime']);
const NO_WORD = 'no such word';

/**
 * What went unnoticed, and how many breaks were tried.
 *
 * @param {any} dashboard
 * @param {Sample[]} others
 */
export function selftest(dashboard, others) {
  const mutants = [...partsOf(dashboard), ...others].flatMap(mutantsOf);
  const values = mutants.map(({ type, from, whole }, index) => ({
    name: String(index),
    type,
    from,
    json: JSON.stringify(whole),
  }));
  const noticed = new Set(complaints(values).map(({ name }) => name));
  const missed = mutants.filter(
    ({ whole, known }, index) => !noticed.has(String(index)) && !known?.(whole).length,
  );
  return { tried: mutants.length, missed: missed.map(({ says }) => says) };
}

/**
 * A dashboard in pieces, so that a break does not cost the reading of it all.
 *
 * @param {any} dashboard
 * @returns {Sample[]}
 */
function partsOf(dashboard) {
  const frame = { ...dashboard, panels: [] };
  return [
    { name: 'dashboard', type: 'Dashboard', from: 'dashboard', whole: frame, known: unknown },
    ...dashboard.panels.map((/** @type {any} */ panel) => ({
      name: panel.type,
      type: 'Part',
      from: 'dashboard',
      whole: panel,
      known: (/** @type {any} */ part) => unknown({ ...frame, panels: [part] }),
    })),
  ];
}

/**
 * @param {Sample} sample
 * @returns {Mutant[]}
 */
function mutantsOf(sample) {
  return pathsOf(sample.whole, []).flatMap((path) =>
    changesAt(sample.whole, path).map(([says, change]) => {
      const whole = structuredClone(sample.whole);
      change(at(whole, path.slice(0, -1)), path.at(-1));
      return { ...sample, whole, says: `${sample.name}: ${path.join('.')}: ${says}` };
    }),
  );
}

/**
 * @param {any} whole
 * @param {string[]} path
 */
function at(whole, path) {
  return path.reduce((inner, key) => inner[key], whole);
}

/**
 * @param {any} value
 * @param {string[]} path
 * @returns {string[][]}
 */
function pathsOf(value, path) {
  const here = path.length ? [path] : [];
  if (typeof value !== 'object' || value === null) return here;
  return [...here, ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))];
}

/**
 * @param {any} whole
 * @param {string[]} path
 * @returns {Array<[string, (holder: any, key: any) => void]>}
 */
function changesAt(whole, path) {
  const holder = at(whole, path.slice(0, -1));
  const key = path.at(-1) ?? '';
  const value = holder[key];
  const own = OWN_KEYS.test(path.slice(0, -1).join('.'));
  const named = Array.isArray(holder) ? (path.at(-2) ?? '') : key;
  /** @type {ReturnType<typeof changesAt>} */
  const changes = [];
  if (!Array.isArray(holder) && !own) {
    changes.push(['key misspelt', (holder, key) => ((holder[`${key}X`] = value), delete holder[key])]);
  }
  if (!EITHER.has(key) && value !== null) {
    const other = typeof value === 'number' || typeof value === 'boolean' ? NO_WORD : 12345.5;
    changes.push(['other type', (holder, key) => (holder[key] = other)]);
  }
  if (typeof value === 'string' && !own && !FREE.has(named)) {
    changes.push(['strange word', (holder, key) => (holder[key] = NO_WORD)]);
  }
  return changes;
}
