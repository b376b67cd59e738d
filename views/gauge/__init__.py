"""The parts of the Indicators page (``views/indicators.py``)."""
