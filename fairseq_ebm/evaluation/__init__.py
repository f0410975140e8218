"""Feeds data through models into numerics and returns records. Knows no task and no parser."""
