// `node --test tests/grafana/pictures.test.mjs`: that docs/pictures/screenshots
// waits for what it opens and tells what is missing, against servers that stand
// in for Grafana and Jaeger; and that docs/pictures/render draws what was
// answered. Needs what those need; `tests/grafana/install` first.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MARK, pageOf } from '../../docs/pictures/draw/page.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '../..');
const BOARDS = join(ROOT, 'dashboards/grafana/dashboards');
/** How many panels the pages of the stand-in have: more than any dashboard. */
const MANY = 40;
const out = mkdtempSync(join(tmpdir(), 'taskpulse-pictures-'));
after(() => rmSync(out, { recursive: true, force: true }));

// === screenshots ===

test('a screenshot is taken of each dashboard, the search and a trace', async () => {
  const server = await standIn({ loads: true, traces: true });
  const { code, text } = await run('screenshots', [out], server.url);
  server.close();
  assert.equal(code, 0, text);
  const boards = readdirSync(BOARDS).map((name) => name.replace('.json', ''));
  for (const name of [...boards.map((name) => `grafana-${name}`), 'jaeger-search', 'jaeger-trace']) {
    assert.equal(sizeOf(`${name}.png`).width, 1400, name);
  }
  assert.ok(
    server.asked.some((path) => path.startsWith('/d/taskpulse-overview?kiosk')),
    'kiosk mode',
  );
  assert.ok(server.asked.includes('/trace/abc123'), 'the trace that the search found');
});

test('a dashboard is waited for, and one that does not load is told', async () => {
  const server = await standIn({ loads: false, traces: true });
  const { code, text } = await run('screenshots', [out], server.url, { PATIENCE: '2' });
  server.close();
  assert.equal(code, 1, text);
  assert.match(text, /not all was there in 2 s: .*grafana-overview/);
});

test('what is missing is told', async () => {
  const none = await run('screenshots', [out], 'http://127.0.0.1:9');
  assert.equal(none.code, 2);
  assert.match(none.text, /Grafana does not answer at .*docker compose up --wait/);
  const server = await standIn({ loads: true, traces: false });
  const untraced = await run('screenshots', [out], server.url);
  server.close();
  assert.equal(untraced.code, 2);
  assert.match(untraced.text, /no failed task of taskpulse-demo yet/);
});

// === render ===

test('a panel of each kind is drawn with values in Grafana’s words', async () => {
  const pictures = sample();
  const { html } = await pageOf(pictures);
  assert.ok(html.includes(MARK));
  for (const text of ['>15 mins<', '>one<', '>Busy<']) assert.ok(html.includes(text), `${text} is drawn`);
  assert.ok(!/NaN|undefined|Infinity/.test(html.replace(/base64,[^)]*/g, '')), 'no number that is none');
});

test('an empty panel says what its dashboard says', async () => {
  const pictures = sample().map((picture) => ({
    ...picture,
    answers: picture.answers.map((/** @type {any} */ answer) => ({ ...answer, series: [] })),
  }));
  const { html } = await pageOf(pictures);
  assert.ok(html.includes('Nothing yet') && html.includes('No data'));
});

test('the pictures are PNG files, 1400 pixels wide', async () => {
  const folder = mkdtempSync(join(out, 'results-'));
  for (const picture of sample()) {
    writeFileSync(join(folder, `taskpulse-sample--${picture.panel.id}.json`), JSON.stringify(picture));
  }
  const { code, text } = await run('render', [folder, out], '');
  assert.equal(code, 0, text);
  assert.equal(sizeOf('sample.png').width, 1400);
});

/** The panels of sample.json, each with two series of five points. @returns {any[]} */
function sample() {
  const dashboard = JSON.parse(readFileSync(join(HERE, 'sample.json'), 'utf8'));
  const drawn = dashboard.panels.filter(
    (/** @type {any} */ { type }) => !['row', 'text', 'status-history'].includes(type),
  );
  return drawn.map((/** @type {any} */ whole) => {
    // The transformations of the sample are there to be read, and not to be run.
    const { transformations, ...panel } = whole;
    if (panel.type === 'stat') panel.fieldConfig.defaults = { unit: 's' };
    if (panel.type === 'state-timeline')
      panel.fieldConfig.defaults.mappings = [{ type: 'value', options: { 900: { text: 'Busy' } } }];
    const edges = panel.type === 'heatmap' ? ['1', '+Inf'] : ['one', 'two'];
    const series = edges.map((name, index) => ({
      legend: name,
      labels: { instance: name, le: name },
      points: [0, 1, 2, 3, 4].map((step) => [1000 + step * 5, 900 + index * step]),
    }));
    const { format = '', instant = false } = panel.targets[0];
    const answers = [{ refId: 'A', format, kind: instant ? 'instant' : 'range', step: 5, series }];
    return {
      dashboard: { uid: 'taskpulse-sample', title: 'Sample' },
      title: panel.title,
      type: panel.type,
      panel,
      job: 'taskpulse',
      from: 990,
      to: 1030,
      answers,
    };
  });
}

// === stand-ins ===

/**
 * Grafana and Jaeger in one, as far as the script looks at them.
 *
 * @param {{ loads: boolean, traces: boolean }} how
 */
async function standIn({ loads, traces }) {
  /** @type {string[]} */
  const asked = [];
  const panel = '<section data-testid="data-testid Panel header x">panel</section>';
  const loading = '<i aria-label="Panel loading bar"></i>';
  const late = `<script>setTimeout(() => document.querySelector('i')?.remove(), 300)</script>`;
  const server = createServer(({ url = '' }, response) => {
    asked.push(url);
    const json = (/** @type {unknown} */ value) =>
      response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
    if (url === '/api/health') return void json({ database: 'ok' });
    if (url.startsWith('/api/traces')) return void json({ data: traces ? [{ traceID: 'abc123' }] : [] });
    response.setHeader('content-type', 'text/html');
    if (url.startsWith('/d/')) return void response.end(panel.repeat(MANY) + loading + (loads ? late : ''));
    response.end(`<h1>taskpulse-demo</h1>`);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}`, asked, close: () => server.close() };
}

/**
 * @param {string} script
 * @param {string[]} args
 * @param {string} url
 * @param {Record<string, string>} [more]
 * @returns {Promise<{ code: unknown, text: string }>}
 */
function run(script, args, url, more = {}) {
  const env = { ...process.env, GRAFANA_URL: url, JAEGER_URL: url, ...more };
  return new Promise((resolve) => {
    execFile(join(ROOT, 'docs/pictures', script), args, { env }, (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, text: stdout + stderr });
    });
  });
}

/** Width and height of a PNG file. @param {string} name */
function sizeOf(name) {
  const bytes = readFileSync(join(out, name));
  assert.equal(bytes.toString('latin1', 1, 4), 'PNG');
  return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
}
