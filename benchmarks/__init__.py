"""Measurements, one question a file; CONTRIBUTING.md lists the commands."""
