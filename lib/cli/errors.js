'use strict';

// The two ways in which a command ends badly. Each becomes one line on stderr, which never holds a value that may be a
// secret.

/** Exit 2: the command line, or a variable, is wrong. */
class UsageError extends Error {}

/** Exit 1: what was asked for could not be done. */
class Failure extends Error {}

module.exports = { Failure, UsageError };
