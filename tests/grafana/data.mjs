// @grafana/data, outside a browser.
import { createRequire } from 'node:module';

// The package asks a browser for its language when it is loaded.
if (!('navigator' in globalThis)) {
  Object.defineProperty(globalThis, 'navigator', {
    value: { language: 'en-US', languages: ['en-US'], userAgent: 'node' },
  });
}
const require = createRequire(import.meta.url);

/** @typedef {import('@grafana/data').DataFrame} Frame */
/** @typedef {import('@grafana/data').Field} Field */

/** @type {typeof import('@grafana/data')} */
export const grafana = require('@grafana/data');
// Transformations ask for what Grafana's page keeps there.
if (!('window' in globalThis)) Object.defineProperty(globalThis, 'window', { value: {} });
/** @type {typeof import('@grafana/schema')} */
export const schema = require('@grafana/schema');
/** The colour schemes that a heatmap has, as functions of 0 to 1. @type {Record<string, (share: number) => string>} */
export const schemes = require('d3-scale-chromatic');
/** Where a file of a package lies. @param {string} name */
export const packaged = (name) => require.resolve(name);
