// Workers with tokens of the recipe's database, and with others.

import { createHash } from 'node:crypto';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { finish, load, note, refusedFor, register } from './recipe-support.mjs';

process.env.DATABASE = path.join(process.env.FOLDER, 'workers.db');
const server = await load();
const database = new DatabaseSync(process.env.DATABASE);
const hash = (token) => createHash('sha256').update(token).digest('hex');
const insert = database.prepare('INSERT INTO workers (token_hash, id, tenant) VALUES (?, ?, ?)');
insert.run(hash('token-1'), 'gpu-1', 'blue');

const attempt = async (name, id, token) => {
  const { ws, success } = await register(server, id, { token });
  note(name, success ? server.getWorkerInfo()[0].auth : refusedFor());
  ws.terminate();
};
await attempt('good', 'gpu-1', 'token-1');
await attempt('of another worker', 'gpu-2', 'token-1');
await attempt('unknown', 'gpu-1', 'token-2');
await attempt('no token', 'gpu-1', undefined);
database.prepare('UPDATE workers SET revoked = 1 WHERE id = ?').run('gpu-1');
await attempt('revoked', 'gpu-1', 'token-1');
database.close();
await finish(server);
