/* Page-side helper: hands clicks on [data-rasd-*] buttons of the lists and cards to the
   map's frame (same origin), and copies the page's address. Loaded once per page. */
(function () {
  'use strict';
  if (window.rasdShell) return;
  window.rasdShell = true;
  function frame() { return document.querySelector('.st-key-rasd_map iframe, iframe[src*="streamlit_folium"]'); }
  function show(f) {
    const r = f.getBoundingClientRect();
    if (r.top < 0 || r.bottom > window.innerHeight + 80) f.scrollIntoView({ block: 'center', behavior: 'smooth' });
  }
  document.addEventListener('click', function (e) {
    const b = e.target.closest && e.target.closest('[data-rasd]'); if (!b) return;
    const f = frame(), map = f && f.contentWindow && f.contentWindow.rasd, d = b.dataset;
    if (d.rasd === 'copy') {
      navigator.clipboard.writeText(window.location.href).then(function () { const old = b.textContent; b.textContent = d.done; setTimeout(function () { b.textContent = old; }, 1600); });
    } else if (map && d.rasd === 'cell') { map.goCell(Number(d.lat), Number(d.lng), Number(d.res)); show(f); }
    else if (map && d.rasd === 'area') { map.goArea(Number(d.id)); show(f); }
    else if (map && d.rasd === 'close') { map.clear(); }
  });
})();
