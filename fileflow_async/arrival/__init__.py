"""What counts as arrived: decisions without I/O about files of outsiders."""

from fileflow_async.arrival.wait import Arrival

__all__ = ["Arrival"]
