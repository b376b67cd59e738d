/* Marks, which say a class without its colour, on the canvas and in the legend; and the
   legend itself: counts by range, classes with their number of cells, or an image's ramp. */
(function () {
  'use strict';
  const M = window.RasdMap;
  const HEX = [[0.5, 0], [0.25, 0.433], [-0.25, 0.433], [-0.5, 0], [-0.25, -0.433], [0.25, -0.433]];
  // In units of the mark's size: closed shapes to fill, open lines, or a circle.
  const MARKS = {
    dot: { circle: 0.78, fill: true },
    ring: { circle: 0.9 },
    up: { shape: [[0, -1], [0.95, 0.72], [-0.95, 0.72]] },
    down: { shape: [[0, 1], [0.95, -0.72], [-0.95, -0.72]] },
    cross: { lines: [[[-0.8, -0.8], [0.8, 0.8]], [[-0.8, 0.8], [0.8, -0.8]]] },
    hatch: { lines: [[[-1, 0.1], [-0.1, -0.8]], [[-0.85, 0.85], [0.85, -0.85]], [[0.1, 0.8], [1, -0.1]]] }
  };

  function ink(colour) { return M.lightness(colour) > 0.62 ? 'rgba(18,22,20,.78)' : 'rgba(255,255,255,.9)'; }
  function add(tag, parent, text, name) {
    const e = L.DomUtil.create(tag, name || '', parent); if (text !== undefined) e.textContent = text; return e;
  }

  /* A range such as 5–22 keeps its order inside Arabic words; with blanks around its dash it may be two dates. */
  function apart(text) { return text.replace(/\d[\d.,]*\u2013\d[\d.,]*/g, '\u2066$&\u2069'); }

  /* Marks of one class at the points (x and y in turn), size in pixels. */
  function drawMarks(ctx, mark, points, size, colour) {
    const m = MARKS[mark]; ctx.fillStyle = ctx.strokeStyle = ink(colour); ctx.lineWidth = Math.max(1, size * 0.34); ctx.lineCap = 'round';
    for (let start = 0; start < points.length; start += 80) {           // short paths fill much faster than one long one
      const end = Math.min(points.length, start + 80); ctx.beginPath();
      for (let k = start; k < end; k += 2) {
        const x = points[k], y = points[k + 1];
        if (m.circle) { ctx.moveTo(x + m.circle * size, y); ctx.arc(x, y, m.circle * size, 0, 7); }
        for (const line of m.lines || []) { ctx.moveTo(x + line[0][0] * size, y + line[0][1] * size); ctx.lineTo(x + line[1][0] * size, y + line[1][1] * size); }
        if (m.shape) { m.shape.forEach(([a, b], v) => ctx[v ? 'lineTo' : 'moveTo'](x + a * size, y + b * size)); ctx.closePath(); }
      }
      if (m.fill || m.shape) ctx.fill(); else ctx.stroke();
    }
  }
  function swatch(colour, mark, round) {
    const svg = L.SVG.create('svg'), node = (tag, values) => {
      const e = L.SVG.create(tag); for (const k in values) e.setAttribute(k, values[k]); svg.appendChild(e); return e;
    };
    svg.setAttribute('viewBox', '-10 -9 20 18'); svg.setAttribute('width', 20); svg.setAttribute('height', 18); svg.setAttribute('aria-hidden', 'true');
    const hex = HEX.map(([x, y]) => [x * 19, y * 19].join()).join(' ');
    if (round) node('circle', { r: 8, fill: colour, stroke: 'currentColor', 'stroke-opacity': 0.25 });
    else if (colour) node('polygon', { points: hex, fill: colour, stroke: 'currentColor', 'stroke-opacity': 0.25 });
    else node('polygon', { points: hex, fill: 'none', stroke: 'currentColor', 'stroke-opacity': 0.55, 'stroke-dasharray': '2 2' });
    const m = MARKS[mark], size = 4.6, at = (p) => p.map((v) => v * size).join();
    if (m) {
      const pen = colour ? ink(colour) : 'currentColor', line = { stroke: pen, 'stroke-width': 1.6, 'stroke-linecap': 'round', fill: 'none' };
      if (m.circle) node('circle', Object.assign({ r: m.circle * size * (m.fill ? 0.85 : 0.95) }, m.fill ? { fill: pen } : line));
      if (m.shape) node('polygon', { points: m.shape.map(at).join(' '), fill: pen });
      for (const l of m.lines || []) node('path', Object.assign({ d: 'M' + at(l[0]) + 'L' + at(l[1]) }, line));
    }
    return svg;
  }

  /* The legend of a map; drawn anew only when something in it changed, so that keys keep their place. */
  function drawLegend(grid, level, far) {
    const el = grid._legend.getContainer(), o = grid.o, w = o.words, pane = grid.pane, image = pane.image, layer = image ? null : pane.layer;
    const empty = !layer && !image && (!level || !level.n) && !pane.tracks.length, narrow = grid._map.getSize().x < 480;
    const kind = [!!layer, !!grid.other, narrow].join();                // a small map begins with its legend folded
    if (grid._legendKind !== kind) { grid._legendKind = kind; grid._legendOpen = !(narrow && layer); }
    const key = [grid._dataTurn, grid.other && grid.other._dataTurn, level && level.res, far, grid._dark, grid._legendOpen, narrow].join();
    if (key === grid._legendKey) return; grid._legendKey = key;
    el.textContent = ''; el.hidden = empty; if (empty) return;
    el.dir = o.rtl ? 'rtl' : 'ltr'; el.setAttribute('role', 'group');
    const title = image ? image.title : layer ? layer.title : level && level.n ? w.legend : pane.packed.tracks.title; el.setAttribute('aria-label', title);
    const button = add('button', el, undefined, 'rasd-fold'), strip = add('div', el, undefined, 'rasd-strip'), body = add('div', el, undefined, 'rasd-rows'); body.id = 'rasd-rows';
    button.type = 'button'; button.setAttribute('aria-expanded', grid._legendOpen); button.setAttribute('aria-controls', body.id); add('b', button, apart(title));
    el.classList.toggle('rasd-folded', !grid._legendOpen);
    L.DomEvent.on(button, 'click', (e) => { L.DomEvent.stop(e); grid._legendOpen = !grid._legendOpen; grid._drawLegend(); grid._legend.getContainer().querySelector('button').focus(); });
    if (layer) layer.legend.forEach((c) => { if (c[1] && c[4]) strip.appendChild(swatch(c[grid._dark ? 2 : 1], c[3])); });
    const km2 = image ? 0 : layer ? layer.km2 : level && o.km2[level.res];
    if (km2) add('small', body, (layer ? w.layer_size : w.cell_size).replace('{km2}', grid._short(km2)));
    if (image) ramp(grid, body, image); else if (layer) classes(grid, body, layer); else if (level && level.n) ranges(grid, body, level);
    if (pane.numbered.length) {
      const row = add('div', body, undefined, 'rasd-row'); add('span', row, '1', 'rasd-disc').setAttribute('aria-hidden', 'true');
      add('span', row, w.numbered); add('bdi', row, grid._number.format(pane.numbered.length));
    }
    M.trackLegend(grid, body);
    if (far) add('small', body, w.far, 'rasd-far');
  }
  function ranges(grid, body, level) {
    const limits = grid.o.limits[level.res], grid2 = add('div', body, undefined, 'rasd-ranges'); let low = 1;
    limits.forEach((high, k) => {
      const row = add('div', grid2, undefined, 'rasd-row'); row.appendChild(swatch(grid._colour(k, limits.length), ''));
      const text = add('bdi', row, low === high ? grid._number.format(low) : grid._number.format(low) + '\u2013' + grid._number.format(high)); text.dir = 'ltr';
      low = high + 1;
    });
  }
  function classes(grid, body, layer) {
    const both = grid.other && grid.other.pane && grid.other.pane.layer, sides = both ? [layer, both] : [layer], table = add('table', body), w = grid.o.words;
    const head = add('tr', add('thead', table)); add('th', head, w.classes).colSpan = 2;
    (both ? ['1', '2'] : [w.cells]).forEach((text) => add('th', head, text));
    const rows = add('tbody', table), many = layer.legend.length > 8;
    layer.legend.forEach(([label, light, dark, mark], k) => {
      if (many && sides.every((side) => !side.legend[k][4])) return;
      const row = add('tr', rows); add('td', row).appendChild(swatch(grid._dark ? dark : light, mark));
      add('td', row, light ? apart(label) : apart(label) + ' ' + w.not_drawn);
      sides.forEach((side) => add('td', row, grid._number.format(side.legend[k][4])));
    });
  }
  function ramp(grid, body, image) {
    const bar = add('div', body, undefined, 'rasd-ramp'), labels = add('div', body, undefined, 'rasd-marks');
    bar.dir = labels.dir = 'ltr';                   // numbers rise from left to right in both languages
    // A step is wide enough for every label to end before the next one begins.
    const named = image.legend.map((step, k) => step[0] ? k : -1).filter((k) => k >= 0);
    const wide = named.map((k, n) => (image.legend[k][0].length + 1.4) * 6.3 / ((n + 1 < named.length ? named[n + 1] : image.legend.length) - k));
    const width = Math.max(14, Math.min(46, ...wide.length ? [Math.max(...wide)] : [])) + 'px';
    image.legend.forEach(([label, light, dark]) => {
      const step = add('i', bar), text = add('bdi', labels, label); step.style.background = grid._dark ? dark : light; step.style.flexBasis = text.style.flexBasis = width;
    });
  }

  Object.assign(M, { apart, drawMarks, drawLegend, swatch, ink, add });
})();
