// What axe finds wrong with a page, of what matters to people: serious and critical.
import fs from 'node:fs';
import { createRequire } from 'node:module';

const source = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What moves has come to rest: half-faded words have half the contrast. */
export async function settled(page) {
  await page.evaluate(() => Promise.all(document.getAnimations()
    .filter((a) => a.effect?.getComputedTiming().endTime !== Infinity).map((a) => a.finished.catch(() => {}))));
}

/** In the page's main part: lines such as "color-contrast: <p>…"; none is well. */
export async function serious(page) {
  await settled(page);
  await page.evaluate(source);
  const violations = await page.evaluate(async () => (await axe.run('main', { resultTypes: ['violations'] })).violations);
  return violations.filter((v) => ['serious', 'critical'].includes(v.impact))
    .flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html.slice(0, 200)}`));
}
