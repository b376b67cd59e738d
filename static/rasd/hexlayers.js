/* What a method draws on L.RasdGrid instead of counts: classed cells with marks, the same
   cells from far away, an image, numbered outlines. */
(function () {
  'use strict';
  const M = window.RasdMap, { WIDE, CHUNK, FONT, corners } = M;
  const SMALL = 2.5;          // classed cells narrower than this, px, are drawn together in squares
  const SQUARE = 4;           // px

  L.RasdGrid.include({
    _small: function () { return !!this.pane.layer && this.pane.layer.level.n > 0 && this.pane.layer.level.width * this._scale() < SMALL; },
    _colours: function () { return this.pane.layer.legend.map((c) => c[this._dark ? 2 : 1]); },
    _drawClasses: function (l, ctx, b, W, o) {
      const colours = this._colours(), legend = this.pane.layer.legend, width = l.width * W, marked = width >= WIDE; let n = 0;
      const paths = colours.map(() => new Path2D()), held = colours.map(() => 0), points = colours.map(() => []);
      ctx.globalAlpha = this.o.opacity; ctx.strokeStyle = this._t.gap; ctx.lineWidth = width > 24 ? 1 : 0.5;
      const flush = (k) => { ctx.fillStyle = colours[k]; ctx.fill(paths[k]); if (width > 9) ctx.stroke(paths[k]); paths[k] = new Path2D(); held[k] = 0; };
      for (let i = 0; i < l.n; i++) {
        const k = l.count[i]; if (!colours[k]) continue;
        const cx = l.x[i] * W - o.x, cy = l.y[i] * W - o.y;
        if (cx < b.min.x - width || cx > b.max.x + width || cy < b.min.y - width || cy > b.max.y + width) continue;
        const p = corners(l, i, W, o), path = paths[k];
        path.moveTo(p[0], p[1]); for (let v = 2; v < 12; v += 2) path.lineTo(p[v], p[v + 1]); path.closePath();
        if (marked && legend[k][3]) points[k].push(cx, cy);
        n++; if (++held[k] >= CHUNK) flush(k);
      }
      held.forEach((count, k) => { if (count) flush(k); });
      ctx.globalAlpha = 1;
      points.forEach((at, k) => { if (at.length) M.drawMarks(ctx, legend[k][3], at, Math.min(8, width * 0.27), colours[k]); });
      return n;
    },
    /* Cells too small to be seen share squares. A square is filled with the class that most of its
       cells have; the class that stands out most lies in its middle, as large as its share, though
       never too small to be seen: nothing vanishes and nothing is blown up to the whole square. */
    _drawFar: function (l, ctx, b, W, o) {
      const far = this._farSquares(l, W), colours = this._colours(); ctx.globalAlpha = this.o.opacity;
      const box = (k, x, y, side) => { ctx.fillStyle = colours[k]; ctx.fillRect(x - side / 2, y - side / 2, side, side); };
      for (const s of far.squares.values()) {
        const x = (s.gx + 0.5) * SQUARE - o.x, y = (s.gy + 0.5) * SQUARE - o.y;
        if (x < b.min.x - SQUARE || x > b.max.x + SQUARE || y < b.min.y - SQUARE || y > b.max.y + SQUARE) continue;
        if (colours[s.most]) box(s.most, x, y, SQUARE);
        if (s.top !== s.most && s.top >= 0) box(s.top, x, y, Math.max(2, SQUARE * Math.sqrt(s.share)));
      }
      ctx.globalAlpha = 1;
      return far.squares.size;
    },
    _farSquares: function (l, W) {
      if (this._far && this._far.level === l && this._far.W === W) return this._far;
      const colours = this._colours(), ground = M.lightness(this._t.land), strength = colours.map((c) => c ? Math.abs(M.lightness(c) - ground) : -1);
      const squares = new Map();
      for (let i = 0; i < l.n; i++) {
        const gx = Math.floor(l.x[i] * W / SQUARE), gy = Math.floor(l.y[i] * W / SQUARE), key = gx * 16777216 + gy, k = l.count[i];
        let s = squares.get(key); if (!s) squares.set(key, s = { gx, gy, held: new Map(), top: -1, cell: i });
        s.held.set(k, (s.held.get(k) || 0) + 1);
        if (colours[k] && (s.top < 0 || strength[k] > strength[s.top])) { s.top = k; s.cell = i; }
      }
      for (const s of squares.values()) {
        let all = 0, most = -1; s.held.forEach((count, k) => { all += count; if (most < 0 || count > s.held.get(most)) most = k; });
        s.most = most; s.share = s.top < 0 ? 0 : s.held.get(s.top) / all;
      }
      return this._far = { level: l, W, squares };
    },
    _farCell: function (l, W, X, Y) {                // the cell that gives the square here its colour, or -1
      const s = this._farSquares(l, W).squares.get(Math.floor(X * W / SQUARE) * 16777216 + Math.floor(Y * W / SQUARE));
      return s ? s.cell : -1;
    },
    _drawImage: function (ctx, W, o) {
      const d = this.pane.image.drawn; ctx.globalAlpha = this.o.opacity; ctx.imageSmoothingEnabled = true; ctx.imageSmoothingQuality = 'high';
      ctx.drawImage(this._dark ? d.dark : d.light, d.x0 * W - o.x, d.y0 * W - o.y, (d.x1 - d.x0) * W, (d.y1 - d.y0) * W); ctx.globalAlpha = 1;
    },
    _drawNumbered: function (ctx, b, W, o) {          // the boxes of the numbers: names keep off them
      this._badges = []; const t = this._t;
      for (const a of this.pane.numbered) {
        if (!this._seen(a, W, o, b)) continue;
        const path = this._path(a, W, o);
        ctx.strokeStyle = t.halo; ctx.lineWidth = 5; ctx.stroke(path); ctx.strokeStyle = t.bold; ctx.lineWidth = 2.4; ctx.stroke(path);
      }
      ctx.font = '600 12px ' + FONT; ctx.textAlign = 'center'; ctx.textBaseline = 'middle'; ctx.direction = 'ltr';
      for (const a of this.pane.numbered) {
        const text = String(a.id), r = text.length > 2 ? 13 : 11, large = (a.x1 - a.x0) * W > 60;
        // In a large outline the number stands inside; a small one would vanish under it.
        const x = a.lx * W - o.x, y = large ? a.ly * W - o.y : a.y0 * W - o.y - r - 2;
        if (x < b.min.x || x > b.max.x || y < b.min.y || y > b.max.y || this._badges.some((q) => Math.hypot(q.x - x, q.y - y) < q.r + r)) continue;
        this._badges.push({ x, y, r, item: a });
        ctx.beginPath(); ctx.arc(x, y, r, 0, 7); ctx.fillStyle = t.bold; ctx.fill(); ctx.lineWidth = 2; ctx.strokeStyle = t.halo; ctx.stroke();
        ctx.fillStyle = t.pickHalo; ctx.fillText(text, x, y + 0.5);
      }
      return this._badges.map((q) => [q.x - q.r, q.y - q.r, q.x + q.r, q.y + q.r]);
    }
  });
})();
