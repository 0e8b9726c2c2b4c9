"""The storage drivers of the original fileflow, for whoever moves over.

They keep its names, arguments and paths: one file or object a task and day, replaced by whoever writes last.
There are no records beside them and nothing can wait for them; only targets have that. What is new: files are
replaced at once or not at all, streams are not held in memory, nothing is asked of S3 before it is needed,
and whatever goes wrong is a StorageError, or an error of another kind of this package's family.

The methods are synchronous. Each call has an event loop of its own, unless the driver is used as a context
manager: then it keeps one, with its connections, to the end of the block.
"""

from fileflow_async.errors import StorageDriverError
from fileflow_async.storage_drivers.choice import get_storage_driver
from fileflow_async.storage_drivers.driver import StorageDriver
from fileflow_async.storage_drivers.file import FileStorageDriver
from fileflow_async.storage_drivers.s3 import S3Key, S3StorageDriver

__all__ = [
    "FileStorageDriver",
    "S3Key",
    "S3StorageDriver",
    "StorageDriver",
    "StorageDriverError",
    "get_storage_driver",
]
