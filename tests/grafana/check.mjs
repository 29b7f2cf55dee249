// Reads dashboards and provisioning with Grafana's own types and lists.
// README.md says what is checked; `check` installs what this needs.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { argv, exit } from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseDocument } from 'yaml';
import { complaints } from './compile.mjs';
import { unknown } from './names.mjs';
import { DASHBOARDS, DATASOURCES } from './provisioning.sample.mjs';
import { selftest } from './selftest.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '../..');
const GRAFANA = argv[2] ?? join(ROOT, 'dashboards/grafana');
/** The image whose version the packages have. */
const IMAGE = /grafana\/grafana:([\d.]+)/;

/** @type {string[]} */
const wrong = [];

const dashboards = files('dashboards', /\.json$/);
const provisioning = [
  ...files('provisioning/datasources', /\.ya?ml$/).map((path) => ({ path, type: 'Datasources' })),
  ...files('provisioning/dashboards', /\.ya?ml$/).map((path) => ({ path, type: 'Dashboards' })),
];

check(dashboards, provisioning);
sameVersion();
const { tried } = trySelf();
for (const line of wrong) console.error(line);
console.log(
  `${dashboards.length} dashboards and ${provisioning.length} files of provisioning read, ${tried} ways of breaking one tried: ` +
    (wrong.length ? `${wrong.length} complaints` : 'nothing to complain of'),
);
exit(wrong.length ? 1 : 0);

/**
 * @param {string} folder
 * @param {RegExp} ending
 */
function files(folder, ending) {
  const path = join(GRAFANA, folder);
  const found = existsSync(path) ? readdirSync(path).filter((name) => ending.test(name)) : [];
  if (!found.length) wrong.push(`${relative(ROOT, path)}: no file ${ending} in it`);
  return found.sort().map((name) => join(path, name));
}

/**
 * @param {string[]} dashboards
 * @param {Array<{ path: string, type: string }>} provisioning
 */
function check(dashboards, provisioning) {
  const values = dashboards.map((path) => ({
    name: relative(ROOT, path),
    type: 'Dashboard',
    from: 'dashboard',
    json: readFileSync(path, 'utf8'),
  }));
  for (const { name, json } of values) {
    for (const { path, says } of unknown(JSON.parse(json))) wrong.push(`${name}: ${path}: ${says}`);
  }
  values.push(
    ...provisioning.map(({ path, type }) => ({
      name: relative(ROOT, path),
      type,
      from: 'provisioning',
      json: fromYaml(path),
    })),
  );
  for (const { name, line, says } of complaints(values)) wrong.push(`${name}:${line}: ${says}`);
}

/**
 * YAML as JSON on one line: what is wrong is told by its name, not its line.
 * Grafana puts the environment's variables in as it reads; the types do not mind.
 *
 * @param {string} path
 */
function fromYaml(path) {
  const document = parseDocument(readFileSync(path, 'utf8'));
  for (const { message } of [...document.errors, ...document.warnings])
    wrong.push(`${relative(ROOT, path)}: ${message}`);
  return JSON.stringify(document.toJS());
}

/** The packages must be of the version that the compose file runs. */
function sameVersion() {
  const compose = join(ROOT, 'docker-compose.yml');
  const run = existsSync(compose) ? IMAGE.exec(readFileSync(compose, 'utf8'))?.[1] : undefined;
  const { devDependencies } = JSON.parse(readFileSync(join(HERE, 'package.json'), 'utf8'));
  for (const name of ['@grafana/schema', '@grafana/data']) {
    if (devDependencies[name] !== run)
      wrong.push(`docker-compose.yml runs Grafana ${run}, and ${name} here is ${devDependencies[name]}`);
  }
}

function trySelf() {
  const sample = JSON.parse(readFileSync(join(HERE, 'sample.json'), 'utf8'));
  for (const { path, says } of unknown(sample)) wrong.push(`sample.json: ${path}: ${says}`);
  const others = [
    { name: 'datasources', type: 'Datasources', from: 'provisioning', whole: DATASOURCES },
    { name: 'dashboards', type: 'Dashboards', from: 'provisioning', whole: DASHBOARDS },
  ];
  const whole = [{ name: 'dashboard', type: 'Dashboard', from: 'dashboard', whole: sample }, ...others];
  const values = whole.map(({ name, type, from, whole }) => ({
    name: `sample of ${name}`,
    type,
    from,
    json: JSON.stringify(whole),
  }));
  for (const { name, says } of complaints(values)) wrong.push(`${name}: ${says}`);
  const { tried, missed } = selftest(sample, others);
  wrong.push(...missed.map((says) => `unnoticed when broken: ${says}`));
  return { tried };
}
