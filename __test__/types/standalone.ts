// The part of a user's program that goes without a server: WorkerPool and ConnectionHandler. Compiled beside program.ts, and
// never run.

import { WebSocket, WebSocketServer } from 'ws';
import { ConnectionHandler, WorkerPool, WorkerStatus, safeCompare, toWorkerInfo } from '@hardlydifficult/worker-server';
import type {
  ConnectedWorker,
  ConnectionHandlerConfig,
  WorkerCapabilities,
  WorkerInfo,
} from '@hardlydifficult/worker-server';

const limited: WorkerCapabilities = { models: [], maxConcurrentRequests: 2, concurrencyLimits: { chat: 1 } };

interface Result {
  requestId: string;
}

function caller(websocket: WebSocket): ConnectedWorker {
  const worker: ConnectedWorker = {
    id: 'w',
    name: 'W',
    websocket,
    capabilities: limited,
    status: WorkerStatus.Available,
    sessionId: 's',
    connectedAt: new Date(),
    lastHeartbeat: new Date(),
    activeRequests: 0,
    pendingRequests: new Set(),
    completedRequests: 0,
    requestCategories: new Map(),
    categoryActiveRequests: new Map(),
  };
  worker.status = WorkerStatus.Draining;
  worker.lastHeartbeat = new Date(0);
  worker.activeRequests += 1;
  worker.completedRequests += 1;
  worker.pendingRequests.add('r');
  worker.requestCategories.set('r', 'chat');
  worker.categoryActiveRequests.set('chat', 1);
  return worker;
}

function pools(websocket: WebSocket): void {
  const pool: WorkerPool = new WorkerPool();
  new WorkerPool(console);
  const worker = caller(websocket);
  const mocked = { ...worker, websocket: { readyState: 1, send() {}, close() {} } as unknown as WebSocket };
  pool.add(worker);
  pool.add(mocked);
  const got: ConnectedWorker | undefined = pool.get('w');
  const removed: ConnectedWorker | undefined = pool.remove('w');
  const selected: Array<ConnectedWorker | null> = [
    pool.getAvailableWorker('m'),
    pool.getAvailableWorker('m', 'chat'),
    pool.getAnyAvailableWorker(),
  ];
  for (const each of pool.values())
    console.log(each.id, each.name, each.sessionId, each.connectedAt, each.capabilities);
  const listed: ConnectedWorker[] = Array.from(pool.values());
  pool.trackRequest('w', 'r');
  pool.trackRequest('w', 'r', 'chat');
  pool.releaseRequest('r');
  pool.releaseRequest('r', { incrementCompleted: false });
  const dead: string[] = pool.checkHealth(60_000);
  const sent: boolean = pool.send('w', { type: 'job' });
  pool.broadcast({ type: 'job' });
  const has: boolean = pool.has('w');
  const counts: number[] = [pool.getCount(), pool.getAvailableCount(), pool.getAvailableSlotCount('m', 'chat')];
  const infos: WorkerInfo[] = pool.getWorkerInfoList();
  pool.closeAll();
  console.log(
    got?.websocket.readyState,
    removed,
    selected,
    listed,
    dead,
    sent,
    has,
    counts,
    infos,
    toWorkerInfo(worker),
  );

  const smallestConfig: ConnectionHandlerConfig = { heartbeatTimeoutMs: 60_000, heartbeatIntervalMs: 15_000 };
  const config: ConnectionHandlerConfig = { ...smallestConfig, authToken: 'secret' };
  new ConnectionHandler(pool, { ...smallestConfig, authToken: process.env['TOKEN'] });
  const handler: ConnectionHandler = new ConnectionHandler(pool, config);
  new ConnectionHandler(pool, { ...smallestConfig, authToken: ['new', 'old'] as const });
  new ConnectionHandler(pool, smallestConfig, console);
  const unsubscribe: Array<() => void> = [
    handler.onMessage<Result>('typed', (_worker, message) => console.log(message.requestId)),
    handler.onMessage('untyped', (worker, message) => console.log(worker.id, message)),
    handler.onWorkerConnected((worker) => console.log(worker.id)),
    handler.onWorkerDisconnected((worker, pendingRequestIds) => console.log(worker.id, pendingRequestIds.size)),
  ];
  new WebSocketServer({ port: 0 }).on('connection', (ws) => handler.handleConnection(ws));
  handler.handleConnection(websocket);
  const equal: boolean = safeCompare('a', 'b');
  console.log(unsubscribe.length, equal);
}

pools(new WebSocket('ws://localhost'));
