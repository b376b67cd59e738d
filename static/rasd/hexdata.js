/* Reads what layers/hexpack.py, outlines.py and cellmap.py pack: cells at several resolutions,
   classed cells with readings, rings of areas, images of classes. World coordinates are Web
   Mercator from 0 to 1. Everything hangs on window.RasdMap. */
(function () {
  'use strict';
  const RAD = Math.PI / 180, BUCKET = 16777216;

  function Reader(bytes) { this.bytes = bytes; this.at = 0; }
  Reader.prototype.u = function () {
    let value = 0, scale = 1, byte;
    do { byte = this.bytes[this.at++]; value += (byte & 127) * scale; scale *= 128; } while (byte & 128);
    return value;
  };
  Reader.prototype.i = function () { const u = this.u(); return u % 2 ? -(u + 1) / 2 : u / 2; };
  Reader.prototype.deltas = function (n, step) {
    const out = new Float64Array(n); let sum = 0;
    for (let i = 0; i < n; i++) { sum += this.i(); out[i] = sum / step; }
    return out;
  };
  Reader.prototype.runs = function (values, lengths, n) {
    const out = new Uint32Array(n); let at = 0;
    for (let k = 0; k < values.length; k++) { out.fill(values[k], at, at + lengths[k]); at += lengths[k]; }
    return out;
  };
  function many(n, read) { const out = []; for (let i = 0; i < n; i++) out.push(read()); return out; }
  function bytesOf(base64) {
    const text = atob(base64), bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }
  function worldX(lng) { return lng / 360 + 0.5; }
  function worldY(lat) { const s = Math.sin(lat * RAD); return 0.5 - Math.log((1 + s) / (1 - s)) / (4 * Math.PI); }
  function toLatLng(x, y) { return [Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) / RAD, (x - 0.5) * 360]; }
  function inside(points, n, x, y) {               // even-odd rule
    let odd = false;
    for (let i = 0, j = n - 1; i < n; j = i++) {
      const xi = points[2 * i], yi = points[2 * i + 1], xj = points[2 * j], yj = points[2 * j + 1];
      if ((yi > y) !== (yj > y) && x < (xj - xi) * (y - yi) / (yj - yi) + xi) odd = !odd;
    }
    return odd;
  }
  function holds(area, x, y) {
    if (x < area.x0 || x > area.x1 || y < area.y0 || y > area.y1) return false;
    return area.rings.reduce((odd, ring) => odd !== inside(ring, ring.length / 2, x, y), false);
  }

  function readLevel(r) {
    const level = { res: r.u(), n: r.u() }, shapes = r.u(), stretches = r.u(), n = level.n;
    level.shapes = many(shapes, () => many(12, () => r.i() / 1e6));
    level.m2 = many(shapes, () => r.u());
    level.shape = r.runs([...level.shapes.keys()], many(shapes, () => r.u()), n);
    level.lng = r.deltas(n, 1e5);
    level.lat = r.deltas(n, 1e5);
    level.count = new Float64Array(n); for (let i = 0; i < n; i++) level.count[i] = r.u();
    const areas = many(stretches, () => r.u());
    level.area = r.runs(areas, many(stretches, () => r.u()), n);
    level.x = level.lng.map(worldX); level.y = level.lat.map(worldY);
    let half = 1e-6;
    for (const shape of level.shapes) for (let k = 0; k < 12; k += 2) half = Math.max(half, Math.abs(shape[k]));
    level.width = half * 2 / 360; level.grid = new Map();      // a hash grid answers "which cell is here"
    for (let i = 0; i < n; i++) {
      const key = Math.floor(level.x[i] / level.width) * BUCKET + Math.floor(level.y[i] / level.width);
      const bucket = level.grid.get(key); if (bucket) bucket.push(i); else level.grid.set(key, [i]);
    }
    return level;
  }
  function nearest(level, x, y) {                  // position of the cell whose centre is nearest, -1 for none
    const gx = Math.floor(x / level.width), gy = Math.floor(y / level.width); let best = -1, least = Infinity;
    for (let a = -1; a <= 1; a++) for (let c = -1; c <= 1; c++) for (const i of level.grid.get((gx + a) * BUCKET + gy + c) || []) {
      const d = (level.x[i] - x) ** 2 + (level.y[i] - y) ** 2; if (d < least) { least = d; best = i; }
    }
    return best;
  }
  function corners(level, i, W, o) {               // of a cell, in pixels of a world W wide
    const shape = level.shapes[level.shape[i]], k = 1 / Math.cos(level.lat[i] * RAD), p = new Array(12);
    for (let v = 0; v < 12; v += 2) { p[v] = (level.x[i] + shape[v] / 360) * W - o.x; p[v + 1] = (level.y[i] - shape[v + 1] * k / 360) * W - o.y; }
    return p;
  }

  function decodeCells(base64) {
    if (!base64) return [];
    const r = new Reader(bytesOf(base64));
    return many(r.u(), () => readLevel(r));
  }
  async function decodeLayer(packed) {             // a level whose counts are positions in the legend
    const whole = new Blob([bytesOf(packed.cells)]).stream().pipeThrough(new DecompressionStream('deflate'));
    const r = new Reader(new Uint8Array(await new Response(whole).arrayBuffer())), level = readLevel(r);
    level.readings = many(r.u(), () => {
      const digits = r.u(), values = new Float64Array(level.n);
      for (let i = 0; i < level.n; i++) {
        const step = r.u(), u = step - 1;
        values[i] = step ? (u % 2 ? -(u + 1) / 2 : u / 2) / 10 ** digits : NaN;
      }
      return { digits, values };
    });
    return level;
  }
  function decodeRings(packed) {
    if (!packed || !packed.rings) return [];
    const r = new Reader(bytesOf(packed.rings)), areas = r.u(), rings = r.u();
    const perArea = many(areas, () => r.u()), perRing = many(rings, () => r.u());
    const total = perRing.reduce((a, b) => a + b, 0), lng = r.deltas(total, 1e5), lat = r.deltas(total, 1e5);
    let at = 0, ring = 0;
    return perArea.map((count, k) => {
      const area = { rings: [], x0: 1, y0: 1, x1: 0, y1: 0, name: packed.names[k], id: packed.ids ? packed.ids[k] : k, lx: worldX(packed.at[k][1]), ly: worldY(packed.at[k][0]) };
      for (let j = 0; j < count; j++, ring++) {
        const n = perRing[ring], points = new Float64Array(2 * n);
        for (let i = 0; i < n; i++, at++) {
          const x = points[2 * i] = worldX(lng[at]), y = points[2 * i + 1] = worldY(lat[at]);
          area.x0 = Math.min(area.x0, x); area.x1 = Math.max(area.x1, x); area.y0 = Math.min(area.y0, y); area.y1 = Math.max(area.y1, y);
        }
        area.rings.push(points);
      }
      return area;
    });
  }

  /* An image comes with rows even in latitude; the map's rows are even in Mercator. The rows are
     put in place once, and a greyscale image gets its colours for a light and a dark screen. */
  async function decodeImage(packed) {
    const source = new Image(); source.src = 'data:image/png;base64,' + packed.png; await source.decode();
    const w = source.naturalWidth, h = source.naturalHeight, [[south, west], [north, east]] = packed.bounds;
    const flat = document.createElement('canvas'); flat.width = w; flat.height = h;
    const from = flat.getContext('2d', { willReadFrequently: true }); from.drawImage(source, 0, 0);
    const pixels = from.getImageData(0, 0, w, h).data, top = worldY(north), bottom = worldY(south);
    const rows = many(h, () => 0).map((_, y) => {
      const lat = toLatLng(0, top + (y + 0.5) / h * (bottom - top))[0];
      return Math.min(h - 1, Math.max(0, Math.floor((north - lat) / (north - south) * h)));
    });
    const painted = (colours) => {
      const canvas = document.createElement('canvas'); canvas.width = w; canvas.height = h;
      const context = canvas.getContext('2d'), out = context.createImageData(w, h), data = out.data;
      for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
        const p = 4 * (rows[y] * w + x), q = 4 * (y * w + x);
        if (!packed.grey) { for (let c = 0; c < 4; c++) data[q + c] = pixels[p + c]; continue; }
        const colour = colours[pixels[p] - 1];
        if (colour) { data[q] = colour[0]; data[q + 1] = colour[1]; data[q + 2] = colour[2]; data[q + 3] = colour[3]; }
      }
      context.putImageData(out, 0, 0);
      return canvas;
    };
    const light = painted(packed.legend.map((step) => rgba(step[1])));
    const dark = packed.grey ? painted(packed.legend.map((step) => rgba(step[2]))) : light;
    return { light, dark, x0: worldX(west), x1: worldX(east), y0: top, y1: bottom };
  }
  function rgba(colour) {                          // '#rrggbb' or '#rrggbbaa'
    const part = (k) => parseInt(colour.slice(k, k + 2), 16);
    return [part(1), part(3), part(5), colour.length > 7 ? part(7) : 255];
  }
  function lightness(colour) {                     // 0 to 1, about as an eye grades it
    const [r, g, b] = rgba(colour).map((v) => (v / 255) ** 2.2);
    return Math.cbrt(0.2126 * r + 0.7152 * g + 0.0722 * b);
  }

  /* One map's share of the data; what did not change since the last time is not read again. */
  function readPane(packed, old) {
    const was = old ? old.packed : {}, pane = { packed, heading: packed.heading, layer: null, image: null };
    pane.levels = old && was.cells === packed.cells ? old.levels : decodeCells(packed.cells);
    pane.numbered = decodeRings(packed.numbered);
    pane.tracks = window.RasdMap.decodeTracks(packed.tracks); pane.stops = window.RasdMap.decodeStops(packed.stops);
    const waits = [];
    const take = (kind, value) => Object.assign({}, packed[kind], value);
    if (packed.layer) {
      const known = old && old.layer && was.layer && was.layer.cells === packed.layer.cells;
      if (known) pane.layer = take('layer', { level: old.layer.level });
      else waits.push(decodeLayer(packed.layer).then((level) => { pane.layer = take('layer', { level }); }));
    }
    if (packed.image) {
      const known = old && old.image && JSON.stringify(was.image) === JSON.stringify(packed.image);
      if (known) pane.image = old.image;
      else waits.push(decodeImage(packed.image).then((drawn) => { pane.image = take('image', { drawn }); }));
    }
    return waits.length ? Promise.all(waits).then(() => pane) : pane;
  }

  window.RasdMap = {
    WIDE: 7,                  // counts are shown at a level whose cells are at least this wide, px; so are marks
    CHUNK: 40,                // cells a path: one path with all of them fills 40 times slower
    FONT: '"IBM Plex Sans Arabic","Noto Sans Arabic",sans-serif',
    reader: (base64) => new Reader(bytesOf(base64)),
    worldX, worldY, toLatLng, inside, holds, nearest, corners, decodeRings, readPane, rgba, lightness
  };
})();
