'use strict';

/** Obeys the parent: calls `commands[command](options)` for each of its messages, and answers with what that returns. */
module.exports = function obey(commands) {
  process.on('message', async ({ number, command, options }) => {
    try {
      process.send({ number, result: await commands[command](options) });
    } catch (error) {
      process.send({ number, error: error.stack });
    }
  });
  process.on('disconnect', () => process.exit());
};
