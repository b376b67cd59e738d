/* The map on which a place is chosen (layers/pickmap.py): outlines, roads and names behind, a
   pin with its doubt, dots of reports nearby. A click is streamlit-folium's own; here Enter
   makes one in the middle of the map. Leaflet 1.9. */
(function () {
  'use strict';
  const THEMES = {
    light: { ground: '#e8ebe9', land: '#fbfaf6', edge: '#5f6f69', road: '#b9c2bd', main: '#93a29b', text: '#22312c', halo: '#fffffff0', pin: '#b5280f', dot: '#8a5a00', far: '#5f6f69' },
    dark: { ground: '#0c1112', land: '#182024', edge: '#8b9b97', road: '#47585a', main: '#6d8183', text: '#eef4f1', halo: '#0a0f11f0', pin: '#ff8a6b', dot: '#ffc35a', far: '#8b9b97' }
  };
  const MAIN_FROM = 5.5, NAMES_FROM = 11, MOST_NAMES = 45, NEAR = 16;

  function RasdPick(map) {
    this.map = map; this.o = null; this.dark = false; this.parts = L.layerGroup().addTo(map); this.names = L.layerGroup().addTo(map); this.top = L.layerGroup().addTo(map);
    this.canvas = L.canvas({ padding: 0.5 });
    const box = map.getContainer();
    this.cross = L.DomUtil.create('div', 'rasd-aim', box); this.cross.setAttribute('aria-hidden', 'true');
    box.style.cursor = 'crosshair'; box.setAttribute('role', 'application');
    let pressed = 0;
    const keys = (on) => box.classList.toggle('rasd-keys', on);
    window.addEventListener('pointerdown', () => { pressed = Date.now(); keys(false); }, true);
    L.DomEvent.on(box, 'focus', () => { if (Date.now() - pressed > 400) keys(true); });
    L.DomEvent.on(box, 'blur', () => keys(false));
    L.DomEvent.on(box, 'keydown', (e) => {
      if (e.key !== 'Enter' || e.target !== box) return;
      L.DomEvent.stop(e); map.fire('click', { latlng: map.getCenter() });
    });
    map.on('moveend', () => this.label());
    map.on('dragstart zoomstart', () => { if (!this.auto) this.moved = true; });
    // The frame's height comes from a style sheet that may arrive after the map was measured.
    new ResizeObserver(() => { map.invalidateSize({ animate: false }); if (!this.moved) this.fit(); }).observe(box);
    setInterval(() => this.theme(), 500);
  }
  RasdPick.prototype = {
    setData: function (o) {
      const again = !this.o || this.o.fit !== o.fit, behind = !this.o || JSON.stringify([this.o.streets, this.o.language]) !== JSON.stringify([o.streets, o.language]);
      const first = !this.o; this.o = o;
      const box = this.map.getContainer();
      box.setAttribute('aria-label', o.words.label); box.classList.toggle('rasd-ltr', !o.rtl);
      document.documentElement.lang = o.language; document.documentElement.dir = 'ltr';
      if (first || this.rtl !== o.rtl) this.controls();
      if (again) { this.moved = false; this.fit(); }
      if (!this.theme()) { if (behind) this.draw(); else this.mark(); }
      // A click on a far view is rough: come near, so that the next one can put it right.
      const at = o.pin && o.pin.slice(0, 2).join(); if (at && at !== this.at && !again && this.map.getZoom() < NEAR) { this.moved = true; this.map.setView(o.pin.slice(0, 2), NEAR); }
      this.at = at;
    },
    fit: function () {
      if (!this.o || !this.o.bounds) return;
      this.auto = true; this.map.fitBounds(this.o.bounds, { animate: false, padding: [12, 12], maxZoom: 17 }); this.auto = false;
    },
    controls: function () {
      const o = this.o, side = o.rtl ? 'right' : 'left'; this.rtl = o.rtl;
      if (this.bar) this.bar.remove();
      this.bar = L.control.zoom({ position: 'top' + side, zoomInTitle: o.words.closer, zoomOutTitle: o.words.farther }).addTo(this.map);
      if (this.map.attributionControl) this.map.attributionControl.setPrefix(false);
    },
    theme: function () {                              // the page's own ground decides
      const app = parent.document.querySelector('.stApp'); if (!app) return false;
      const rgb = (getComputedStyle(app).backgroundColor.match(/[\d.]+/g) || [255, 255, 255]).map(Number);
      const dark = rgb[0] * 0.3 + rgb[1] * 0.59 + rgb[2] * 0.11 < 110;
      if (this.t && dark === this.dark) return false;
      this.dark = dark; const t = this.t = dark ? THEMES.dark : THEMES.light, box = this.map.getContainer();
      box.classList.toggle('rasd-dark', dark); box.style.background = this.o && this.o.tiles ? '' : t.ground; document.body.style.background = t.ground;
      if (this.o) this.draw();
      return true;
    },
    draw: function () {
      const o = this.o, t = this.t, line = (points, style) => L.polyline(points, Object.assign({ renderer: this.canvas, interactive: false, smoothFactor: 1 }, style)).addTo(this.parts);
      this.parts.clearLayers(); this.main = null; this.thick = 0;
      if (!o.tiles) o.outlines.forEach((ring) => L.polygon(ring, { renderer: this.canvas, interactive: false, stroke: false, fillColor: t.land, fillOpacity: 1 }).addTo(this.parts));
      o.outlines.forEach((ring) => line(ring, { color: t.edge, weight: 1 }));
      if (!o.tiles) {
        o.streets.forEach((way) => line(way, { color: t.road, weight: 3.5 }));
        this.main = o.roads.map((way) => line(way, { color: t.main, weight: this.width() }));
      }
      this.mark(); this.label();
    },
    width: function () { const z = this.map.getZoom(); return z < 9 ? 0.6 : z < 12 ? 1.2 : z < 15 ? 2.5 : 6; },
    label: function () {
      if (!this.o || !this.t) return;
      const zoom = this.map.getZoom(), view = this.map.getBounds(), taken = []; let shown = 0;
      this.names.clearLayers();
      const width = this.width(); if (this.main && this.thick !== width) { this.thick = width; this.main.forEach((way) => way.setStyle({ weight: width })); }
      for (const [name, lat, lng, minor] of this.o.places) {
        if (shown >= MOST_NAMES || !view.contains([lat, lng]) || (minor ? zoom < NAMES_FROM : zoom < MAIN_FROM)) continue;
        const at = this.map.latLngToContainerPoint([lat, lng]), wide = 3.6 * name.length + 6;
        if (taken.some(([x, y, w]) => Math.abs(x - at.x) < wide + w && Math.abs(y - at.y) < 18)) continue;
        taken.push([at.x, at.y, wide]); shown++;
        const text = document.createElement('span'); text.textContent = name; text.dir = 'auto';
        L.marker([lat, lng], { interactive: false, keyboard: false, icon: L.divIcon({ className: 'rasd-place' + (minor ? ' rasd-minor' : ''), html: text, iconSize: [0, 0] }) }).addTo(this.names);
      }
    },
    mark: function () {
      const o = this.o, t = this.t; this.top.clearLayers();
      for (const [lat, lng, label, suggested] of o.dots) {
        const dot = L.circleMarker([lat, lng], { radius: suggested ? 7 : 5, color: t.halo, weight: 2, fillColor: suggested ? t.dot : t.far, fillOpacity: 1, bubblingMouseEvents: true });
        const text = document.createElement('span'); text.textContent = label; text.dir = 'auto';
        dot.bindTooltip(text, { direction: 'top', className: 'rasd-tip' }).addTo(this.top);
      }
      if (!o.pin) return;
      const [lat, lng, metres] = o.pin;
      if (metres > 5) L.circle([lat, lng], { radius: metres, color: t.pin, weight: 1, fillColor: t.pin, fillOpacity: 0.12, interactive: false }).addTo(this.top);
      const svg = '<svg viewBox="0 0 24 32" width="30" height="40" aria-hidden="true"><path d="M12 31C6 22 1.5 17.5 1.5 11.5a10.500 10.500 0 0 1 21 0C22.500 17.500 18 22 12 31z" fill="' + t.pin + '" stroke="' + t.halo + '" stroke-width="2"/><circle cx="12" cy="11.500" r="4" fill="' + t.halo + '"/></svg>';
      L.marker([lat, lng], { interactive: false, keyboard: false, alt: o.words.pin, icon: L.divIcon({ className: 'rasd-pin', html: svg, iconSize: [30, 40], iconAnchor: [15, 39] }) }).addTo(this.top);
    }
  };
  window.RasdPick = RasdPick;
})();
