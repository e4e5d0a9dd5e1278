'use strict';

/** `/healthz`: the process answers. `/readyz`: it takes requests. Open to all, and they say no more than that. */
function healthHandler(server) {
  return (req, res) => {
    const path = req.url.split('?', 1)[0];
    if (path !== '/healthz' && path !== '/readyz') return false;
    if (req.method !== 'GET' && req.method !== 'HEAD') {
      res.writeHead(405, { allow: 'GET, HEAD' }).end();
      return true;
    }
    const isGood = path === '/healthz' || server.state === 'running';
    const body = `${JSON.stringify({ state: server.state })}\n`;
    res.writeHead(isGood ? 200 : 503, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    res.end(req.method === 'HEAD' ? undefined : body);
    return true;
  };
}

module.exports = { healthHandler };
