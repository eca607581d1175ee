"""Figures from files that exist: the only place that imports matplotlib."""
