// Draws each dashboard of a folder of panel results: `node draw.mjs FOLDER OUT`.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv, exit } from 'node:process';
import { pathToFileURL } from 'node:url';
import { program, withPage } from '../chromium.mjs';
import { smaller } from '../png.mjs';
import { WIDTH, pageOf } from './page.mjs';

/** @typedef {import('./frames.mjs').Picture} Picture */

const [, , folder = '', out = ''] = argv;
const path = program();
if (!path) {
  console.error(
    "docs/pictures/render: no Chromium and no Chrome is here: install Debian's package chromium, or name one in CHROMIUM",
  );
  exit(2);
}
const dashboards = read(folder);
mkdirSync(out, { recursive: true });
await withPage(path, { width: WIDTH, height: 1000 }, async (page) => {
  for (const [uid, pictures] of dashboards) {
    const { html, height } = await pageOf(pictures);
    const file = join(tmpdir(), `${uid}-${process.pid}.html`);
    writeFileSync(file, html);
    await page.resize({ width: WIDTH, height });
    await page.go(pathToFileURL(file).href);
    await page.until("document.fonts.status === 'loaded'");
    const png = join(out, `${uid.replace(/^taskpulse-/, '')}.png`);
    const bytes = smaller(await page.picture());
    writeFileSync(png, bytes);
    console.log(`${png}: ${pictures.length} panels, ${Math.round(bytes.length / 1024)} KiB`);
  }
});

/** The panels of each dashboard. @param {string} folder @returns {Map<string, Picture[]>} */
function read(folder) {
  /** @type {Map<string, Picture[]>} */
  const found = new Map();
  for (const name of readdirSync(folder)
    .filter((name) => /^.+--\d+\.json$/.test(name))
    .sort()) {
    const uid = name.slice(0, name.lastIndexOf('--'));
    found.set(uid, [...(found.get(uid) ?? []), JSON.parse(readFileSync(join(folder, name), 'utf8'))]);
  }
  if (!found.size) {
    console.error(`docs/pictures/render: no <dashboard>--<panel>.json in ${folder}`);
    exit(2);
  }
  return found;
}
