// Loads the package in every way there is and prints which exports each way has, and whether they are the same ones.

import { createRequire } from 'node:module';
import {
  ConnectionHandler,
  WorkerPool,
  WorkerRequestError,
  WorkerServer,
  WorkerStatus,
  safeCompare,
  toWorkerInfo,
} from '@hardlydifficult/worker-server';
import * as namespace from '@hardlydifficult/worker-server';

const required = createRequire(import.meta.url)('@hardlydifficult/worker-server');
const imported = await import('@hardlydifficult/worker-server');
const named = {
  ConnectionHandler,
  WorkerPool,
  WorkerRequestError,
  WorkerServer,
  WorkerStatus,
  safeCompare,
  toWorkerInfo,
};

const same = (other) => Object.keys(required).filter((name) => other[name] === required[name]);
console.log(
  JSON.stringify({
    require: Object.keys(required).sort(),
    'import {}': same(named).sort(),
    'import *': same(namespace).sort(),
    'import()': same(imported).sort(),
    'default import': same(namespace.default).sort(),
  }),
);
