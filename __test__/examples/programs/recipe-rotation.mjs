// Workers with the old and the new token come to the recipe while the file changes.

import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { finish, hangUp, load, note, register } from './recipe-support.mjs';

process.env.TOKENS = path.join(process.env.FOLDER, 'tokens');
const write = (text) => writeFileSync(process.env.TOKENS, text);
write('old\n');
const server = await load();
console.error = () => {};

const attempt = async (name, token) => {
  const { ws, success } = await register(server, 'w', { token });
  note(name, success);
  ws.terminate();
};
const { ws: connected } = await register(server, 'connected', { token: 'old' });
await attempt('old, before', 'old');
await attempt('new, before', 'new');
write('new\nold\n');
await hangUp();
await attempt('old, with both', 'old');
await attempt('new, with both', 'new');
write('new\n');
await hangUp();
await attempt('old, after', 'old');
await attempt('new, after', 'new');
rmSync(process.env.TOKENS);
await hangUp();
await attempt('new, with no file', 'new');
write('');
await hangUp();
await attempt('new, with an empty file', 'new');
note('connected all the time', connected.readyState === connected.OPEN);
await finish(server);
