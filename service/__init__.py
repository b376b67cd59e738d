"""Answers to other systems over HTTP: the Open311 GeoReport v2 service (docs/open311.md)."""
