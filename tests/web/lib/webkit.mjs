// WebKitGTK by WebDriver, on a display of its own: the nearest to Safari that can be had here.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import webdriver from 'selenium-webdriver';

const { Builder, By, Capabilities, until } = webdriver;
export { By, until };

const STARTED_MS = 20_000;
const BROWSERS = ['4.1', '4.0', '6.0'].flatMap((version) =>
  ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map((arch) => `/usr/lib/${arch}/webkit2gtk-${version}/MiniBrowser`));

/** Xvfb chooses a free display and writes its number. */
async function display() {
  const child = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '1400x1000x24', '-nolisten', 'tcp'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
  const number = await Promise.race([
    new Promise((resolve) => child.stdio[3].once('data', (data) => resolve(String(data).trim()))),
    new Promise((_, reject) => { setTimeout(() => reject(new Error('Xvfb did not start')), STARTED_MS).unref(); }),
  ]);
  return { child, name: `:${number}` };
}

async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function listening(port) {
  for (const end = Date.now() + STARTED_MS; Date.now() < end;) {
    const ok = await fetch(`http://127.0.0.1:${port}/status`).then((r) => r.ok, () => false);
    if (ok) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('WebKitWebDriver did not start');
}

/** { driver, close }. The window has the size of a phone when `phone`. */
export async function openWebKit({ phone = false } = {}) {
  const screen = await display();
  const port = await freePort();
  const server = spawn('WebKitWebDriver', [`--port=${port}`, '--host=127.0.0.1'], {
    stdio: 'ignore',
    env: {
      ...process.env, DISPLAY: screen.name, LIBGL_ALWAYS_SOFTWARE: '1',
      // Its sandbox needs user namespaces, which root in a container does not have.
      ...(process.getuid() === 0 ? { WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1' } : {}),
    },
  });
  const end = () => { server.kill(); screen.child.kill(); };
  try {
    await listening(port);
    const driver = await new Builder().usingServer(`http://127.0.0.1:${port}`).withCapabilities(new Capabilities({
      browserName: 'MiniBrowser',
      'webkitgtk:browserOptions': { binary: BROWSERS.find((file) => fs.existsSync(file)), args: ['--automation'] },
    })).build();
    await driver.manage().window().setRect(phone ? { width: 390, height: 844 } : { width: 1280, height: 800 });
    return {
      driver,
      close: async () => {
        await driver.quit().catch(() => {});
        end();
      },
    };
  } catch (error) {
    end();
    throw error;
  }
}
