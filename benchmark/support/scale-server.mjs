// The server's side of scale.mjs: reports workers that came and went, and what that cost.

const now = () => performance.timeOrigin + performance.now();

/** Counts to a number that is set for each phase. */
class Tally {
  expect(count) {
    Object.assign(this, { count: 0, first: undefined, last: undefined });
    this.done = new Promise((resolve) => {
      this.add = () => {
        this.count += 1;
        this.first ??= now();
        if (this.count < count) return;
        this.last = now();
        resolve();
      };
    });
  }
}

export default [
  {
    name: 'scale',
    loopDelay: true,
    serve({ server, params, meter }) {
      const came = new Tally();
      const left = new Tally();
      came.expect(params.workers);
      left.expect(Infinity);
      server.onWorkerConnected(() => came.add());
      server.onWorkerDisconnected(() => left.add());
      const start = () => meter.start({ loopDelay: true });
      return {
        async connected() {
          await came.done;
          return {
            seconds: (came.last - came.first) / 1000,
            count: server.getWorkerCount(),
            usage: await meter.stop(),
          };
        },
        /** Starts a phase, in which `count` workers are to vanish. */
        phase(leaving = Infinity) {
          left.expect(leaving);
          start();
        },
        async vanished(since) {
          await left.done;
          const times = { first: left.first - since, all: left.last - since };
          return {
            ...times,
            count: server.getWorkerCount(),
            available: server.getAvailableWorkerCount(),
            usage: await meter.stop(),
          };
        },
        async measured() {
          const usage = await meter.stop();
          return { count: server.getWorkerCount(), available: server.getAvailableWorkerCount(), usage };
        },
        rss: () => meter.settledRss(),
      };
    },
  },
];
