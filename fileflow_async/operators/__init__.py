"""Operators whose tasks read what other tasks committed, and commit what they make."""
