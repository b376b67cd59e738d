/* Page-side helper: hands clicks on [data-rasd-*] buttons of the lists and cards to the
   map's frame (same origin), copies the page's address, and turns grids for Arabic. Loaded
   once per page. */
(function () {
  'use strict';
  if (window.rasdShell) return;
  window.rasdShell = true;
  function frame() { return document.querySelector('.st-key-rasd_map iframe, iframe[src*="streamlit_folium"]'); }
  function show(f) {
    const r = f.getBoundingClientRect();
    if (r.top < 0 || r.bottom > window.innerHeight + 80) f.scrollIntoView({ block: 'center', behavior: 'smooth' });
  }
  // Browsers have no clipboard on plain http from another machine; a selected field still copies.
  function copy(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const field = document.createElement('textarea');
    field.value = text; field.style.cssText = 'position:fixed;top:0;opacity:0'; document.body.appendChild(field);
    field.select(); const done = document.execCommand('copy'); field.remove();
    return done ? Promise.resolve() : Promise.reject(new Error('The browser did not copy the address.'));
  }
  // A grid does not turn around: in Arabic its first column is the rightmost, so it opens there.
  setInterval(function () {
    if (document.documentElement.dir !== 'rtl') return;
    document.querySelectorAll('[data-testid=stDataFrame] .dvn-scroller').forEach(function (grid) {
      if (grid.dataset.rasd || grid.scrollWidth < 2) return;
      grid.dataset.rasd = 'turned'; grid.scrollLeft = grid.scrollWidth;
    });
  }, 600);
  document.addEventListener('click', function (e) {
    const b = e.target.closest && e.target.closest('[data-rasd]'); if (!b) return;
    const f = frame(), map = f && f.contentWindow && f.contentWindow.rasd, d = b.dataset;
    if (d.rasd === 'copy') {
      copy(window.location.href).then(function () {
        if (b.textContent === d.done) return;      // pressed again meanwhile: keep the first word
        const old = b.textContent; b.textContent = d.done; setTimeout(function () { b.textContent = old; }, 1600);
      });
    } else if (map && d.rasd === 'cell') { map.goCell(Number(d.lat), Number(d.lng), Number(d.res)); show(f); }
    else if (map && d.rasd === 'area') { map.goArea(Number(d.id)); show(f); }
    else if (map && d.rasd === 'outline') { map.goOutline(Number(d.id)); show(f); }
    else if (map && d.rasd === 'line') { map.goLine(Number(d.id)); show(f); }
    else if (map && d.rasd === 'close') { map.clear(); }
  });
})();
