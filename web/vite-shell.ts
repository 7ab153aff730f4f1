import type { Plugin } from 'vite';

async function hash(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return [...new Uint8Array(digest, 0, 6)]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
}

/** Tells the service worker, sw.js, what this build of the app is made of. */
export function shellList(): Plugin {
  let base = '/';
  return {
    name: 'shell-list',
    apply: 'build',
    enforce: 'post',
    configResolved(config) {
      base = config.base;
    },
    async generateBundle(_options, bundle) {
      const worker = bundle['sw.js'];
      if (worker?.type !== 'chunk') throw new Error('there is no sw.js');
      if (worker.imports.length > 0) throw new Error('sw.js must stand alone');
      const page = bundle['index.html'];
      if (page?.type !== 'asset') throw new Error('there is no page');
      // The other names change with what is in them.
      const names = Object.keys(bundle).filter((name) => name !== 'sw.js' && name !== 'index.html');
      const version = await hash([...names, String(page.source), worker.code].join('\n'));
      const shell = { version, files: names.sort().map((name) => base + name) };
      const code = worker.code.replaceAll('__SHELL__', JSON.stringify(shell));
      if (code === worker.code) throw new Error('sw.js takes no list');
      worker.code = code;
    },
  };
}
