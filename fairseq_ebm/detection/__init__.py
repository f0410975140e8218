"""Telling real text from generated: scores, thresholds and how well they work."""
