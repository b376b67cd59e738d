/* Lines and stops above the cells (layers/linemap.py): stretches of road with a class and a
   number, a team's rounds, the sites it goes to. A click on a line names it; a stop is read
   on hover only. Drawn on L.RasdGrid's canvas, so moving the map asks the server nothing. */
(function () {
  'use strict';
  const M = window.RasdMap, { FONT, worldX, worldY, toLatLng } = M;
  const REACH = 7;            // px around a line or stop that belong to it
  const SIGNED = 13;          // zoom from which stops carry their sign

  function decodeTracks(packed) {
    if (!packed) return [];
    const r = M.reader(packed.lines), lines = r.u(), parts = r.u(), many = (n, read) => Array.from({ length: n }, read);
    const perLine = many(lines, () => r.u()), perPart = many(parts, () => r.u());
    const total = perPart.reduce((a, b) => a + b, 0), lng = r.deltas(total, 1e5), lat = r.deltas(total, 1e5);
    let at = 0, part = 0;
    return perLine.map((count, k) => {
      const line = { id: packed.ids[k], number: packed.numbers[k], name: packed.names[k], notes: packed.notes[k], kind: packed.kinds[k], rings: [], x0: 1, y0: 1, x1: 0, y1: 0 };
      for (let j = 0; j < count; j++, part++) {
        const n = perPart[part], points = new Float64Array(2 * n);
        for (let i = 0; i < n; i++, at++) {
          const x = points[2 * i] = worldX(lng[at]), y = points[2 * i + 1] = worldY(lat[at]);
          line.x0 = Math.min(line.x0, x); line.x1 = Math.max(line.x1, x); line.y0 = Math.min(line.y0, y); line.y1 = Math.max(line.y1, y);
        }
        line.rings.push(points);
      }
      // The number stands in the middle of the longest part.
      const longest = line.rings.reduce((a, b) => (b.length > a.length ? b : a)), mid = 2 * ((longest.length / 2) >> 1);
      line.lx = longest[mid]; line.ly = longest[mid + 1];
      return line;
    });
  }
  function decodeStops(packed) {
    if (!packed) return [];
    const r = M.reader(packed.points), n = r.u(), lng = r.deltas(n, 1e5), lat = r.deltas(n, 1e5);
    return Array.from({ length: n }, (_, i) => ({ id: i, x: worldX(lng[i]), y: worldY(lat[i]), lat: lat[i], lng: lng[i], kind: packed.kinds[i], name: packed.names[i], sign: packed.signs[i], notes: packed.notes[i] }));
  }
  function apartFrom(points, x, y, W) {             // px between a point and a polyline
    let least = Infinity;
    for (let i = 0; i + 3 < points.length; i += 2) {
      const ax = points[i], ay = points[i + 1], dx = points[i + 2] - ax, dy = points[i + 3] - ay, d = dx * dx + dy * dy;
      const t = d ? Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / d)) : 0;
      least = Math.min(least, (ax + t * dx - x) ** 2 + (ay + t * dy - y) ** 2);
    }
    return Math.sqrt(least) * W;
  }

  L.RasdGrid.include({
    _drawTracks: function (ctx, b, W, o) {
      const packed = this.pane.packed.tracks; if (!packed) return;
      const t = this._t; ctx.lineCap = ctx.lineJoin = 'round';
      for (const line of this.pane.tracks) {
        if (!this._seen(line, W, o, b)) continue;
        const [, light, dark, width, dashed] = packed.legend[line.kind], path = new Path2D();
        for (const p of line.rings) { path.moveTo(p[0] * W - o.x, p[1] * W - o.y); for (let i = 2; i < p.length; i += 2) path.lineTo(p[i] * W - o.x, p[i + 1] * W - o.y); }
        if (!dashed) { ctx.strokeStyle = t.halo; ctx.lineWidth = width + 2.5; ctx.stroke(path); }
        ctx.setLineDash(dashed ? [5, 5] : []); ctx.strokeStyle = this._dark ? dark : light; ctx.lineWidth = width; ctx.stroke(path); ctx.setLineDash([]);
      }
    },
    _numberTracks: function (ctx, b, W, o, taken) {
      const t = this._t; ctx.font = '600 11.5px ' + FONT; ctx.textAlign = 'center'; ctx.textBaseline = 'middle'; ctx.direction = 'ltr';
      for (const line of this.pane.tracks) {
        if (!line.number) continue;
        const text = String(line.number), r = text.length > 2 ? 13 : 10.5, x = line.lx * W - o.x, y = line.ly * W - o.y;
        if (x < b.min.x || x > b.max.x || y < b.min.y || y > b.max.y || this._badges.some((q) => Math.hypot(q.x - x, q.y - y) < q.r + r)) continue;
        this._badges.push({ x, y, r, item: line, line: true }); taken.push([x - r, y - r, x + r, y + r]);
        ctx.beginPath(); ctx.arc(x, y, r, 0, 7); ctx.fillStyle = t.bold; ctx.fill(); ctx.lineWidth = 2; ctx.strokeStyle = t.halo; ctx.stroke();
        ctx.fillStyle = t.pickHalo; ctx.fillText(text, x, y + 0.5);
      }
    },
    _drawStops: function (ctx, b, W, o) {
      const packed = this.pane.packed.stops; if (!packed) return;
      const t = this._t, near = this._map.getZoom() >= SIGNED, r = near ? 8 : 4.5;
      ctx.font = '600 10px ' + FONT; ctx.textAlign = 'center'; ctx.textBaseline = 'middle'; ctx.direction = 'ltr';
      for (const stop of this.pane.stops) {
        const x = stop.x * W - o.x, y = stop.y * W - o.y; if (x < b.min.x || x > b.max.x || y < b.min.y || y > b.max.y) continue;
        const [, light, dark, mark] = packed.legend[stop.kind], colour = this._dark ? dark : light;
        ctx.beginPath(); ctx.arc(x, y, r, 0, 7); ctx.fillStyle = colour; ctx.fill(); ctx.lineWidth = 1.5; ctx.strokeStyle = t.halo; ctx.stroke();
        if (near && stop.sign) { ctx.fillStyle = M.ink(colour); ctx.fillText(stop.sign, x, y + 0.5); } else if (mark) M.drawMarks(ctx, mark, [x, y], r * 0.5, colour);
      }
    },
    _hitTrack: function (at, X, Y) {                 // a stop, else a line, under a point of the layer
      const W = this._scale(), stop = this.pane.stops.find((s) => Math.hypot(s.x - X, s.y - Y) * W <= REACH); if (stop) return this._stop(stop);
      let best = null, least = REACH;
      for (const line of this.pane.tracks) {
        const slack = REACH / W; if (X < line.x0 - slack || X > line.x1 + slack || Y < line.y0 - slack || Y > line.y1 + slack) continue;
        for (const ring of line.rings) { const d = apartFrom(ring, X, Y, W); if (d < least) { least = d; best = line; } }
      }
      return best && (best.number || best.notes.length) ? this._track(best) : null;
    },
    _track: function (line) {                        // there and back again: the outline of a line is the line
      const rings = line.rings.map((p) => { const out = []; for (let i = 0; i < p.length; i += 2) out.push(toLatLng(p[i], p[i + 1])); return out.concat(out.slice(1, -1).reverse()); });
      return { kind: 'line', key: { line: line.id }, id: 'l' + line.id, name: line.name, number: line.number, notes: line.notes, at: toLatLng(line.lx, line.ly), top: toLatLng(0, line.ly)[0], rings };
    },
    _stop: function (s) {
      const d = 6 / this._scale(), ring = [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([a, c]) => toLatLng(s.x + a * d, s.y + c * d));
      return { kind: 'stop', key: null, id: 's' + s.id, name: s.name, notes: s.notes, at: [s.lat, s.lng], top: ring[0][0], rings: [ring] };
    },
    _trackBy: function (id) { const line = this.pane.tracks.find((l) => l.id === id); return line ? this._track(line) : null; },
    goLine: function (id) {
      const h = this._trackBy(id); if (!h) return;
      this._moved = true; this._map.fitBounds(L.latLngBounds(h.rings.flat()), { animate: false, padding: [90, 90], maxZoom: 15 }); this._pick(h); this._send(h); this._announce(h);
    }
  });
  Object.assign(M, { decodeTracks, decodeStops });

  /* Their part of the legend. */
  M.trackLegend = function (grid, body) {
    const add = M.add, packed = grid.pane.packed, w = grid.o.words;
    const section = (title) => { const b = add('small', body, title, 'rasd-part'); return b; };
    if (packed.tracks && packed.tracks.legend.length) {
      section(packed.tracks.title);
      packed.tracks.legend.forEach(([label, light, dark, width, dashed, count]) => {
        const row = add('div', body, undefined, 'rasd-row'), line = add('i', row, undefined, 'rasd-line');
        line.style.borderTop = Math.max(2, width) + 'px ' + (dashed ? 'dashed ' : 'solid ') + (grid._dark ? dark : light);
        add('span', row, M.apart(label)); if (!dashed) add('bdi', row, grid._number.format(count));
      });
    }
    if (packed.stops && packed.stops.legend.length) {
      section(packed.stops.title);
      packed.stops.legend.forEach(([label, light, dark, mark, count]) => {
        if (!count) return;
        const row = add('div', body, undefined, 'rasd-row'); row.appendChild(M.swatch(grid._dark ? dark : light, mark, true));
        add('span', row, label); add('bdi', row, grid._number.format(count));
      });
    }
  };
})();
