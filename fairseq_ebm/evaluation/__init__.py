"""Streams data through models into numerics; returns records. Knows no task and no parser."""
