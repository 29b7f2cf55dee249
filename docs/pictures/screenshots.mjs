// What the script `screenshots` does: see there.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { argv, env, exit } from 'node:process';
import { fileURLToPath } from 'node:url';
import { program, withPage } from './chromium.mjs';
import { smaller } from './png.mjs';

const BOARDS = join(dirname(fileURLToPath(import.meta.url)), '../../dashboards/grafana/dashboards');
const GRAFANA = base(env['GRAFANA_URL'] ?? 'http://localhost:3000');
const JAEGER = base(env['JAEGER_URL'] ?? 'http://localhost:16686');
/** Whose tasks fail on purpose. */
const SERVICE = env['JAEGER_SERVICE'] ?? 'taskpulse-demo';
const WIDTH = 1400;
/** Grafana's: a row of its grid with the gap below, and what is above the first. */
const [ROW, HEAD] = [38, 110];
/** How long a page may take until all is there, in milliseconds. */
const PATIENCE = Number(env['PATIENCE'] ?? 60) * 1000;
/** What Grafana 13 marks its panels with (@grafana/e2e-selectors). */
const PANEL = '[data-testid^="data-testid Panel header "]';
const LOADING = '[aria-label="Panel loading bar"]';

/** @typedef {import('./chromium.mjs').Page} Page */
/** @typedef {{ name: string, url: string, height: number, there: string }} Shot what is opened, and an expression that is true when it is there */

const path =
  program() ??
  missing(
    "no Chromium and no Chrome is here: install one (Debian's package chromium), or name one in CHROMIUM",
  );
const out = argv[2] ?? '.';
const shots = [...(await dashboards()), ...(await traces())];
mkdirSync(out, { recursive: true });
const late = await withPage(path, { width: WIDTH, height: 1000 }, async (page) => {
  const late = [];
  for (const shot of shots) if (!(await take(page, shot))) late.push(shot.name);
  return late;
});
if (late.length)
  console.error(`docs/pictures/screenshots: not all was there in ${PATIENCE / 1000} s: ${late.join(', ')}`);
exit(late.length ? 1 : 0);

/**
 * Takes one picture; whether all of it was there.
 *
 * @param {Page} page
 * @param {Shot} shot
 */
async function take(page, { name, url, height, there }) {
  await page.resize({ width: WIDTH, height });
  await page.go(url);
  // Twice in a row: between its parts a page is quiet for a moment.
  const whole = (await page.until(there, PATIENCE)) && (await settled(page, there));
  const bytes = smaller(await page.picture());
  writeFileSync(join(out, `${name}.png`), bytes);
  console.log(
    `${join(out, `${name}.png`)}: ${url}, ${Math.round(bytes.length / 1024)} KiB${whole ? '' : ', NOT LOADED'}`,
  );
  return whole;
}

/** @param {Page} page @param {string} there */
async function settled(page, there) {
  await page.value('new Promise((resolve) => setTimeout(resolve, 1500))');
  return page.until(there, PATIENCE);
}

/** @returns {Promise<Shot[]>} */
async function dashboards() {
  await answer('Grafana', `${GRAFANA}/api/health`);
  return readdirSync(BOARDS)
    .filter((name) => name.endsWith('.json'))
    .map((name) => {
      const { uid, panels } = JSON.parse(readFileSync(join(BOARDS, name), 'utf8'));
      const rows = Math.max(...panels.map((/** @type {any} */ { gridPos }) => gridPos.y + gridPos.h));
      return {
        name: `grafana-${name.replace(/\.json$/, '')}`,
        url: `${GRAFANA}/d/${uid}?kiosk&theme=dark&from=now-15m&to=now&refresh=`,
        height: HEAD + rows * ROW,
        there: `document.querySelectorAll('${PANEL}').length >= ${panels.length} && !document.querySelector('${LOADING}')`,
      };
    });
}

/** @returns {Promise<Shot[]>} */
async function traces() {
  const tags = encodeURIComponent('{"task.state":"failed"}');
  const found = await answer(
    'Jaeger',
    `${JAEGER}/api/traces?service=${SERVICE}&tags=${tags}&limit=1&lookback=1h`,
  );
  const id =
    found.data?.[0]?.traceID ??
    missing(
      `Jaeger at ${JAEGER} has no failed task of ${SERVICE} yet: wait some minutes; is traffic running?`,
    );
  const shown = (/** @type {string} */ text) => `document.body.innerText.includes(${JSON.stringify(text)})`;
  return [
    {
      name: 'jaeger-search',
      url: `${JAEGER}/search?service=${SERVICE}&tags=${tags}&limit=20&lookback=1h`,
      height: 1000,
      there: shown(SERVICE),
    },
    { name: 'jaeger-trace', url: `${JAEGER}/trace/${id}`, height: 800, there: shown(SERVICE) },
  ];
}

/**
 * What a server says in JSON.
 *
 * @param {string} who
 * @param {string} url
 */
async function answer(who, url) {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
    if (response.ok) return await response.json();
    return missing(`${who} answers ${response.status} at ${url}`);
  } catch (error) {
    const why = error instanceof Error ? (/** @type {any} */ (error.cause)?.code ?? error.message) : error;
    return missing(
      `${who} does not answer at ${url} (${why}): run docker compose up --wait first, or name it in ${who.toUpperCase()}_URL`,
    );
  }
}

/** @param {string} url */
function base(url) {
  return url.replace(/\/+$/, '');
}

/** @param {string} what @returns {never} */
function missing(what) {
  console.error(`docs/pictures/screenshots: ${what}`);
  exit(2);
}
