// A dashboard as a page: panels where the dashboard puts them.
import { readFileSync } from 'node:fs';
import { packaged } from '../../../tests/grafana/data.mjs';
import { BACKGROUND, BORDER, framesOf } from './frames.mjs';
import { drawn } from './panels.mjs';
import { LOUD, QUIET, escaped } from './svg.mjs';

/** @typedef {import('./frames.mjs').Picture} Picture */

export const WIDTH = 1400;
const EDGE = 16;
const HEAD = 52;
/** Grafana's: a row of the grid is 30 pixels high, with 8 between. */
const [ROW, GAP] = [30, 8];
const TITLE = 32;
/** Every picture says what it is. */
export const MARK = 'drawn from the query results of a test run; not a Grafana screenshot';

/**
 * The page of a dashboard's panels, and its height.
 *
 * @param {Picture[]} pictures
 */
export async function pageOf(pictures) {
  const [{ dashboard, job, to }] = /** @type {[Picture]} */ (pictures);
  const from = begin(pictures);
  const rows = Math.max(...pictures.map(({ panel: { gridPos } }) => gridPos.y + gridPos.h));
  const height = HEAD + rows * (ROW + GAP) + EDGE;
  const panels = [];
  for (const picture of pictures) panels.push(await panelOf(picture, { from: from * 1000, to: to * 1000 }));
  const span = `${clockAt(from)} to ${clockAt(to)} UTC`;
  const html = `<!doctype html><meta charset="utf-8"><style>${style()}</style>
<header><b>${escaped(dashboard.title)}</b><span class="chip">job <i>${escaped(job)}</i></span><span class="chip">${span}</span><em>${MARK}</em></header>
${panels.join('\n')}`;
  return { html, height };
}

/** The first point of all: before it the run had not begun. @param {Picture[]} pictures */
function begin(pictures) {
  const points = pictures.flatMap(({ answers }) =>
    answers
      .filter(({ kind }) => kind === 'range')
      .flatMap(({ series }) => series.map((one) => one.points[0]?.[0] ?? Infinity)),
  );
  const from = Math.min(...pictures.map((picture) => picture.from));
  return Number.isFinite(Math.min(...points)) ? Math.max(from, Math.min(...points)) : from;
}

/** @param {Picture} picture @param {{ from: number, to: number }} time */
async function panelOf(picture, time) {
  const { x, y, w, h } = picture.panel.gridPos;
  const column = (WIDTH - 2 * EDGE + GAP) / 24;
  const [width, height] = [w * column - GAP, h * (ROW + GAP) - GAP];
  const room = { width: width - 2, height: height - TITLE - 8, ...time };
  const frames = await framesOf(picture);
  const inner = drawn(picture.panel, frames, room);
  const place = `left:${EDGE + x * column}px;top:${HEAD + y * (ROW + GAP)}px;width:${width}px;height:${height}px`;
  return `<section style="${place}"><h2>${escaped(picture.title)}</h2><svg width="${room.width}" height="${room.height}">${inner}</svg></section>`;
}

/** @param {number} at */
function clockAt(at) {
  return new Date(at * 1000).toISOString().slice(11, 16);
}

function style() {
  const face = (/** @type {number} */ weight) =>
    `@font-face{font-family:Inter;font-weight:${weight};src:url(data:font/woff2;base64,${readFileSync(packaged(`@fontsource/inter/files/inter-latin-${weight}-normal.woff2`)).toString('base64')})}`;
  return `${[400, 500, 600].map(face).join('')}
*{box-sizing:border-box;margin:0}
body{background:${BACKGROUND.canvas};color:${LOUD};font:400 14px Inter,sans-serif;width:${WIDTH}px;overflow:hidden}
svg{display:block;font-family:Inter,sans-serif;overflow:hidden}
header{position:absolute;left:${EDGE}px;right:${EDGE}px;top:0;height:${HEAD - 8}px;display:flex;align-items:center;gap:12px}
header b{font-weight:600;font-size:17px}
header em{margin-left:auto;font-style:normal;font-size:12px;color:${QUIET}}
.chip{border:1px solid ${BORDER.weak};border-radius:4px;padding:4px 10px;font-size:12px;color:${QUIET};background:${BACKGROUND.primary}}
.chip i{font-style:normal;color:${LOUD}}
section{position:absolute;background:${BACKGROUND.primary};border:1px solid ${BORDER.weak};border-radius:4px;overflow:hidden}
h2{font-size:13.5px;font-weight:500;height:${TITLE}px;line-height:${TITLE}px;padding:0 10px;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}`;
}
