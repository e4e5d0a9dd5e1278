"""What a worker keeps for a resume: the last chunks of each stream, and each end until the server has settled it.

Pure: frames in, frames out. The clock is an argument.
"""

from __future__ import annotations

from collections import deque

MAX_STREAM_BYTES = 8 * 1024 * 1024
MAX_TOTAL_BYTES = 64 * 1024 * 1024
KEEP_ENDS_SECONDS = 300.0

Key = tuple[str, int]
"""A request's id and attempt."""


class _Kept:
    __slots__ = ("bytes", "chunks_wanted", "end", "ended_at", "first_seq", "frames")

    def __init__(self) -> None:
        self.chunks_wanted = True
        self.frames: deque[bytes] = deque()
        self.first_seq = 0
        self.bytes = 0
        self.end: bytes | None = None
        self.ended_at = 0.0

    def drop_oldest(self) -> int:
        size = len(self.frames.popleft())
        self.bytes -= size
        self.first_seq += 1
        return size


class ReplayStore:
    """Chunks and ends by request and attempt, within a bound for each stream and one for all."""

    def __init__(
        self,
        max_stream_bytes: int = MAX_STREAM_BYTES,
        max_total_bytes: int = MAX_TOTAL_BYTES,
        keep_ends_seconds: float = KEEP_ENDS_SECONDS,
    ) -> None:
        self._max_stream_bytes = max_stream_bytes
        self._max_total_bytes = max_total_bytes
        self._keep_ends_seconds = keep_ends_seconds
        self._kept: dict[Key, _Kept] = {}
        self.total_bytes = 0

    def add_chunk(self, key: Key, frame: bytes) -> set[Key]:
        """Keep the next chunk of a stream, and return the streams that lost their oldest chunks by it.

        These are the stream itself if it has too many, and the largest one if all together have too many.
        """
        kept = self._kept.setdefault(key, _Kept())
        kept.frames.append(frame)
        kept.bytes += len(frame)
        self.total_bytes += len(frame)
        shortened: set[Key] = set()
        while kept.bytes > self._max_stream_bytes:
            self.total_bytes -= kept.drop_oldest()
            shortened.add(key)
        while self.total_bytes > self._max_total_bytes:
            largest = max(self._kept, key=lambda each: self._kept[each].bytes)
            self.total_bytes -= self._kept[largest].drop_oldest()
            shortened.add(largest)
        return shortened

    def add_end(self, key: Key, frame: bytes, now: float) -> None:
        """Keep a request's last message until it is settled."""
        kept = self._kept.setdefault(key, _Kept())
        kept.end = frame
        kept.ended_at = now

    def drop_chunks(self, key: Key) -> None:
        """Forget a stream's chunks: its end is an error, which is sent without them."""
        kept = self._kept.get(key)
        if kept is not None:
            self.total_bytes -= kept.bytes
            kept.chunks_wanted = False
            kept.frames.clear()
            kept.bytes = 0

    def chunks_from(self, key: Key, next_seq: int) -> list[bytes] | None:
        """Return the chunks that the server hasn't got, or None if one of them is no longer kept, or never was."""
        kept = self._kept.get(key)
        if kept is not None and not kept.chunks_wanted:
            return []
        if kept is None:
            return [] if next_seq == 0 else None
        if not kept.first_seq <= next_seq <= kept.first_seq + len(kept.frames):
            return None
        return list(kept.frames)[next_seq - kept.first_seq :]

    def end_of(self, key: Key) -> bytes | None:
        """Return a request's last message, if it has ended and isn't settled."""
        kept = self._kept.get(key)
        return None if kept is None else kept.end

    def find(self, frame: bytes) -> Key | None:
        """Return the request that this very frame belongs to."""
        for key, kept in self._kept.items():
            if kept.end is frame or any(each is frame for each in kept.frames):
                return key
        return None

    def unsettled(self) -> list[Key]:
        """Return the requests that have ended and aren't settled."""
        return [key for key, kept in self._kept.items() if kept.end is not None]

    def forget(self, key: Key) -> None:
        """Keep nothing more of a request: it is settled, or the server doesn't want it."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.total_bytes -= kept.bytes

    def forget_all(self) -> None:
        """Keep nothing more at all."""
        self._kept.clear()
        self.total_bytes = 0

    def expire(self, now: float) -> None:
        """Forget the ends that the server has not settled for too long."""
        for key in self.unsettled():
            if now - self._kept[key].ended_at >= self._keep_ends_seconds:
                self.forget(key)
