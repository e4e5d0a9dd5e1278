'use strict';

// What every answer says about itself, so that no other page, cache or guess gets at what it holds.

const { createHash } = require('node:crypto');
const { get, openEvents, startStatus } = require('./support/status.js');

const sha256 = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** The directives of a policy by name. */
const directivesOf = (policy) =>
  Object.fromEntries(policy.split('; ').map((directive) => directive.split(/ (.*)/s).slice(0, 2)));

test('every answer is nosniff, no-referrer, no-store, and lets nothing in', async () => {
  const { port } = await startStatus();
  const answers = [
    await get(port, '/status'),
    await get(port, '/status.json'),
    await get(port, '/status/explain'),
    await get(port, '/status/actions', {}, { method: 'POST' }),
    await get(port, '/status', {}, { method: 'PUT' }),
    await get(port, '/status', { host: 'elsewhere.example' }),
    await openEvents(port),
  ];
  for (const { headers } of answers) {
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    });
    expect(headers['access-control-allow-origin']).toBeUndefined();
    const policy = headers['content-security-policy'];
    expect(policy).not.toContain('unsafe-');
    expect(directivesOf(policy)).toMatchObject({
      'default-src': "'none'",
      'base-uri': "'none'",
      'form-action': "'none'",
      'frame-ancestors': "'none'",
    });
  }
});

test('the page lets its own script and style run, by their hashes, and asks its own server only', async () => {
  const { port } = await startStatus();
  const { headers, text } = await get(port, '/status');
  const [, style] = /<style>(.*)<\/style>/s.exec(text);
  const [, script] = /<script>(.*)<\/script>/s.exec(text);
  expect(directivesOf(headers['content-security-policy'])).toEqual({
    'default-src': "'none'",
    'script-src': sha256(script),
    'style-src': sha256(style),
    'connect-src': "'self'",
    'base-uri': "'none'",
    'form-action': "'none'",
    'frame-ancestors': "'none'",
  });
});

test('the page has one script, one style, and nothing from outside', async () => {
  const { port } = await startStatus();
  const { text } = await get(port, '/status');
  expect(text.match(/<script\b/g)).toHaveLength(1);
  expect(text.match(/<style\b/g)).toHaveLength(1);
  const addresses = text.match(/\bhttps?:\/\/[^'"\s)]+/g) ?? [];
  // The name of SVG, which nobody fetches.
  expect(addresses.filter((address) => address !== 'http://www.w3.org/2000/svg')).toEqual([]);
  expect(text).not.toMatch(/<link|<img|<iframe|@import|url\(|\bimport\(|\bsrc=|innerHTML|\beval\(| style=| on[a-z]+=/);
});
