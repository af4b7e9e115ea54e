"""Measurements; see layers.py and overhead.py."""
