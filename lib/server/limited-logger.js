'use strict';

const { levels: LEVELS } = require('../native/abi.js');

/**
 * A logger for lines that any peer can cause at will. The native side, which has such lines of its own, counts the
 * lines of each message, says whether there is room for one more, and logs by itself how many were left out.
 *
 * @param admits called with the number of a level and a message
 */
function limitedLogger(logger, admits) {
  const limited = {};
  LEVELS.forEach((level, number) => {
    limited[level] = (message, context) => {
      if (admits(number, message)) logger[level](message, context);
    };
  });
  return limited;
}

module.exports = { limitedLogger };
