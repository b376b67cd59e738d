/* Two maps side by side in one frame (one below the other where it is narrow): the same place
   and zoom, the same cell under both pointers, one legend with both counts. The second map
   belongs to the first, which alone speaks to the page. */
(function () {
  'use strict';
  const M = window.RasdMap;
  let busy = false;                                 // a map that is being moved does not move the other back

  /* The first map's `other`: made, refreshed or removed; data is handed on when it is shown. */
  M.pair = function (first, o, pane) {
    const on = !!pane, changed = on !== !!first.other;
    if (on && !first.other) make(first);
    if (!on && first.other) remove(first);
    document.body.classList.toggle('rasd-pair', on); document.body.classList.toggle('rasd-turned', on && o.rtl);
    if (window.frameElement) { if (on) window.frameElement.dataset.rasd = 'pair'; else delete window.frameElement.dataset.rasd; }
    if (changed) { first._map.invalidateSize({ animate: false, pan: false }); if (on) M.follow(first.other._map, first._map); }
    return changed;
  };
  function make(first) {
    const box = first._map.getContainer(), div = L.DomUtil.create('div', '', box.parentNode); div.id = 'rasd_second';
    const map = L.map(div, { zoomControl: false, attributionControl: false, maxZoom: first._map.options.maxZoom, zoomSnap: first._map.options.zoomSnap, keyboard: true });
    M.follow(map, first._map);
    first._map.eachLayer((layer) => { if (layer instanceof L.TileLayer) L.tileLayer(layer._url, L.Util.extend({}, layer.options)).addTo(map); });
    const other = first.other = new L.RasdGrid({ second: true }); other.second = true; other.other = first; other.addTo(map);
    first._ties = [tie(first, other), tie(other, first)];
    map.on('dragstart', () => { first._moved = true; }); map.on('zoomstart', () => { if (!busy) first._moved = true; });
  }
  M.follow = function (map, leader) {               // to the same place, without moving the leader in turn
    const was = busy; busy = true;
    try { if (map._loaded) map.invalidateSize({ animate: false, pan: false }); map.setView(leader.getCenter(), leader.getZoom(), { animate: false }); } finally { busy = was; }
  };
  function remove(first) {
    first._ties.forEach((untie) => untie()); const map = first.other._map, div = map.getContainer();
    first.other.stop(); map.remove(); div.remove(); first.other = null;
  }
  function tie(from, to) {
    const a = from._map, b = to._map, quietly = (work) => { if (busy || !a._loaded || !b._loaded) return; busy = true; try { work(); } finally { busy = false; } };
    // Dragging shifts the other map's pane; its cells are drawn again only when the move ends.
    const moved = () => quietly(() => {
      if (a.getZoom() !== b.getZoom()) { b.setView(a.getCenter(), a.getZoom(), { animate: false }); return; }
      const shift = b.latLngToContainerPoint(a.getCenter()).subtract(b.getSize().divideBy(2));
      if (Math.abs(shift.x) >= 0.5 || Math.abs(shift.y) >= 0.5) { b._rawPanBy(shift.round()); b.fire('move'); }
    });
    const settled = () => quietly(() => {
      if (a.getZoom() !== b.getZoom()) b.setView(a.getCenter(), a.getZoom(), { animate: false }); else b.fire('moveend');
    });
    const zooms = (e) => quietly(() => { if (!e.noUpdate) b.setView(e.center, e.zoom, { animate: true }); });
    a.on('move', moved); a.on('moveend', settled); a.on('zoomanim', zooms);
    return () => { a.off('move', moved); a.off('moveend', settled); a.off('zoomanim', zooms); };
  }
})();
