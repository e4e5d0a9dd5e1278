'use strict';

const { startProgramWithFiles } = require('../support/program');
const { openWorker } = require('../support/socket');
const { rawConnect } = require('../support/raw');

const onUnix = process.platform === 'win32' ? test.skip : test;

onUnix(
  'a server that has run out of file descriptors keeps its workers, and goes on when some are free again',
  async () => {
    const program = startProgramWithFiles(64, 'limits/programs/few-files.js');
    const port = await program.port();
    const worker = await openWorker(port, 'early');
    const crowd = await Promise.all(Array.from({ length: 100 }, () => rawConnect(port)));
    await program.stdout(/error HTTP server error/);
    worker.send({ type: 'heartbeat', workerId: 'early', timestamp: 't' });
    expect((await worker.nextJson()).type).toBe('heartbeat_ack');
    for (const raw of crowd) raw.socket.destroy();
    expect((await openWorker(port, 'late')).ack.success).toBe(true);
    worker.send({ type: 'stop' });
    expect(await program.exit).toMatchObject({ code: 0, stderr: '' });
  },
);
