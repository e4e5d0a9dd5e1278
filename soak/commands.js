'use strict';

/**
 * Answers what soak.mjs asks of this process over IPC: `{ number, command }`, with `{ number, result }` or `{ number, error }`.
 *
 * @param commands What can be asked, by name
 * @param answered Called with the name when its answer has left
 */
function answerCommands(commands, answered = () => {}) {
  process.on('message', async ({ number, command }) => {
    if (command === undefined) return;
    let answer;
    try {
      answer = { number, result: (await commands[command]()) ?? null };
    } catch (error) {
      answer = { number, error: error.stack };
    }
    if (process.connected) process.send(answer, () => answered(command));
  });
}

module.exports = { answerCommands };
