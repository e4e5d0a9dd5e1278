"""A worker for @hardlydifficult/worker-server: no thought of heartbeats, reconnecting, cancelling or draining."""

from .context import RequestContext
from .errors import OptionError, RequestError, WorkerRejected
from .worker import Worker

__all__ = ["OptionError", "RequestContext", "RequestError", "Worker", "WorkerRejected"]
__version__ = "1.1.0"
