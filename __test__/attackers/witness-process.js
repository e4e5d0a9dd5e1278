'use strict';

// A well-behaved worker in a process of its own. It has its messages echoed and its heartbeats answered one after the other,
// and asks for a page on a new connection, and reports how long each took.

const http = require('node:http');
const https = require('node:https');
const { once } = require('node:events');
const WebSocket = require('ws');
const obey = require('./obey');
const { registration } = require('../support/raw');

let ws;
let port;
/** The authority of the server's certificate, where it has one. */
let ca;
let closed = null;
const waiting = { echoed: [], heartbeat_ack: [] };

const ask = (type, message) =>
  new Promise((resolve, reject) => {
    if (closed !== null) {
      reject(new Error(`the witness was closed with ${closed}`));
      return;
    }
    waiting[type].push({ resolve, reject });
    ws.send(JSON.stringify(message));
  });

const echo = (n) => ask('echoed', { type: 'echo', n });
const heartbeat = () => ask('heartbeat_ack', { type: 'heartbeat', workerId: 'witness', timestamp: 't' });

function page() {
  return new Promise((resolve, reject) => {
    const { get } = ca === undefined ? http : https;
    const req = get({ port, host: '127.0.0.1', agent: false, ca }, (res) => {
      res.resume();
      res.on('end', resolve);
    });
    req.on('error', reject);
  });
}

const timed = async (what) => {
  const begun = performance.now();
  await what();
  return performance.now() - begun;
};

obey({
  async open(options) {
    ({ port, ca } = options);
    const { authToken } = options;
    ws = new WebSocket(`${ca === undefined ? 'ws' : 'wss'}://127.0.0.1:${port}/`, { ca });
    ws.on('error', () => {});
    ws.on('close', (code) => {
      closed = code;
      for (const { reject } of Object.values(waiting).flat()) reject(new Error(`the witness was closed with ${code}`));
    });
    await once(ws, 'open');
    ws.send(JSON.stringify(registration('witness', authToken === undefined ? {} : { authToken })));
    await once(ws, 'message');
    ws.on('message', (data) => waiting[JSON.parse(data).type]?.shift()?.resolve());
  },

  /** `count` of each, one after the other. Resolves when all were answered. */
  async count({ echoes, heartbeats, pages = 0 }) {
    for (let n = 0; n < echoes; n += 1) await echo(n);
    for (let n = 0; n < heartbeats; n += 1) await heartbeat();
    for (let n = 0; n < pages; n += 1) await page();
    return closed;
  },

  /** For `ms`: the times of each kind in milliseconds. What has no answer in the end counts with the time that it waited. */
  async measure({ ms }) {
    const end = performance.now() + ms;
    const times = {};
    const repeat = async (name, what, pauseMs) => {
      times[name] = [];
      while (performance.now() < end && closed === null) {
        const begun = performance.now();
        const left = new Promise((resolve) => setTimeout(resolve, end - begun + 1000));
        const time = await Promise.race([timed(what).catch(() => null), left]);
        times[name].push(time ?? performance.now() - begun);
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    };
    await Promise.all([repeat('echo', () => echo(0), 5), repeat('heartbeat', heartbeat, 5), repeat('page', page, 20)]);
    return { times, closed };
  },
});
