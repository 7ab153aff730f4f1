// What a peak of load took is given back.
import { describe, test } from 'node:test';
import { ADJUTANT, Adjutant, BACKENDS, Fake, eventually } from './harness.mjs';
import { execFileSync } from 'node:child_process';

const MB = 1 << 20;
// A sanitizer's allocator keeps what is freed on purpose.
const sanitized = execFileSync('nm', ['-D', ADJUTANT], { encoding: 'utf8', maxBuffer: 1 << 26 }).includes('__asan_init');

describe('memory', { skip: sanitized || !BACKENDS.includes('sqlite') }, () => {
  test('goes back after many large requests at once', async () => {
    const fake = await Fake.start();
    const g = await Adjutant.start({ backend: 'sqlite', fake });
    try {
      const extra = Array(49_000).fill({ aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: 1 });
      await Promise.all(Array(30).fill(0).map(() => g.chat('[say x]', { extra })));
      await eventually(() => g.resident() < 100 * MB, { deadlineMs: 30_000, everyMs: 500, what: `${g.resident() / MB} MB given back` });
    } finally {
      await g.stop();
      await fake.stop();
    }
  });
});
