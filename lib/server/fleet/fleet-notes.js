'use strict';

/** What a fleet notes of a request of this server's callers. Made when there is something to note. */
class FleetNotes {
  /** Where it is at another node, and how many in a row have declined it. */
  forward = null;
  declines = 0;
  /** The nodes that had an earlier attempt of it. */
  formerNodes = null;
  /** When it first began to wait. */
  waitsSince = undefined;
}

/** @returns {FleetNotes} */
function notesOf(request) {
  request.fleetNotes ??= new FleetNotes();
  return request.fleetNotes;
}

module.exports = { notesOf };
