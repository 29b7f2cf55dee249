// Chromium without a window, spoken to over a pipe: no port, no package.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env, getuid } from 'node:process';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
const MAC = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
];
/** How long a command may take, in milliseconds. */
const PATIENCE = 30_000;

/** The browser's program, or undefined. `CHROMIUM` names another. */
export function program() {
  const named = env['CHROMIUM'] ? [env['CHROMIUM']] : [...NAMES, ...MAC];
  return named.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);
}

/** @typedef {{ width: number, height: number }} Size */
/** @typedef {(method: string, params?: object) => Promise<any>} Ask */

/**
 * Runs `work` with a page of this size; the browser is gone afterwards.
 *
 * @template T
 * @param {string} path
 * @param {Size} size
 * @param {(page: Page) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withPage(path, size, work) {
  const home = mkdtempSync(join(tmpdir(), 'taskpulse-chromium-'));
  const sandbox = getuid?.() === 0 ? ['--no-sandbox'] : [];
  const flags = [
    '--headless',
    '--remote-debugging-pipe',
    '--hide-scrollbars',
    '--no-first-run',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--force-color-profile=srgb',
    '--font-render-hinting=none',
  ];
  const browser = spawn(path, [...flags, ...sandbox, `--user-data-dir=${home}`, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
  });
  const gone = new Promise((resolve) => browser.once('exit', resolve));
  try {
    const pipe = new Pipe(/** @type {any} */ (browser.stdio[3]), /** @type {any} */ (browser.stdio[4]), gone);
    return await work(await Page.open(pipe, size));
  } finally {
    browser.kill();
    await gone;
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

class Pipe {
  #next = 1;
  /** @type {Map<number, { resolve: (result: any) => void, reject: (error: Error) => void }>} */
  #waiting = new Map();
  #read = '';
  #out;

  /** @param {import('node:stream').Writable} out @param {import('node:stream').Readable} input @param {Promise<unknown>} gone */
  constructor(out, input, gone) {
    this.#out = out;
    out.on('error', () => undefined);
    input.setEncoding('utf8').on('data', (/** @type {string} */ text) => this.#heard(text));
    void gone.then(() => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the browser ended'));
    });
  }

  /** @param {string} text */
  #heard(text) {
    const parts = (this.#read + text).split('\0');
    this.#read = parts.pop() ?? '';
    for (const part of parts) {
      const { id, result, error } = JSON.parse(part);
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error) waiting?.reject(new Error(error.message));
      else waiting?.resolve(result);
    }
  }

  /** @param {string} method @param {object} params @param {string} [sessionId] */
  ask(method, params, sessionId) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const late = setTimeout(
        () => reject(new Error(`the browser did not answer ${method} in ${PATIENCE / 1000} s`)),
        PATIENCE,
      );
      const settled = (/** @type {(value: any) => void} */ then) => (/** @type {any} */ value) => (
        clearTimeout(late),
        then(value)
      );
      this.#waiting.set(id, { resolve: settled(resolve), reject: settled(reject) });
      this.#out.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }
}

export class Page {
  /** @type {Ask} */
  #ask;

  /** @param {Ask} ask */
  constructor(ask) {
    this.#ask = ask;
  }

  /** @param {Pipe} pipe @param {Size} size */
  static async open(pipe, size) {
    const { targetId } = await pipe.ask('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await pipe.ask('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page((method, params = {}) => pipe.ask(method, params, sessionId));
    await page.resize(size);
    return page;
  }

  /** @param {Size} size */
  async resize({ width, height }) {
    await this.#ask('Emulation.setDeviceMetricsOverride', {
      width,
      height,
      deviceScaleFactor: 1,
      mobile: false,
    });
  }

  /** @param {string} url */
  async go(url) {
    const { errorText } = await this.#ask('Page.navigate', { url });
    if (errorText) throw new Error(`${url}: ${errorText}`);
    await this.until("document.readyState === 'complete'");
  }

  /** What an expression gives. @param {string} expression */
  async value(expression) {
    const { result, exceptionDetails } = await this.#ask('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Asks until the expression is true; whether it became so in time. @param {string} expression @param {number} [patience] */
  async until(expression, patience = PATIENCE) {
    for (
      const end = Date.now() + patience;
      Date.now() < end;
      await new Promise((resolve) => setTimeout(resolve, 100))
    ) {
      if (await this.value(`Boolean(${expression})`)) return true;
    }
    return false;
  }

  /** The page as PNG. */
  async picture() {
    const { data } = await this.#ask('Page.captureScreenshot', {
      format: 'png',
      captureBeyondViewport: false,
    });
    return Buffer.from(data, 'base64');
  }
}
