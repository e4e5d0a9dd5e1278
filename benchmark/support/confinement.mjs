// Less than a machine for the server's process: one processor, or a quota as a container has it. Linux only.

import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** The period of a quota, in microseconds. The default of Docker and Kubernetes. */
const PERIOD_US = 100_000;
const CGROUPS = '/sys/fs/cgroup';
/** Starts what follows in the cgroup whose folder is its first argument. */
const IN_CGROUP = 'echo $$ > "$0/cgroup.procs" && exec "$@"';

/** A cgroup with a quota, in whichever version this machine has. Throws if it can't be made. */
function makeCgroup(processors, root) {
  const isSecond = existsSync(path.join(root, 'cgroup.controllers'));
  const folder = path.join(root, isSecond ? '' : 'cpu', `worker-server-bench-${process.pid}`);
  if (isSecond) writeFileSync(path.join(root, 'cgroup.subtree_control'), '+cpu');
  mkdirSync(folder);
  const quota = String(processors * PERIOD_US);
  try {
    if (isSecond) {
      writeFileSync(path.join(folder, 'cpu.max'), `${quota} ${PERIOD_US}`);
    } else {
      writeFileSync(path.join(folder, 'cpu.cfs_period_us'), String(PERIOD_US));
      writeFileSync(path.join(folder, 'cpu.cfs_quota_us'), quota);
    }
  } catch (error) {
    rmdirSync(folder);
    throw error;
  }
  process.on('exit', () => {
    try {
      rmdirSync(folder);
    } catch (error) {
      // A process that was killed just now may still be in it.
      console.error(`${folder} is left: ${error.message}`);
    }
  });
  return folder;
}

/**
 * How the server's process is confined: `processor` puts it on processor 0, a number is how many processors' time it gets. Returns `undefined`,
 * and says why, where this machine can't do that.
 *
 * @param {string} root where the system shows its cgroups
 * @returns {{ command: string[], throttled?: () => number } | undefined} what starts a command so, and how many periods were throttled by now
 */
export function confine(how, root = CGROUPS) {
  if (how === 'processor') return { command: ['taskset', '-c', '0'] };
  const processors = Number(how);
  if (!(processors > 0)) throw new Error(`--confine takes "processor" or a number of processors, not ${how}`);
  try {
    const folder = makeCgroup(processors, root);
    const throttled = () => Number(/nr_throttled (\d+)/.exec(readFileSync(path.join(folder, 'cpu.stat'), 'utf8'))[1]);
    return { command: ['sh', '-c', IN_CGROUP, folder], throttled };
  } catch (error) {
    console.error(`skipped: this machine lets nobody set a CPU quota (${error.message})`);
    return undefined;
  }
}
