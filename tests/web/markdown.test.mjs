// What a model says is not to be trusted: it is text, and becomes nothing else.
import assert from 'node:assert/strict';
import { say, rest, suite, turns, webtest } from './harness.mjs';

const HOSTILE = {
  'a script': '<script>window.pwned = 1</script>',
  'an image with a handler': '<img src=x onerror="window.pwned = 1">',
  'a remote image': '![look](https://evil.example/beacon.png) <img src="https://evil.example/beacon.gif">',
  'remote things of other kinds': '<video src="https://evil.example/v.mp4" poster="https://evil.example/p.png"></video><link rel=stylesheet href=https://evil.example/s.css><object data=https://evil.example/o></object><embed src=https://evil.example/e><audio src=https://evil.example/a autoplay></audio>',
  'a data image': '![svg](data:image/svg+xml,<svg/onload=window.pwned=1>) ![x](data:text/html;base64,PHNjcmlwdD53aW5kb3cucHduZWQ9MTwvc2NyaXB0Pg==)',
  'links that run': '[a](javascript:window.pwned=1) [b](JaVaScRiPt:window.pwned=1) [c](data:text/html,<script>opener.pwned=1</script>) [d](vbscript:x) <a href="java\tscript:window.pwned=1">e</a> [f](blob:x) [g](file:///etc/passwd)',
  'frames and forms': '<iframe src="javascript:parent.pwned=1" srcdoc="<script>parent.pwned=1</script>"></iframe><form action="https://evil.example/"><input name=q autofocus onfocus="window.pwned=1"><button>Go</button></form>',
  'what changes the page': '<base href="https://evil.example/"><meta http-equiv=refresh content="0;url=https://evil.example/"><style>body{display:none}</style><link rel=stylesheet href=https://evil.example/x.css><div style="position:fixed;inset:0;background:url(https://evil.example/b)">over</div>',
  'names that shadow': '<a id=location name=body></a><img name=getElementById><form id=document></form><input id=cookie>',
  'SVG and MathML': '<svg onload="window.pwned=1"><use href="data:image/svg+xml,x"/><animate onbegin="window.pwned=1" attributeName=x dur=1s><foreignObject><img src=x onerror=window.pwned=1></foreignObject></svg><math><mtext><table><mglyph><style><img src=x onerror="window.pwned=1"></style></mglyph></table></mtext></math>',
  'broken pieces': '<<img src=x onerror=window.pwned=1>img><scr<script>ipt>window.pwned=1</scr</script>ipt>\n\n`<img src=x onerror=window.pwned=1>\n\n```html\n<script>window.pwned=1</script>\n',
  'code that names its language': '```"><img src=x onerror=window.pwned=1>\ncode\n```\n\n~~~html onload=alert(1) class="x\n<b>\n~~~\n',
};

suite('hostile markdown', (start) => {
  const g = start();

  for (const [name, markdown] of Object.entries(HOSTILE)) {
    webtest(name, g, async ({ page }) => {
      // The sanitiser's parser meets it in a document without a window; Chromium tells of that, too.
      page.expected.push(/violates the following Content Security Policy directive/);
      const foreign = [];
      page.on('request', (r) => { if (!r.url().startsWith(g.url) && !/^(blob|data):/.test(r.url())) foreign.push(r.url()); });
      await say(page, `[verbatim]\n${markdown}\n\nthe end of it`);
      await turns(page).last().getByText(/the end of it\s*$/).last().waitFor();
      await rest(page);
      for (const reloaded of [false, true]) {
        if (reloaded) {
          await page.reload();
          await turns(page).last().getByText(/the end of it\s*$/).last().waitFor();
        }
        const found = await turns(page).last().evaluate((article) => {
          const answer = article.querySelectorAll('.markdown');
          const all = [...answer].flatMap((m) => [...m.querySelectorAll('*')]);
          return {
            pwned: window.pwned,
            elements: all.map((e) => e.localName).filter((n) => /^(script|iframe|object|embed|form|base|meta|link|style|video|audio|math|foreignobject|animate|use)$/i.test(n)),
            handlers: all.flatMap((e) => e.getAttributeNames().filter((a) => /^on/i.test(a) || a === 'style' || a === 'srcdoc')),
            links: all.map((e) => e.getAttribute('href')).filter((h) => h && !/^(https?:|mailto:|tel:|#|\/)/i.test(h)),
            sources: all.map((e) => e.getAttribute('src')).filter((s) => s && !/^(data:image\/(png|jpeg|gif|webp)|blob:|\/)/i.test(s)),
            ids: all.map((e) => e.id || e.getAttribute('name')).filter((n) => n && n in document),
          };
        });
        assert.deepEqual(found, { pwned: undefined, elements: [], handlers: [], links: [], sources: [], ids: [] }, reloaded ? 'after a reload' : 'as it came');
      }
      assert.deepEqual(foreign, []);
      assert.equal(pagesBeside(page), 1, 'a page was opened');
    });
  }

  webtest('a link leaves without telling where from', g, async ({ page }) => {
    await say(page, '[verbatim]\n[out](https://example.org/) ![picture](https://example.org/p.png)');
    const link = turns(page).last().getByRole('link', { name: /out/ });
    await link.waitFor();
    assert.equal(await link.getAttribute('target'), '_blank');
    assert.match(await link.getAttribute('rel'), /noopener/);
    assert.match(await link.getAttribute('rel'), /noreferrer/);
    assert.equal(await turns(page).last().getByRole('link', { name: 'Image: picture' }).getAttribute('href'), 'https://example.org/p.png');
  });

  webtest('a huge table scrolls in its own place, and the page still answers', g, async ({ page }) => {
    const columns = 40;
    const row = (f) => `|${Array.from({ length: columns }, (_, i) => f(i)).join('|')}|`;
    const table = [row((i) => `column ${i}`), row(() => '---'), ...Array.from({ length: 400 }, (_, n) => row((i) => `cell ${n}.${i}`))].join('\n');
    await say(page, `[verbatim]\n${table}\n\nbelow the table`);
    await turns(page).last().getByText('below the table').last().waitFor({ timeout: 60_000 });
    await rest(page);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, 'the page is wider than the window');
    await page.getByRole('textbox', { name: 'Message', exact: true }).fill('still here');
  });

  webtest('words without an end, and quotes within quotes', g, { phone: true }, async ({ page }) => {
    await say(page, `[verbatim]\n${'m'.repeat(20_000)}\n\n${'> '.repeat(500)}deep\n\n${'- '.repeat(200)}list\n\n${'*'.repeat(3000)}\n\n${'['.repeat(3000)}\n\nthe end of it`);
    await turns(page).last().getByText(/the end of it\s*$/).last().waitFor({ timeout: 60_000 });
    await rest(page);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, 'the page is wider than the window');
  });
});

const pagesBeside = (page) => page.context().pages().length;
