// A picture in 256 colours: a third of the bytes, and a dashboard looks the same.
import { crc32, deflateSync, inflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const COLOURS = 256;

/**
 * @param {Buffer} png as Chromium writes it: eight bits, RGB or RGBA, not interlaced
 * @returns {Buffer}
 */
export function smaller(png) {
  const { width, height, bytes, pixels } = read(png);
  const palette = chosen(pixels, bytes);
  const nearest = nearestIn(palette);
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      rows[y * (width + 1) + 1 + x] = nearest(pixels.readUIntBE((y * width + x) * bytes, 3));
    }
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  // Eight bits a pixel, each the number of a colour.
  head.set([8, 3, 0, 0, 0], 8);
  const colours = Buffer.from(palette.flatMap((colour) => [colour >> 16, (colour >> 8) & 255, colour & 255]));
  const chunks = [
    chunk('IHDR', head),
    chunk('PLTE', colours),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
  ];
  return Buffer.concat([SIGNATURE, ...chunks, chunk('IEND', Buffer.alloc(0))]);
}

/** @param {string} type @param {Buffer} data */
function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}

/** @param {Buffer} png */
function read(png) {
  /** @type {Buffer[]} */
  const data = [];
  for (let at = SIGNATURE.length; at < png.length; at += 12 + png.readUInt32BE(at)) {
    const body = png.subarray(at + 8, at + 8 + png.readUInt32BE(at));
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') data.push(body);
  }
  const [width, height, bytes] = [png.readUInt32BE(16), png.readUInt32BE(20), png[25] === 6 ? 4 : 3];
  return {
    width,
    height,
    bytes,
    pixels: unfiltered(inflateSync(Buffer.concat(data)), width * bytes, height, bytes),
  };
}

/**
 * The bytes of the pixels: a PNG keeps each as a difference, each row by a rule
 * that its first byte names.
 *
 * @param {Buffer} raw
 * @param {number} stride
 * @param {number} height
 * @param {number} bytes
 */
function unfiltered(raw, stride, height, bytes) {
  const pixels = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y += 1) {
    const rule = raw[y * (stride + 1)] ?? 0;
    for (let x = 0; x < stride; x += 1) {
      const at = y * stride + x;
      const left = x >= bytes ? (pixels[at - bytes] ?? 0) : 0;
      const above = y ? (pixels[at - stride] ?? 0) : 0;
      const corner = x >= bytes && y ? (pixels[at - stride - bytes] ?? 0) : 0;
      const expected =
        [0, left, above, (left + above) >> 1, rule === 4 ? closest(left, above, corner) : 0][rule] ?? 0;
      pixels[at] = (raw[y * (stride + 1) + 1 + x] ?? 0) + expected;
    }
  }
  return pixels;
}

/** The neighbour that is nearest to left + above - corner. @param {number} left @param {number} above @param {number} corner */
function closest(left, above, corner) {
  const [byLeft, byAbove, byCorner] = [above - corner, left - corner, left + above - 2 * corner].map(
    Math.abs,
  );
  if (Number(byLeft) <= Number(byAbove) && Number(byLeft) <= Number(byCorner)) return left;
  return Number(byAbove) <= Number(byCorner) ? above : corner;
}

/**
 * Colours one after another, each the one that would be missed most: far from
 * those chosen, and in many places.
 *
 * @param {Buffer} pixels
 * @param {number} bytes
 */
function chosen(pixels, bytes) {
  const used = new Map();
  for (let at = 0; at < pixels.length; at += bytes) {
    const colour = pixels.readUIntBE(at, 3);
    used.set(colour, (used.get(colour) ?? 0) + 1);
  }
  const left = [...used].map(([colour, count]) => ({ colour, weight: Math.sqrt(count), far: Infinity }));
  /** @type {number[]} */
  const palette = [];
  while (palette.length < Math.min(COLOURS, left.length)) {
    const missed = (/** @type {typeof left[0]} */ one) => one.weight * one.far;
    const next = left.reduce((best, one) => (missed(one) > missed(best) ? one : best));
    palette.push(next.colour);
    for (const one of left) one.far = Math.min(one.far, apart(one.colour, next.colour));
  }
  return palette;
}

/** @param {number} one @param {number} other */
function apart(one, other) {
  const [red, green, blue] = [
    (one >> 16) - (other >> 16),
    ((one >> 8) & 255) - ((other >> 8) & 255),
    (one & 255) - (other & 255),
  ];
  return Number(red) ** 2 + Number(green) ** 2 + Number(blue) ** 2;
}

/** @param {number[]} palette */
function nearestIn(palette) {
  /** @type {Map<number, number>} */
  const known = new Map(palette.map((colour, index) => [colour, index]));
  return (/** @type {number} */ colour) => {
    const found =
      known.get(colour) ??
      palette.reduce(
        (best, one, index) => (apart(one, colour) < apart(palette[best] ?? 0, colour) ? index : best),
        0,
      );
    known.set(colour, found);
    return found;
  };
}
