"""The web application: ``streamlit run app.py`` (``./run`` does it with everything set up).

Pages live in ``views/``; a folder named ``pages/`` would be run by Streamlit past this file.
"""

import streamlit as st

from layers import assets

st.set_page_config(page_title="Rasd · رصد", page_icon=str(assets.STATIC / "icon.png"), layout="wide")

from views import (  # noqa: E402  (set_page_config must be the first call)
    audit,
    campaigns,
    case,
    hotspots,
    inbox,
    indicators,
    navigation,
    packs,
    report,
    routing,
)

if not all((assets.STATIC / "leaflet" / name).exists() for name in assets.LEAFLET_FILES):
    assets.prepare()

navigation.run(
    {
        "hotspots": hotspots.page,
        "campaigns": campaigns.page,
        "inbox": inbox.page,
        "case": case.page,
        "report": report.page,
        "indicators": indicators.page,
        "packs": packs.page,
        "routing": routing.page,
        "audit": audit.page,
    }
)
