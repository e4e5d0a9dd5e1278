'use strict';

// `/metrics`, for Prometheus.

/** What Prometheus calls the format of `server.metrics()`. */
const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

function metricsHandler(server) {
  return (req, res) => {
    if (req.url.split('?', 1)[0] !== '/metrics') return false;
    if (req.method !== 'GET' && req.method !== 'HEAD') {
      res.writeHead(405, { allow: 'GET, HEAD' }).end();
      return true;
    }
    res.writeHead(200, { 'content-type': CONTENT_TYPE, 'cache-control': 'no-store' });
    res.end(req.method === 'HEAD' ? undefined : server.metrics());
    return true;
  };
}

module.exports = { metricsHandler };
