/* L.RasdGrid: counts by H3 cell on a canvas, at the resolution that suits the zoom, with
   area outlines and names. Moving the map asks the server nothing; a click is handed to
   streamlit-folium as a feature. Data comes from layers/hexmap.py. Leaflet 1.9. */
(function () {
  'use strict';
  const RAD = Math.PI / 180;
  const WIDE = 7;             // a level is shown when its cells are at least this wide, px
  const CHUNK = 40;           // cells a path: one path with all of them fills 40 times slower
  const FONT = '"IBM Plex Sans Arabic","Noto Sans Arabic",sans-serif';
  const THEMES = {
    light: { ground: '#e8ebe9', land: '#fbfaf6', edge: '#5f6f69', minor: '#b3bdb8', text: '#22312c', halo: 'rgba(255,255,255,.92)', gap: 'rgba(255,255,255,.55)', hover: '#10211b', pick: '#0b1613', pickHalo: '#ffffff' },
    dark: { ground: '#0c1112', land: '#182024', edge: '#8b9b97', minor: '#3c4a4c', text: '#eef4f1', halo: 'rgba(10,15,17,.9)', gap: 'rgba(10,15,17,.5)', hover: '#ffffff', pick: '#ffffff', pickHalo: '#0a0f11' }
  };

  function Reader(base64) {
    const text = atob(base64), bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    this.bytes = bytes; this.at = 0;
  }
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
  function worldX(lng) { return lng / 360 + 0.5; }
  function worldY(lat) { const s = Math.sin(lat * RAD); return 0.5 - Math.log((1 + s) / (1 - s)) / (4 * Math.PI); }

  function decodeCells(base64) {
    const r = new Reader(base64);
    return many(r.u(), () => {
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
        const key = Math.floor(level.x[i] / level.width) * 16777216 + Math.floor(level.y[i] / level.width);
        const bucket = level.grid.get(key); if (bucket) bucket.push(i); else level.grid.set(key, [i]);
      }
      return level;
    });
  }

  function decodeRings(packed) {
    if (!packed || !packed.rings) return [];
    const r = new Reader(packed.rings), areas = r.u(), rings = r.u();
    const perArea = many(areas, () => r.u()), perRing = many(rings, () => r.u());
    const total = perRing.reduce((a, b) => a + b, 0), lng = r.deltas(total, 1e5), lat = r.deltas(total, 1e5);
    let at = 0, ring = 0;
    return perArea.map((count, k) => {
      const area = { rings: [], x0: 1, y0: 1, x1: 0, y1: 0, name: packed.names[k], lx: worldX(packed.at[k][1]), ly: worldY(packed.at[k][0]) };
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

  function inside(points, n, x, y) {               // even-odd rule
    let odd = false;
    for (let i = 0, j = n - 1; i < n; j = i++) {
      const xi = points[2 * i], yi = points[2 * i + 1], xj = points[2 * j], yj = points[2 * j + 1];
      if ((yi > y) !== (yj > y) && x < (xj - xi) * (y - yi) / (yj - yi) + xi) odd = !odd;
    }
    return odd;
  }
  function toLatLng(x, y) { return [Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) / RAD, (x - 0.5) * 360]; }

  L.RasdGrid = L.Renderer.extend({
    options: { padding: 0.5 },
    initialize: function (options) {
      L.Util.setOptions(this, options); L.Util.stamp(this); this._layers = {};
      this._levels = []; this._areas = []; this._minor = []; this.o = null; this._dark = false;
      this.stats = { draws: 0, ms: [] };
    },
    onAdd: function () {
      L.Renderer.prototype.onAdd.call(this);
      const map = this._map, box = map.getContainer();
      this._svg = L.svg({ padding: 0.5 });
      this._hoverLine = L.polygon([], { renderer: this._svg, interactive: false, weight: 2, fill: false });
      this._pickHalo = L.polygon([], { renderer: this._svg, interactive: false, weight: 6, fill: false, lineJoin: 'round' });
      this._pickLine = L.polygon([], { renderer: this._svg, interactive: false, weight: 3, fill: false, lineJoin: 'round' });
      this._cross = L.DomUtil.create('div', 'rasd-cross', box); this._cross.setAttribute('aria-hidden', 'true');
      this._live = L.DomUtil.create('div', 'rasd-live', box); this._live.setAttribute('aria-live', 'polite');
      this._note = L.DomUtil.create('div', 'rasd-note', box);
      L.DomEvent.on(box, 'keydown', this._key, this);
      // Leaflet focuses the map by script on a mouse press, so :focus-visible cannot tell keys from mouse.
      const keys = (on) => box.classList.toggle('rasd-keys', on); let pressed = 0;
      window.addEventListener('pointerdown', () => { pressed = Date.now(); keys(false); }, true);
      L.DomEvent.on(box, 'focus', () => { if (Date.now() - pressed > 400) { keys(true); this._say(); } });
      L.DomEvent.on(box, 'blur', () => { keys(false); this._tip(null); });
      map.on('dragstart', () => { this._moved = true; });
      map.on('zoomstart', () => { if (!this._auto) this._moved = true; });
      map.on('moveend', this._settled, this);
      // The frame's height comes from a style sheet that may arrive after the map was measured.
      new ResizeObserver(() => {
        const at = this._moved && this._at;
        map.invalidateSize({ animate: false, pan: false });
        if (at) this._goTo(at);
      }).observe(box);
      map.on('resize', () => { if (!this._moved && this.o) this.fitAll(); });
      // The page tells its frames neither of a new theme nor of a rewritten address: look now and then.
      setInterval(() => { this._theme(); this._keepAddress(); }, 500);
      document.fonts.load('600 12px "IBM Plex Sans Arabic"', '\u0627').then(() => this._redraw());
    },

    /* ---- data in ---- */
    setData: function (o) {
      const started = performance.now(), first = !this.o, old = this.o || {};
      this.o = o;
      if (o.cells !== old.cells) this._levels = decodeCells(o.cells);
      this._areas = decodeRings(o.areas); this._minor = decodeRings(o.minor);
      this._areas.forEach((area, k) => { area.id = o.areas.ids[k]; area.count = o.areas.counts[k]; area.km2 = o.areas.km2[k]; });
      this._number = new Intl.NumberFormat('en'); this._plural = new Intl.PluralRules(o.language);
      this.stats.decode_ms = performance.now() - started; this.stats.bytes = o.cells.length + o.areas.rings.length;
      this._controls(); this._tip(null); this._theme(true); this._note.textContent = o.words.note || ''; this._note.hidden = !o.words.note;
      if (first || o.fit !== old.fit) this._place(first);
      this._redraw();
      return this;
    },
    _place: function (first) {                      // the address says where, else all data
      const kept = parent.rasdPlace, at = first && (kept && kept.fit === this.o.fit ? kept.at : this._address());
      if (!first) { this._pick(null); this._moved = false; this._forget(); }
      this._map.invalidateSize({ animate: false });
      if (at) this._goTo(at); else this.fitAll();
      const start = first && (kept && kept.fit === this.o.fit ? kept.pick : this.o.pick);
      if (start) this._pick(start.area ? this._areaById(start.area) : this._cellAt(start.lat, start.lng, start.res));
    },
    _goTo: function (at) {
      this._moved = this._auto = true; this._map.setView([at[0], at[1]], at[2], { animate: false }); this._auto = false;
      this._at = at; this._keepAddress();             // as asked for: Leaflet rounds its centre to whole pixels
    },
    fitAll: function (whole) {                      // at first where most reports are; the button shows all
      const bounds = this.o && (whole ? this.o.extent : this.o.bounds); if (!bounds) return;
      this._auto = true; this._map.fitBounds(bounds, { animate: false, padding: [14, 14], maxZoom: 15 }); this._auto = false;
    },

    /* ---- place in the address: after the #, which the server never sees ---- */
    _address: function () {
      const found = /[#&]at=(-?[\d.]+),(-?[\d.]+),([\d.]+)/.exec(parent.location.hash); if (!found) return null;
      const at = found.slice(1).map(Number);
      return Math.abs(at[0]) <= 85 && Math.abs(at[1]) <= 180 && at[2] <= 18 ? at : null;
    },
    _settled: function () {
      if (this._moved && this.o) {
        const c = this._map.getCenter(), z = this._map.getZoom();
        this._at = [Number(c.lat.toFixed(4)), Number(c.lng.toFixed(4)), Number(z.toFixed(2))];
        this._remember(); this._keepAddress();
      }
      this._weigh(); if (this._map.getContainer().classList.contains('rasd-keys')) this._say();
    },
    _remember: function () { parent.rasdPlace = { fit: this.o.fit, at: this._at || null, pick: this._picked ? this._picked.key : null }; },
    _forget: function () { this._at = null; this._remember(); parent.history.replaceState(parent.history.state, '', parent.location.pathname + parent.location.search); },
    _keepAddress: function () {                     // a run of the page may have rewritten the address
      if (!this._at) return;
      const hash = '#at=' + this._at.join(',');
      if (parent.location.hash !== hash) parent.history.replaceState(parent.history.state, '', parent.location.pathname + parent.location.search + hash);
    },

    /* ---- look ---- */
    _theme: function (force) {                      // the page's own ground decides, so map and page always agree
      const app = parent.document.querySelector('.stApp'); if (!app) return;
      const rgb = (getComputedStyle(app).backgroundColor.match(/[\d.]+/g) || [255, 255, 255]).map(Number);
      const dark = rgb[0] * 0.3 + rgb[1] * 0.59 + rgb[2] * 0.11 < 110;
      if (dark === this._dark && !force) return;
      this._dark = dark; const t = this._t = dark ? THEMES.dark : THEMES.light, box = this._map.getContainer();
      box.classList.toggle('rasd-dark', dark); box.style.background = this.o && this.o.tiles ? '' : t.ground; document.body.style.background = t.ground;
      this._hoverLine.setStyle({ color: t.hover }); this._pickHalo.setStyle({ color: t.pickHalo }); this._pickLine.setStyle({ color: t.pick });
      this._redraw();
    },
    _colour: function (k, classes) { const c = this.o.colours[this._dark ? 'dark' : 'light']; return c[classes === 1 ? 2 : Math.round(k * (c.length - 1) / (classes - 1))]; },
    _controls: function () {
      const o = this.o, w = o.words, map = this._map, box = map.getContainer(), side = o.rtl ? 'right' : 'left';
      box.classList.toggle('rasd-ltr', !o.rtl); document.documentElement.lang = o.language; document.documentElement.dir = 'ltr'; box.setAttribute('role', 'application'); box.setAttribute('aria-label', w.label);
      if (window.frameElement) window.frameElement.title = w.label;
      if (this._zoomBar) this._zoomBar.remove(); if (this._home) this._home.remove();
      this._zoomBar = L.control.zoom({ position: 'top' + side, zoomInTitle: w.zoom_in, zoomOutTitle: w.zoom_out }).addTo(map);
      this._home = L.control({ position: 'top' + side });
      this._home.onAdd = () => {
        const bar = L.DomUtil.create('div', 'leaflet-bar'), a = L.DomUtil.create('a', 'rasd-home', bar);
        a.href = '#'; a.title = w.all; a.setAttribute('role', 'button'); a.setAttribute('aria-label', w.all);
        L.DomEvent.on(a, 'click', (e) => { L.DomEvent.stop(e); this._moved = false; this.fitAll(true); this._forget(); });
        return bar;
      };
      this._home.addTo(map);
      if (!this._legend) { this._legend = L.control(); this._legend.onAdd = () => { const el = L.DomUtil.create('div', 'rasd-legend'); L.DomEvent.disableClickPropagation(el); return el; }; }
      this._legend.remove(); this._legend.options.position = 'bottom' + side; this._legend.addTo(map);
    },
    _drawLegend: function (level) {
      const el = this._legend.getContainer(), o = this.o, w = o.words; el.textContent = ''; el.dir = o.rtl ? 'rtl' : 'ltr'; el.hidden = !level || !level.n; if (el.hidden) return;
      const add = (tag, text, parent) => { const e = L.DomUtil.create(tag, '', parent || el); e.textContent = text; return e; };
      add('b', w.legend); add('small', w.cell_size.replace('{km2}', this._short(o.km2[level.res])));
      const limits = o.limits[level.res]; let low = 1;
      limits.forEach((high, k) => {
        const row = L.DomUtil.create('div', '', el), swatch = L.DomUtil.create('i', '', row);
        swatch.style.background = this._colour(k, limits.length);
        const text = add('bdi', low === high ? this._number.format(low) : this._number.format(low) + '\u2013' + this._number.format(high), row); text.dir = 'ltr';
        low = high + 1;
      });
    },
    _short: function (v) { return new Intl.NumberFormat('en', v >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: v >= 1 ? 3 : 2 }).format(v); },

    /* ---- canvas ---- */
    getEvents: function () {
      const events = L.Renderer.prototype.getEvents.call(this);
      events.mousemove = (e) => this._tip(this._hit(e.latlng)); events.mouseout = () => this._tip(null);
      events.click = (e) => { const h = this._hit(e.latlng); if (h) { this._pick(h); this._send(h); } };
      return events;
    },
    _initContainer: function () { this._container = document.createElement('canvas'); this._container.style.pointerEvents = 'none'; this._ctx = this._container.getContext('2d'); },
    _destroyContainer: function () { this._container.remove(); delete this._container; },
    _updatePaths: function () {},
    _update: function () {
      if (this._map._animatingZoom && this._bounds) return;
      L.Renderer.prototype._update.call(this);
      const b = this._bounds, c = this._container, s = b.getSize(), ratio = Math.min(window.devicePixelRatio || 1, 2);
      L.DomUtil.setPosition(c, b.min);
      c.width = ratio * s.x; c.height = ratio * s.y; c.style.width = s.x + 'px'; c.style.height = s.y + 'px';
      this._ctx.setTransform(ratio, 0, 0, ratio, -b.min.x * ratio, -b.min.y * ratio);
      this._draw();
    },
    _redraw: function () { if (this._map && this._container && this._bounds) this._draw(); },
    _scale: function () { return 256 * Math.pow(2, this._map.getZoom()); },
    _level: function () {
      const W = this._scale();
      for (let k = this._levels.length - 1; k > 0; k--) if (this._levels[k].width * W >= WIDE) return this._levels[k];
      return this._levels[0] || null;
    },
    _corners: function (l, i, W, o) {
      const shape = l.shapes[l.shape[i]], k = 1 / Math.cos(l.lat[i] * RAD), p = new Array(12);
      for (let v = 0; v < 12; v += 2) { p[v] = (l.x[i] + shape[v] / 360) * W - o.x; p[v + 1] = (l.y[i] - shape[v + 1] * k / 360) * W - o.y; }
      return p;
    },
    _draw: function () {
      if (!this.o || !this._t) return;
      const started = performance.now(), ctx = this._ctx, b = this._bounds, W = this._scale(), o = this._map.getPixelOrigin(), t = this._t, level = this._level();
      ctx.clearRect(b.min.x, b.min.y, b.max.x - b.min.x, b.max.y - b.min.y);
      if (!this.o.tiles) { ctx.fillStyle = t.land; for (const a of this._areas) if (this._seen(a, W, o, b)) ctx.fill(this._path(a, W, o), 'evenodd'); }
      const drawn = level ? this._drawCells(level, ctx, b, W, o) : 0;
      ctx.lineJoin = 'round';
      const minor = this._minor.length && this._minorShown(W);
      if (minor) this._lines(this._minor, ctx, b, W, o, t.minor, 0.8);
      this._lines(this._areas, ctx, b, W, o, t.edge, 1.3);
      this._names(ctx, b, W, o, minor);
      this.stats.draws++; this.stats.ms.push(performance.now() - started); this.stats.drawn = drawn; this.stats.res = level && level.res;
      if (this._legend) this._drawLegend(level);
    },
    _drawCells: function (l, ctx, b, W, o) {
      const limits = this.o.limits[l.res], width = l.width * W, paths = limits.map(() => new Path2D()), held = limits.map(() => 0); let n = 0;
      ctx.globalAlpha = this.o.opacity; ctx.strokeStyle = this._t.gap; ctx.lineWidth = width > 24 ? 1 : 0.5;
      const flush = (k) => { ctx.fillStyle = this._colour(k, limits.length); ctx.fill(paths[k]); if (width > 9) ctx.stroke(paths[k]); paths[k] = new Path2D(); held[k] = 0; };
      for (let i = 0; i < l.n; i++) {
        const cx = l.x[i] * W - o.x, cy = l.y[i] * W - o.y;
        if (cx < b.min.x - width || cx > b.max.x + width || cy < b.min.y - width || cy > b.max.y + width) continue;
        let k = 0; while (k < limits.length - 1 && l.count[i] > limits[k]) k++;
        const p = this._corners(l, i, W, o), path = paths[k];
        path.moveTo(p[0], p[1]); for (let v = 2; v < 12; v += 2) path.lineTo(p[v], p[v + 1]); path.closePath();
        n++; if (++held[k] >= CHUNK) flush(k);
      }
      held.forEach((count, k) => { if (count) flush(k); });
      ctx.globalAlpha = 1;
      return n;
    },
    _seen: function (a, W, o, b) { return a.x1 * W - o.x > b.min.x && a.x0 * W - o.x < b.max.x && a.y1 * W - o.y > b.min.y && a.y0 * W - o.y < b.max.y; },
    _path: function (a, W, o) {
      const path = new Path2D();
      for (const r of a.rings) { path.moveTo(r[0] * W - o.x, r[1] * W - o.y); for (let i = 2; i < r.length; i += 2) path.lineTo(r[i] * W - o.x, r[i + 1] * W - o.y); path.closePath(); }
      return path;
    },
    _lines: function (areas, ctx, b, W, o, colour, weight) {
      for (const a of areas) {
        if (!this._seen(a, W, o, b)) continue;
        const tiny = (a.x1 - a.x0) * W < 40;        // a strong line would hide a small area
        ctx.strokeStyle = tiny ? this._t.minor : colour; ctx.lineWidth = tiny ? 0.8 : weight;
        ctx.stroke(this._path(a, W, o));
      }
    },
    _minorShown: function (W) {                     // when a middling one is wide enough for a word
      if (this._minorWidth === undefined || this._minorOf !== this._minor) { const w = this._minor.map((a) => a.x1 - a.x0).sort((p, q) => p - q); this._minorWidth = w[w.length >> 1]; this._minorOf = this._minor; }
      return this._minorWidth * W > 40;
    },
    _names: function (ctx, b, W, o, minor) {
      const taken = [], t = this._t; ctx.textAlign = 'center'; ctx.textBaseline = 'middle'; ctx.lineJoin = 'round'; ctx.direction = this.o.rtl ? 'rtl' : 'ltr';
      const word = (name, x, y, size) => {          // false where another word stands already
        const w = ctx.measureText(name).width, box = [x - w / 2 - 4, y - size * 0.75, x + w / 2 + 4, y + size * 0.75];
        if (box[2] < b.min.x || box[0] > b.max.x || box[3] < b.min.y || box[1] > b.max.y) return false;
        if (taken.some((q) => box[0] < q[2] && box[2] > q[0] && box[1] < q[3] && box[3] > q[1])) return false;
        taken.push(box); ctx.strokeStyle = t.halo; ctx.lineWidth = 3.5; ctx.strokeText(name, x, y); ctx.fillStyle = t.text; ctx.fillText(name, x, y);
        return true;
      };
      const inside = (areas, size, slack) => areas.filter((a) => {
        if (!a.name) return false;
        if (ctx.measureText(a.name).width > (a.x1 - a.x0) * W * slack) return true;
        word(a.name, a.lx * W - o.x, a.ly * W - o.y, size);
        return false;
      });
      ctx.font = '600 12.5px ' + FONT;
      const small = inside([...this._areas].sort((p, q) => (q.x1 - q.x0) - (p.x1 - p.x0)), 14, 1.25);
      if (minor) { ctx.font = '500 11px ' + FONT; inside([...this._minor].sort((p, q) => (q.x1 - q.x0) - (p.x1 - p.x0)), 12, 1.1); }
      // Areas too small for their name have it below them, those with most reports first.
      ctx.font = '500 11.5px ' + FONT; let left = 10;
      for (const a of small.sort((p, q) => q.count - p.count)) if (left && a.count && word(a.name, a.lx * W - o.x, a.y1 * W - o.y + 10, 12)) left--;
    },

    /* ---- what is under a point ---- */
    _hit: function (latlng) {
      if (!this.o) return null;
      const l = this._level(), X = worldX(latlng.lng), Y = worldY(latlng.lat);
      if (l && l.n) {
        const near = this._near(l, X, Y);
        if (near >= 0 && inside(this._corners(l, near, 1, { x: 0, y: 0 }), 6, X, Y)) return this._cell(l, near);
      }
      for (const a of this._areas) {
        if (X < a.x0 || X > a.x1 || Y < a.y0 || Y > a.y1) continue;
        if (a.rings.reduce((odd, r) => odd !== inside(r, r.length / 2, X, Y), false)) return this._area(a);
      }
      return null;
    },
    _near: function (l, X, Y) {
      const gx = Math.floor(X / l.width), gy = Math.floor(Y / l.width); let best = -1, least = Infinity;
      for (let a = -1; a <= 1; a++) for (let c = -1; c <= 1; c++) for (const i of l.grid.get((gx + a) * 16777216 + gy + c) || []) {
        const d = (l.x[i] - X) ** 2 + (l.y[i] - Y) ** 2; if (d < least) { least = d; best = i; }
      }
      return best;
    },
    _cellAt: function (lat, lng, res) {
      const l = this._levels.find((level) => level.res === res); if (!l) return null;
      const near = this._near(l, worldX(lng), worldY(lat)); if (near < 0) return null;
      const c = this._corners(l, near, 1, { x: 0, y: 0 }); return inside(c, 6, worldX(lng), worldY(lat)) ? this._cell(l, near) : null;
    },
    _areaById: function (id) { const a = this._areas.find((area) => area.id === id); return a ? this._area(a) : null; },
    _cell: function (l, i) {
      const p = this._corners(l, i, 1, { x: 0, y: 0 }), ring = []; for (let v = 0; v < 12; v += 2) ring.push(toLatLng(p[v], p[v + 1]));
      const area = l.area[i] ? this._areas[l.area[i] - 1] : null;
      return { kind: 'cell', key: { res: l.res, lat: l.lat[i], lng: l.lng[i] }, id: 'c' + l.res + ':' + i, level: l, name: area ? area.name : '', count: l.count[i], km2: l.m2[l.shape[i]] / 1e6, at: [l.lat[i], l.lng[i]], top: Math.max(...ring.map((q) => q[0])), rings: [ring] };
    },
    _area: function (a) {
      const rings = a.rings.map((r) => { const out = []; for (let i = 0; i < r.length; i += 2) out.push(toLatLng(r[i], r[i + 1])); return out; });
      return { kind: 'area', key: { area: a.id }, id: 'a' + a.id, name: a.name, count: a.count, km2: a.km2, at: toLatLng(a.lx, a.ly), rings: rings };
    },
    _lines_of: function (h) {                       // the words of one cell or area: [title, line, line]
      const w = this.o.words, rate = h.km2 > 0 ? this._short(h.count / h.km2) : null;
      const count = (w.reports[this._plural.select(h.count)] || w.reports.other).replace('{n}', this._number.format(h.count));
      return [h.name || w.no_area, count, rate === null ? '' : w.rate.replace('{rate}', rate), h.kind === 'area' ? w.area : ''];
    },
    _tip: function (h) {
      if (!this._map) return;
      const id = h ? h.id : null; if (id === this._tipId) return; this._tipId = id;
      if (this._tooltip) { this._tooltip.remove(); this._tooltip = null; }
      this._hoverLine.remove(); this._map.getContainer().style.cursor = h ? 'pointer' : '';
      if (!h) return;
      const el = document.createElement('div'), text = this._lines_of(h); el.dir = this.o.rtl ? 'rtl' : 'ltr';
      text.forEach((line, k) => { if (line) { const e = document.createElement(k === 0 ? 'b' : k === 3 ? 'small' : 'span'); e.textContent = line; el.appendChild(e); } });
      this._hoverLine.setLatLngs(h.kind === 'cell' ? h.rings : h.rings.map((r) => [r])).addTo(this._map);
      const place = h.kind === 'cell' ? [h.top, h.at[1]] : h.at;
      this._tooltip = L.tooltip({ direction: this._roomAbove(place) ? 'top' : 'bottom', offset: [0, this._roomAbove(place) ? -4 : 14], className: 'rasd-tip', opacity: 1 }).setLatLng(place).setContent(el).addTo(this._map);
    },
    _roomAbove: function (place) { return this._map.latLngToContainerPoint(place).y > 95; },

    /* ---- picking ---- */
    _pick: function (h) {
      this._picked = h; this._pickHalo.remove(); this._pickLine.remove();
      if (h) { const rings = h.kind === 'cell' ? h.rings : h.rings.map((r) => [r]); this._pickHalo.setLatLngs(rings).addTo(this._map); this._pickLine.setLatLngs(rings).addTo(this._map); this._weigh(); }
      if (this.o) this._remember();
    },
    _weigh: function () {                           // a thick line would hide a small cell
      const h = this._picked; if (!h) return;
      const small = h.kind === 'cell' && h.level.width * this._scale() < 18;
      this._pickLine.setStyle({ weight: small ? 1.6 : 2.6 }); this._pickHalo.setStyle({ weight: small ? 3.6 : 5.6 });
    },
    _send: function (h) {                           // reaches Python as st_folium()['last_active_drawing']
      const properties = Object.assign({ t: Date.now() }, h ? h.key : { none: true }), at = h ? L.latLng(h.at) : this._map.getCenter();
      const feature = { type: 'Feature', properties: properties, geometry: { type: 'Point', coordinates: [at.lng, at.lat] } };
      this.fire('click', { latlng: at, layer: { toGeoJSON: () => feature } });
    },
    goCell: function (lat, lng, res) {              // from the list beside the map
      const k = this._levels.findIndex((level) => level.res === res); if (k < 0) return;
      const l = this._levels[k], wide = k === this._levels.length - 1 ? 44 : 17;
      this._moved = true; this._map.setView([lat, lng], Math.min(Math.floor(4 * Math.log2(wide / (l.width * 256))) / 4, 17), { animate: false });
      const h = this._cellAt(lat, lng, res); if (h) { this._pick(h); this._send(h); this._announce(h); }
    },
    goArea: function (id) {
      const h = this._areaById(id); if (!h) return;
      const low = this._map.getSize().x < 500 && this._legend ? this._legend.getContainer().offsetHeight + 20 : 20;   // on a phone the legend lies below
      this._moved = true; this._map.fitBounds(L.latLngBounds(h.rings.flat()), { animate: false, paddingTopLeft: [20, 20], paddingBottomRight: [20, low] }); this._pick(h); this._send(h); this._announce(h);
    },
    clear: function () { this._pick(null); this._send(null); },

    /* ---- keyboard: arrows move the map under a cross, Enter opens what is under it ---- */
    _key: function (e) {
      if (e.target !== this._map.getContainer()) return;
      if (e.key === 'Enter' || e.key === ' ') { const h = this._hit(this._map.getCenter()); if (h) { this._pick(h); this._send(h); this._announce(h); } L.DomEvent.stop(e); }
      if (e.key === 'Escape' && this._picked) { this.clear(); L.DomEvent.stop(e); }
      if (e.key === 'Home') { this._moved = false; this.fitAll(true); this._forget(); L.DomEvent.stop(e); }
    },
    _say: function () { if (!this.o) return; const h = this._hit(this._map.getCenter()); this._tip(h); this._announce(h); },
    _announce: function (h) { this._live.textContent = h ? this._lines_of(h).filter(Boolean).join(', ') : this.o.words.nothing; }
  });
})();
