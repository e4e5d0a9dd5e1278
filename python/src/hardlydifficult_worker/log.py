"""Log lines that never hold a token."""

from __future__ import annotations

import logging
import traceback
from typing import Any, TypeAlias

Logger: TypeAlias = "logging.Logger | logging.LoggerAdapter[Any]"

HIDDEN = "***"


def silent_logger() -> logging.Logger:
    """Return a logger for `websockets`, which writes whole frames, tokens among them, at DEBUG."""
    # Not one of `getLogger`: those can be switched on from outside, all at once.
    logger = logging.Logger("hardlydifficult_worker.websockets", logging.CRITICAL + 1)
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    logger.disabled = True
    return logger


class Log:
    """Writes to the program's logger, with every secret that it knows blotted out."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._secrets: set[str] = set()

    def hide(self, secret: str | None) -> None:
        """Never write this text."""
        if secret:
            self._secrets.add(secret)

    def redact(self, text: str) -> str:
        """Return a text without the secrets."""
        # The longest first: one secret may be a part of another.
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text

    def debug(self, message: str, *args: object) -> None:
        """Write what only a search for a fault needs."""
        self._write(logging.DEBUG, message, args, None)

    def info(self, message: str, *args: object) -> None:
        """Write what becomes of the connection."""
        self._write(logging.INFO, message, args, None)

    def warning(self, message: str, *args: object) -> None:
        """Write what an operator should look at."""
        self._write(logging.WARNING, message, args, None)

    def error(self, message: str, *args: object, error: BaseException | None = None) -> None:
        """Write what went wrong in the program's own code, with its stack."""
        self._write(logging.ERROR, message, args, error)

    def _write(self, level: int, message: str, args: tuple[object, ...], error: BaseException | None) -> None:
        if not self._logger.isEnabledFor(level):
            return
        shown = tuple(arg if isinstance(arg, (int, float)) else self.redact(str(arg)) for arg in args)
        if error is not None:
            message += "\n%s"
            shown = (*shown, self.redact(_stack_of(error)))
        self._logger.log(level, message, *shown)


def _stack_of(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error)).rstrip()
    except Exception:
        # An exception whose text can't be had.
        return type(error).__name__
