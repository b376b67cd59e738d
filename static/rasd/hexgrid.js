/* L.RasdGrid: H3 cells on a canvas: counts at the resolution that suits the zoom, or the
   classes of a method, or an image; above them area outlines, names and numbered outlines.
   Moving the map asks the server nothing; a click is handed to streamlit-folium as a
   feature. Data comes from layers/hexmap.py. Leaflet 1.9. */
(function () {
  'use strict';
  const M = window.RasdMap, { WIDE, CHUNK, FONT, worldX, worldY, toLatLng, inside, holds, nearest, corners } = M;
  const THEMES = {
    light: { ground: '#e8ebe9', land: '#fbfaf6', edge: '#5f6f69', minor: '#b3bdb8', text: '#22312c', halo: 'rgba(255,255,255,.92)', gap: 'rgba(255,255,255,.55)', bold: '#0b1613', hover: '#10211b', pick: '#0b1613', pickHalo: '#ffffff' },
    dark: { ground: '#0c1112', land: '#182024', edge: '#8b9b97', minor: '#3c4a4c', text: '#eef4f1', halo: 'rgba(10,15,17,.9)', gap: 'rgba(10,15,17,.5)', bold: '#f6fbf9', hover: '#ffffff', pick: '#ffffff', pickHalo: '#0a0f11' }
  };

  L.RasdGrid = L.Renderer.extend({
    options: { padding: 0.5 },
    initialize: function (options) {
      L.Util.setOptions(this, options); L.Util.stamp(this); this._layers = {};
      this._areas = []; this._minor = []; this._badges = []; this.o = this.pane = this.other = null; this._dark = false;
      this._turn = this._dataTurn = 0; this.stats = { draws: 0, ms: [] };
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
      this._heading = L.DomUtil.create('div', 'rasd-heading', box); this._heading.hidden = true;
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
      this._watch = new ResizeObserver(() => {
        if (this.second) { M.follow(map, this.other._map); return; }
        const at = this._moved && this._at;
        map.invalidateSize({ animate: false, pan: false });
        if (at) this._goTo(at);
      });
      this._watch.observe(box);
      map.on('resize', () => { if (!this._moved && this.o && !this.second) this.fitAll(); });
      // The page tells its frames neither of a new theme nor of a rewritten address: look now and then.
      if (!this.second) this._clock = setInterval(() => { this._theme(); if (this.other) this.other._theme(); this._keepAddress(); }, 500);
      document.fonts.addEventListener('loadingdone', () => this._redraw());
      document.fonts.load('600 12px "IBM Plex Sans Arabic"', '\u0627A');
    },

    stop: function () { this._watch.disconnect(); },

    /* ---- data in: classes and images are unpacked aside, and the newest data wins ---- */
    setData: function (o) {
      const started = performance.now(), turn = ++this._turn;
      const old = [this.pane, this.other && this.other.pane], panes = o.panes.map((packed, k) => M.readPane(packed, old[k]));
      const ready = (read) => {
        if (turn !== this._turn) return;
        this.stats.decode_ms = performance.now() - started;
        this.stats.bytes = o.areas.rings.length + o.panes.reduce((sum, p) => sum + p.cells.length + (p.layer ? p.layer.cells.length : 0) + (p.image ? p.image.png.length : 0), 0);
        this._show(o, read);
      };
      if (panes.some((pane) => pane instanceof Promise)) Promise.all(panes).then(ready); else ready(panes);
      return this;
    },
    _show: function (o, panes) {
      const first = !this.o, old = this.o || {}, turned = M.pair(this, o, panes[1]);
      this._take(o, panes[0]); if (this.other) this.other._take(o, panes[1]);
      if (first || o.fit !== old.fit) this._place(first);
      else if (turned) { if (this._moved && this._at) this._goTo(this._at); else this.fitAll(); }
      if (this._picked && (this._picked.kind === 'outline' || this._picked.kind === 'line')) this._pick(this._byKey(this._picked.key));
      this._redraw(); if (this.other) this.other._redraw();
    },
    _take: function (o, pane) {
      this.o = o; this.pane = pane; this._dataTurn++; this._levels = pane.layer ? [pane.layer.level] : pane.levels; this._far = null;
      this._areas = M.decodeRings(o.areas); this._minor = M.decodeRings(o.minor);
      this._areas.forEach((area, k) => { area.count = o.areas.counts[k]; area.km2 = o.areas.km2[k]; });
      this._number = new Intl.NumberFormat('en'); this._plural = new Intl.PluralRules(o.language);
      this._controls(); this._tip(null); this._theme(true); this._note.textContent = o.words.note || ''; this._note.hidden = !o.words.note || !!this.second;
      this._heading.textContent = M.apart(pane.heading); this._heading.hidden = !pane.heading; this._heading.dir = o.rtl ? 'rtl' : 'ltr'; this._heading.dataset.side = this.second ? '2' : '1';
    },
    _place: function (first) {                      // the address says where, else all data
      const kept = parent.rasdPlace, at = first && (kept && kept.fit === this.o.fit ? kept.at : this._address());
      if (!first) { this._pick(null); this._moved = false; this._forget(); }
      this._map.invalidateSize({ animate: false });
      if (at) this._goTo(at); else this.fitAll();
      const start = first && (kept && kept.fit === this.o.fit ? kept.pick : this.o.pick);
      if (start) this._pick(this._byKey(start));
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
      if (this._moved && this.o && !this.second) {
        const c = this._map.getCenter(), z = this._map.getZoom();
        this._at = [Number(c.lat.toFixed(4)), Number(c.lng.toFixed(4)), Number(z.toFixed(2))];
        this._remember(); this._keepAddress();
      }
      this._weigh(); if (this._map.getContainer().classList.contains('rasd-keys')) this._say();
    },
    _remember: function () { if (!this.second) parent.rasdPlace = { fit: this.o.fit, at: this._at || null, pick: this._picked ? this._picked.key : null }; },
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
      box.classList.toggle('rasd-dark', dark); box.style.background = this.o && this.o.tiles ? '' : t.ground; this._far = null; document.body.style.background = t.ground;
      this._hoverLine.setStyle({ color: t.hover }); this._pickHalo.setStyle({ color: t.pickHalo }); this._pickLine.setStyle({ color: t.pick });
      this._redraw();
    },
    _colour: function (k, classes) { const c = this.o.colours[this._dark ? 'dark' : 'light']; return c[classes === 1 ? 2 : Math.round(k * (c.length - 1) / (classes - 1))]; },
    _controls: function () {
      const o = this.o, w = o.words, map = this._map, box = map.getContainer(), side = o.rtl ? 'right' : 'left';
      box.classList.toggle('rasd-ltr', !o.rtl); document.documentElement.lang = o.language; document.documentElement.dir = 'ltr'; box.setAttribute('role', 'application'); box.setAttribute('aria-label', [w.label, this.pane.heading, this.pane.layer && this.pane.layer.title, this.pane.image && this.pane.image.title].filter(Boolean).join(': '));
      if (this.second) return;                       // the first map's controls move both
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
      if (!this._legend) { this._legend = L.control(); this._legend.onAdd = () => { const el = L.DomUtil.create('div', 'rasd-legend'); L.DomEvent.disableClickPropagation(el).disableScrollPropagation(el); L.DomEvent.on(el, 'mousemove', (e) => { L.DomEvent.stopPropagation(e); this._tip(null); }); return el; }; }
      this._legend.remove(); this._legend.options.position = 'bottom' + side; this._legend.addTo(map);
    },
    _drawLegend: function () { if (this._legend) M.drawLegend(this, this._level(), this._small()); },
    _short: function (v) { return new Intl.NumberFormat('en', v >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: v >= 1 ? 3 : 2 }).format(v); },

    /* ---- canvas ---- */
    getEvents: function () {
      const events = L.Renderer.prototype.getEvents.call(this);
      events.mousemove = (e) => this._tip(this._hit(e.latlng)); events.mouseout = () => this._tip(null);
      events.click = (e) => { const h = this._hit(e.latlng); this._tip(null); this._tip(h); if (h && h.key) { this._pick(h); this._send(h); } };   // Leaflet closes a tooltip at a click, and a touch does not hover
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
      if (this.pane.layer) return this.pane.layer.level;
      const W = this._scale();
      for (let k = this._levels.length - 1; k > 0; k--) if (this._levels[k].width * W >= WIDE) return this._levels[k];
      return this._levels[0] || null;
    },
    _draw: function () {
      if (!this.o || !this._t) return;
      const started = performance.now(), ctx = this._ctx, b = this._bounds, W = this._scale(), o = this._map.getPixelOrigin(), t = this._t, level = this._level();
      ctx.clearRect(b.min.x, b.min.y, b.max.x - b.min.x, b.max.y - b.min.y);
      if (!this.o.tiles) { ctx.fillStyle = t.land; for (const a of this._areas) if (this._seen(a, W, o, b)) ctx.fill(this._path(a, W, o), 'evenodd'); }
      let drawn = 0;
      if (this.pane.image) this._drawImage(ctx, W, o);
      if (this.pane.layer) drawn = this._small() ? this._drawFar(level, ctx, b, W, o) : this._drawClasses(level, ctx, b, W, o);
      else if (level && !this.pane.image) drawn = this._drawCells(level, ctx, b, W, o);
      ctx.lineJoin = 'round';
      const minor = this._minor.length && this._minorShown(W);
      if (minor) this._lines(this._minor, ctx, b, W, o, t.minor, 0.8);
      this._lines(this._areas, ctx, b, W, o, t.edge, 1.3);
      this._drawTracks(ctx, b, W, o);
      const taken = this._drawNumbered(ctx, b, W, o);
      this._numberTracks(ctx, b, W, o, taken); this._drawStops(ctx, b, W, o);
      this._names(ctx, b, W, o, minor, taken);
      this.stats.draws++; this.stats.ms.push(performance.now() - started); this.stats.drawn = drawn; this.stats.res = level && level.res;
      this._drawLegend();
    },
    _drawCells: function (l, ctx, b, W, o) {
      const limits = this.o.limits[l.res], width = l.width * W, paths = limits.map(() => new Path2D()), held = limits.map(() => 0); let n = 0;
      ctx.globalAlpha = this.o.opacity; ctx.strokeStyle = this._t.gap; ctx.lineWidth = width > 24 ? 1 : 0.5;
      const flush = (k) => { ctx.fillStyle = this._colour(k, limits.length); ctx.fill(paths[k]); if (width > 9) ctx.stroke(paths[k]); paths[k] = new Path2D(); held[k] = 0; };
      for (let i = 0; i < l.n; i++) {
        const cx = l.x[i] * W - o.x, cy = l.y[i] * W - o.y;
        if (cx < b.min.x - width || cx > b.max.x + width || cy < b.min.y - width || cy > b.max.y + width) continue;
        let k = 0; while (k < limits.length - 1 && l.count[i] > limits[k]) k++;
        const p = corners(l, i, W, o), path = paths[k];
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
    _names: function (ctx, b, W, o, minor, taken) {
      const t = this._t; ctx.textAlign = 'center'; ctx.textBaseline = 'middle'; ctx.lineJoin = 'round'; ctx.direction = this.o.rtl ? 'rtl' : 'ltr';
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

    /* ---- what is under a point: a number, else a cell, else an area ---- */
    _hit: function (latlng) {
      if (!this.o) return null;
      const l = this._level(), W = this._scale(), X = worldX(latlng.lng), Y = worldY(latlng.lat), at = this._map.latLngToLayerPoint(latlng);
      const badge = this._badges.find((q) => Math.hypot(q.x - at.x, q.y - at.y) <= q.r + 2); if (badge) return badge.line ? this._track(badge.item) : this._outline(badge.item);
      const above = this._hitTrack(at, X, Y); if (above) return above;
      const wide = l && l.n && l.width * W >= WIDE;
      const around = wide ? null : this.pane.numbered.find((a) => holds(a, X, Y)); if (around) return this._outline(around);
      if (this._small()) {
        const cell = this._farCell(l, W, X, Y); if (cell >= 0) return this._cell(l, cell);
      } else if (l && l.n) {
        const near = nearest(l, X, Y);
        if (near >= 0 && inside(corners(l, near, 1, { x: 0, y: 0 }), 6, X, Y)) return this._cell(l, near);
      }
      const area = this._areas.find((a) => holds(a, X, Y)); return area ? this._area(area) : null;
    },
    _cellAt: function (lat, lng, res) {
      const l = this._levels.find((level) => level.res === res); if (!l || !l.n) return null;
      const near = nearest(l, worldX(lng), worldY(lat)); if (near < 0) return null;
      const c = corners(l, near, 1, { x: 0, y: 0 }); return inside(c, 6, worldX(lng), worldY(lat)) ? this._cell(l, near) : null;
    },
    _areaById: function (id) { const a = this._areas.find((area) => area.id === id); return a ? this._area(a) : null; },
    _outlineBy: function (id) { const a = this.pane.numbered.find((outline) => outline.id === id); return a ? this._outline(a) : null; },
    _byKey: function (key) { return !key ? null : key.line ? this._trackBy(key.line) : key.area ? this._areaById(key.area) : key.outline ? this._outlineBy(key.outline) : this._cellAt(key.lat, key.lng, key.res); },
    _cell: function (l, i) {
      const p = corners(l, i, 1, { x: 0, y: 0 }), ring = []; for (let v = 0; v < 12; v += 2) ring.push(toLatLng(p[v], p[v + 1]));
      const layer = this.pane.layer, area = layer ? this._areas.find((a) => holds(a, l.x[i], l.y[i])) : l.area[i] ? this._areas[l.area[i] - 1] : null;
      const h = { kind: 'cell', key: { res: l.res, lat: l.lat[i], lng: l.lng[i] }, id: 'c' + l.res + ':' + i, level: l, name: area ? area.name : '', count: l.count[i], km2: l.m2[l.shape[i]] / 1e6, at: [l.lat[i], l.lng[i]], top: Math.max(...ring.map((q) => q[0])), rings: [ring] };
      if (layer) {
        h.style = layer.legend[l.count[i]]; h.within = this.pane.numbered.filter((a) => holds(a, l.x[i], l.y[i]));
        h.readings = l.readings.map((r, k) => [layer.readings[k], r.values[i], r.digits]).filter((r) => !Number.isNaN(r[1]));
      }
      return h;
    },
    _ringsOf: function (a) { return a.rings.map((r) => { const out = []; for (let i = 0; i < r.length; i += 2) out.push(toLatLng(r[i], r[i + 1])); return out; }); },
    _area: function (a) { return { kind: 'area', key: { area: a.id }, id: 'a' + a.id, name: a.name, count: a.count, km2: a.km2, at: toLatLng(a.lx, a.ly), rings: this._ringsOf(a) }; },
    _outline: function (a) { return { kind: 'outline', key: { outline: a.id }, id: 'o' + a.id, name: a.name, number: a.id, at: toLatLng(a.lx, a.ly), top: toLatLng(0, a.y0)[0], rings: this._ringsOf(a) }; },
    /* The words of one place: its name, lines below it, readings as label and value, a last small line. */
    _facts: function (h) {
      const w = this.o.words, name = h.name || w.no_area;
      if (h.kind === 'line' || h.kind === 'stop') return { name: (h.number ? h.number + '. ' : '') + h.name, lines: h.notes, readings: [], last: '' };
      if (h.kind === 'outline') return { name: h.number + '. ' + h.name, lines: [], readings: [], last: '' };
      if (h.style) {
        const shown = (v, digits) => new Intl.NumberFormat('en', { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(v).replace('-', '\u2212');
        return { name, lines: [h.style[0]], readings: h.readings.map(([label, v, digits]) => [label, shown(v, digits)]), last: h.within.map((a) => a.id + '. ' + a.name).join('; ') };
      }
      const rate = h.km2 > 0 ? this._short(h.count / h.km2) : null;
      const count = (w.reports[this._plural.select(h.count)] || w.reports.other).replace('{n}', this._number.format(h.count));
      return { name, lines: [count, rate === null ? '' : w.rate.replace('{rate}', rate)].filter(Boolean), readings: [], last: h.kind === 'area' ? w.area : '' };
    },
    _tip: function (h, mirrored) {
      if (!this._map) return;
      const id = h ? h.id : null; if (id === this._tipId) return; this._tipId = id;
      if (this.other && !mirrored) this.other._tip(h && this.other._byKey(h.key), true);
      if (this._tooltip) { const gone = this._tooltip.getElement(); this._tooltip.remove(); gone.remove(); this._tooltip = null; }   // at once, not fading
      this._hoverLine.remove(); this._map.getContainer().style.cursor = h ? 'pointer' : '';
      if (!h) return;
      const el = document.createElement('div'), facts = this._facts(h), add = M.add; el.dir = this.o.rtl ? 'rtl' : 'ltr';
      add('b', el, M.apart(facts.name));
      facts.lines.forEach((line) => { const e = add('span', el); if (h.style) e.appendChild(M.swatch(h.style[this._dark ? 2 : 1], h.style[3])); add('bdi', e, M.apart(line)); });
      if (facts.readings.length) {
        const list = add('dl', el);
        facts.readings.forEach(([label, value]) => { add('dt', list, M.apart(label)); add('bdi', add('dd', list), value).dir = 'ltr'; });
      }
      if (facts.last) add('small', el, M.apart(facts.last));
      this._hoverLine.setLatLngs(h.kind === 'cell' ? h.rings : h.rings.map((r) => [r])).addTo(this._map);
      const place = h.kind === 'area' ? h.at : [h.top, h.at[1]], above = this._roomAbove(place, 52 + 22 * (facts.lines.length + facts.readings.length) + (facts.last ? 20 : 0));
      this._tooltip = L.tooltip({ direction: above ? 'top' : 'bottom', offset: [0, above ? -4 : 14], className: 'rasd-tip', opacity: 1 }).setLatLng(place).setContent(el).addTo(this._map);
      const own = this._tooltip.getElement().getBoundingClientRect(), box = this._map.getContainer().getBoundingClientRect();
      const over = Math.max(0, box.left + 6 - own.left) - Math.max(0, own.right - box.right + 6);
      if (over) this._tooltip.getElement().style.marginLeft = over + 'px';
    },
    _roomAbove: function (place, height) { return this._map.latLngToContainerPoint(place).y > height; },

    /* ---- picking ---- */
    _pick: function (h, mirrored) {
      if (this.other && !mirrored) this.other._pick(h, true);
      this._picked = h; this._pickHalo.remove(); this._pickLine.remove();
      if (h) { const rings = h.kind === 'cell' ? h.rings : h.rings.map((r) => [r]); this._pickHalo.setLatLngs(rings).addTo(this._map); this._pickLine.setLatLngs(rings).addTo(this._map); this._weigh(); }
      if (this.o) this._remember();
    },
    _weigh: function () {                           // a thick line would hide a small cell
      const h = this._picked; if (!h) return;
      const small = h.kind === 'cell' && h.level.width * this._scale() < 18;
      this._pickLine.setStyle({ weight: small ? 1.6 : 2.6 }); this._pickHalo.setStyle({ weight: small ? 3.6 : 5.6 });
    },
    _send: function (h, pane) {                           // reaches Python as st_folium()['last_active_drawing']
      if (this.second) { this.other._send(h, 1); return; }
      const properties = Object.assign({ t: Date.now() }, h ? h.key : { none: true }, this.other ? { pane: pane || 0 } : {}), at = h ? L.latLng(h.at) : this._map.getCenter();
      const feature = { type: 'Feature', properties: properties, geometry: { type: 'Point', coordinates: [at.lng, at.lat] } };
      this.fire('click', { latlng: at, layer: { toGeoJSON: () => feature } });
    },
    goCell: function (lat, lng, res) {              // from the list beside the map
      const k = this._levels.findIndex((level) => level.res === res);
      if (k < 0) {                                    // not a size that is drawn now: go there, and the card tells
        this._moved = true; this._map.setView([lat, lng], Math.max(this._map.getZoom(), 12), { animate: false }); this._pick(null);
        this._send({ key: { res, lat, lng }, at: [lat, lng] }); return;
      }
      const l = this._levels[k], wide = k === this._levels.length - 1 ? 44 : 17;
      this._moved = true; this._map.setView([lat, lng], Math.min(Math.floor(4 * Math.log2(wide / (l.width * 256))) / 4, 17), { animate: false });
      const h = this._cellAt(lat, lng, res); if (h) { this._pick(h); this._send(h); this._announce(h); }
    },
    goArea: function (id) {
      const h = this._areaById(id); if (!h) return;
      const low = this._map.getSize().x < 500 && this._legend ? this._legend.getContainer().offsetHeight + 20 : 20;   // on a phone the legend lies below
      this._moved = true; this._map.fitBounds(L.latLngBounds(h.rings.flat()), { animate: false, paddingTopLeft: [20, 20], paddingBottomRight: [20, low] }); this._pick(h); this._send(h); this._announce(h);
    },
    goOutline: function (id) {
      const h = this._outlineBy(id); if (!h) return;
      this._moved = true; this._map.fitBounds(L.latLngBounds(h.rings.flat()), { animate: false, padding: [60, 60], maxZoom: 15 }); this._pick(h); this._send(h); this._announce(h);
    },
    clear: function () { this._pick(null); this._send(null); },

    /* ---- keyboard: arrows move the map under a cross, Enter opens what is under it ---- */
    _key: function (e) {
      if (e.target !== this._map.getContainer()) return;
      if (e.key === 'Enter' || e.key === ' ') { const h = this._hit(this._map.getCenter()); if (h && h.key) { this._pick(h); this._send(h); this._announce(h); } L.DomEvent.stop(e); }
      if (e.key === 'Escape' && this._picked) { this.clear(); L.DomEvent.stop(e); }
      if (e.key === 'Home') { const main = this.second ? this.other : this; main._moved = false; main.fitAll(true); main._forget(); L.DomEvent.stop(e); }
    },
    _say: function () { if (!this.o) return; const h = this._hit(this._map.getCenter()); this._tip(h); this._announce(h); },
    _announce: function (h) {
      if (!h) { this._live.textContent = this.o.words.nothing; return; }
      const f = this._facts(h); this._live.textContent = [f.name, ...f.lines, ...f.readings.map((r) => r.join(': ')), f.last].filter(Boolean).join(', ');
    }
  });
})();
