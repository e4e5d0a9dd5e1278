'use strict';

// The platforms that a binary is published for. The loader, the build and the packing all read this table; the suffix
// is the one that @napi-rs/cli names the file and the package with.

/** @type {ReadonlyArray<{suffix: string, target: string, platform: string, arch: string, libc?: 'glibc' | 'musl'}>} */
const platforms = [
  { suffix: 'linux-x64-gnu', target: 'x86_64-unknown-linux-gnu', platform: 'linux', arch: 'x64', libc: 'glibc' },
  { suffix: 'linux-arm64-gnu', target: 'aarch64-unknown-linux-gnu', platform: 'linux', arch: 'arm64', libc: 'glibc' },
  { suffix: 'linux-x64-musl', target: 'x86_64-unknown-linux-musl', platform: 'linux', arch: 'x64', libc: 'musl' },
  { suffix: 'linux-arm64-musl', target: 'aarch64-unknown-linux-musl', platform: 'linux', arch: 'arm64', libc: 'musl' },
  { suffix: 'darwin-x64', target: 'x86_64-apple-darwin', platform: 'darwin', arch: 'x64' },
  { suffix: 'darwin-arm64', target: 'aarch64-apple-darwin', platform: 'darwin', arch: 'arm64' },
  { suffix: 'win32-x64-msvc', target: 'x86_64-pc-windows-msvc', platform: 'win32', arch: 'x64' },
];

/** Which C library this process runs on; undefined where there is no choice. */
function hostLibc(proc = process) {
  if (proc.platform !== 'linux') return undefined;
  const { report } = proc;
  // Without this a report resolves the name of every open socket's peer, which can take seconds.
  const before = report.excludeNetwork;
  report.excludeNetwork = true;
  try {
    return report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl';
  } finally {
    report.excludeNetwork = before;
  }
}

/** The platform that this process runs on: `suffix` is undefined if no binary is published for it. */
function hostPlatform(proc = process) {
  const libc = hostLibc(proc);
  const found = platforms.find((p) => p.platform === proc.platform && p.arch === proc.arch && p.libc === libc);
  return {
    suffix: found && found.suffix,
    name: [proc.platform, proc.arch, libc].filter(Boolean).join('-'),
  };
}

module.exports = { platforms, hostPlatform };
