'use strict';

// The frames that a worker sends, as JSON text. Values come as text already: they were serialised on the program's
// thread.

const isAttemptNumber = (value) => Number.isInteger(value) && value >= 1;

/**
 * A message about an attempt.
 *
 * @param {...(string | undefined)} members further members, as JSON text with their keys, such as `"seq":0`
 */
function attemptFrame(type, { requestId, attempt }, ...members) {
  const head = `{"type":"${type}","requestId":${JSON.stringify(requestId)},"attempt":${attempt}`;
  return `${[head, ...members.filter((member) => member !== undefined)].join(',')}}`;
}

function errorFrame(attempt, code, message) {
  return attemptFrame('request_error', attempt, `"error":${JSON.stringify({ message, code })}`);
}

/**
 * @param {string} capabilities JSON text
 * @param {{ sessionId: string, requests: object[] }} [resume] left out on a first connection
 */
function registrationFrame({ workerId, workerName, capabilities, token, resume }) {
  const members = [
    '"type":"worker_registration"',
    `"workerId":${JSON.stringify(workerId)}`,
    `"workerName":${JSON.stringify(workerName)}`,
    `"capabilities":${capabilities}`,
  ];
  if (token !== undefined) members.push(`"authToken":${JSON.stringify(token)}`);
  members.push('"features":["request","resume"]');
  if (resume !== undefined) members.push(`"resume":${JSON.stringify(resume)}`);
  return `{${members.join(',')}}`;
}

module.exports = { attemptFrame, errorFrame, isAttemptNumber, registrationFrame };
