"""One poll of a store for all who wait in an event loop."""

from fileflow_async.watch.inbox import Inbox
from fileflow_async.watch.source import OpenSource, Source, source_of
from fileflow_async.watch.watch import Member, Watch, closed

__all__ = ["Inbox", "Member", "OpenSource", "Source", "Watch", "closed", "source_of"]
