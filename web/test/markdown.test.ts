// @vitest-environment jsdom
import { Marked } from 'marked';
import { describe, expect, it } from 'vitest';
import { closeInline, heal } from '../src/markdown/heal';
import { codeBox, fitHeadings, NO_HEADINGS, render, sanitize } from '../src/markdown/render';
import { BLOCK_LIMIT, Splitter } from '../src/markdown/splitter';

function html(node: Node): string {
  const box = document.createElement('div');
  box.append(node);
  return box.innerHTML;
}

const plain = new Marked();

// What is laid out, before it is cleaned: quick to compare. White space at the edges of a line is
// not seen, and differs where a paragraph ends in what could be indented code.
function draftsOf(splitter: Splitter): string[] {
  return splitter.blocks.map((block) => {
    if (block.kind === 'markdown')
      return plain
        .parser(block.tokens)
        .replace(/\s*\n\s*/g, '\n')
        .replace(/\s+<\/p>/g, '</p>');
    if (block.kind === 'code') return `code:${block.language}:${block.code}`;
    return `plain:${block.source}`;
  });
}

function blocksOf(splitter: Splitter): string[] {
  return splitter.blocks.map((block) => {
    if (block.kind === 'markdown') return html(render(block.tokens));
    if (block.kind === 'code') return html(codeBox(block.language, block.code));
    return `plain:${block.source}`;
  });
}

function inParts(text: string, parts: number[], shown = blocksOf): string[] {
  const splitter = new Splitter();
  let at = 0;
  for (const part of parts) {
    splitter.push(text.slice(at, part));
    at = part;
  }
  splitter.push(text.slice(at));
  splitter.end();
  return shown(splitter);
}

// The same numbers in every run, so that a failure comes back.
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const PIECES = [
  ...[
    '# Title\n',
    'A paragraph\nof two lines.\n',
    '\n',
    '\n\n',
    'word ',
    '**bold** and *thin*',
    '\n',
  ],
  ...[
    '- one\n',
    '- two\n\n  more\n',
    '  - deep\n',
    '1. first\n',
    '2. second\n',
    '* star\n',
    '- [x] done\n',
  ],
  ...[
    '> quoted\n',
    '> > twice\n',
    'lazy\n',
    '```js\nlet a = 1;\n',
    '```\n',
    '~~~\n',
    '    indented\n',
  ],
  ...[
    '| a | b |\n',
    '|---|:-:|\n',
    '| 1 | 2 |\n',
    '---\n',
    '===\n',
    '***\n',
    '`code` ',
    '[link](https://a.example/x) ',
  ],
  ...[
    '[ref]',
    '[ref]: https://b.example/\n',
    '![alt](https://c.example/i.png)',
    '<div>\n',
    '</div>\n\n',
    '<!-- note -->\n',
  ],
  ...[
    '\\* ',
    '#',
    '-',
    '`',
    '``',
    '*',
    '**',
    '_',
    '|',
    '\t- tab\n',
    '   three\n',
    'Umlaut äöü 日本 🎉 ',
    'https://d.example ',
  ],
];

describe('a text in blocks', () => {
  it('comes out the same however it was cut', { timeout: 60_000 }, () => {
    const next = random(7);
    for (let round = 0; round < 150; round++) {
      let text = '';
      for (let n = 1 + Math.floor(next() * 16); n > 0; n--) {
        text += PIECES[Math.floor(next() * PIECES.length)];
      }
      const whole = inParts(text, [], draftsOf);
      const each = inParts(
        text,
        Array.from({ length: text.length }, (_, i) => i),
        draftsOf,
      );
      expect(each, JSON.stringify(text)).toEqual(whole);
      const cuts = Array.from({ length: 5 }, () => Math.floor(next() * text.length)).sort(
        (a, b) => a - b,
      );
      expect(inParts(text, cuts, draftsOf), JSON.stringify([text, cuts])).toEqual(whole);
    }
  });

  it('says what the whole text at once would say', () => {
    const marked = new Marked();
    const text =
      '# One\n\nText with **bold**.\n\n- a\n- b\n\n  c\n\n1. x\n2. y\n\n> q\nlazy\n\n' +
      '| a | b |\n|---|---|\n| 1 | 2 |\n\nafter\n***\n    code\n\nend [ref]\n\n[ref]: https://a.example/\n';
    const box = document.createElement('div');
    box.innerHTML = marked.parse(text, { async: false });
    const ours = document.createElement('div');
    ours.innerHTML = inParts(text, [3, 30, 70]).join('\n');
    for (const head of ours.querySelectorAll('.code-head')) head.remove();
    const words = (element: Element) => element.textContent.replace(/\s+/g, ' ').trim();
    expect(words(ours)).toBe(words(box));
    expect(ours.querySelectorAll('li').length).toBe(box.querySelectorAll('li').length);
    expect(ours.querySelector('a')?.href).toBe('https://a.example/');
  });

  it('finishes a block as soon as nothing can change it', () => {
    const splitter = new Splitter();
    splitter.push('One\n\nTw');
    expect(splitter.blocks.length).toBe(0);
    splitter.push('o\n');
    expect(splitter.blocks.length).toBe(1);
    expect(splitter.open).toBe('Two\n');
  });

  it('hides what may close a fence until it is told', () => {
    const splitter = new Splitter();
    splitter.push('```py\nprint(1)\n``');
    expect(splitter.openCode).toEqual({ language: 'py', code: 'print(1)' });
    splitter.push('`\nafter\n');
    expect(splitter.openCode).toBeNull();
    expect(splitter.blocks[0]).toMatchObject({ kind: 'code', code: 'print(1)', language: 'py' });
  });

  it('gives a link its address when it comes later', () => {
    const splitter = new Splitter();
    splitter.push('See [the page].\n\nMore.\n\n');
    expect(blocksOf(splitter)[0]).not.toContain('<a');
    splitter.push('[the page]: https://a.example/\n\nEnd\n');
    expect(blocksOf(splitter)[0]).toContain('href="https://a.example/"');
  });

  it('puts what is too large aside, the same however it was cut', () => {
    const rows = '| cell | cell |\n'.repeat(4000);
    const text = `Before\n\n| a | b |\n|---|---|\n${rows}\nAfter\n`;
    const whole = inParts(text, [], draftsOf);
    expect(inParts(text, [10, 1000, 30_000, 30_001, 50_000], draftsOf)).toEqual(whole);
    expect(whole.filter((block) => block.startsWith('plain:')).length).toBe(1);
    expect(whole.at(-1)?.trim()).toBe('<p>After</p>');
    expect(whole[1]!.length).toBeLessThan(BLOCK_LIMIT * 6);
  });
});

describe('a text that is cut', () => {
  const cases: [string, string][] = [
    ['some **bo', 'some **bo**'],
    ['some **bold*', 'some **bold**'],
    ['some **', 'some '],
    ['some *it **both', 'some *it **both***'],
    ['a `co', 'a `co`'],
    ['a `', 'a '],
    ['a ``x` y', 'a ``x` y``'],
    ['see [the pa', 'see the pa'],
    ['see [the page](https://exa', 'see the page'],
    ['see [the page](https://a.example/) t', 'see [the page](https://a.example/) t'],
    ['an ![ima', 'an '],
    ['an ![image](htt', 'an '],
    ['2 * 3 = 6', '2 * 3 = 6'],
    ['snake_case_name', 'snake_case_name'],
    ['~~go', '~~go~~'],
    ['x <b', 'x '],
    ['a < b', 'a < b'],
    ['x\\', 'x'],
    ['*a* and **b** c', '*a* and **b** c'],
    ['**bold** `x*y` *z', '**bold** `x*y` *z*'],
  ];
  it.each(cases)('%j is shown as %j', (cut, shown) => {
    expect(closeInline(cut)).toBe(shown);
  });

  it.each([
    ['Text\n-', 'Text'],
    ['Text\n##', 'Text'],
    ['- a\n-', '- a'],
    ['1. a\n2', '1. a'],
    ['Text\n```py', 'Text'],
    ['- one **b', '- one **b**'],
    ['- *a', '- *a*'],
    ['> quoted *w', '> quoted *w*'],
    ['| a | b', '| a | b |\n| - | - |'],
    ['| a | b |\n|-', '| a | b |\n| - | - |'],
    ['| a | b |\n|---|---|\n| **x', '| a | b |\n|---|---|\n| **x**'],
    ['- x\n  ```\n  **a', '- x\n  ```\n  **a'],
  ])('%j becomes %j', (cut, shown) => {
    expect(heal(cut)).toBe(shown);
  });

  it('never throws and never takes long', () => {
    for (const mark of [
      '*',
      '_',
      '[',
      '![',
      '`',
      '<',
      '|',
      '(',
      '\\',
      '~',
      '> ',
      '- ',
      '**a ',
      '[a](',
    ]) {
      expect(() => heal(mark.repeat(2000))).not.toThrow();
      expect(() => heal(`| a |\n|-|${' |'.repeat(2000)} ${mark}`)).not.toThrow();
    }
  });
});

describe('what is let through', () => {
  const shown = (markdown: string) => inParts(markdown, []).join('');

  it.each([
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '<svg onload=alert(1)><circle/></svg>',
    '<iframe src="https://evil.example"></iframe>',
    '<a href="javascript:alert(1)">x</a>',
    '<a href="java&#10;script:alert(1)">x</a>',
    '<a href="data:text/html,<script>alert(1)</script>">x</a>',
    '<a href="//evil.example/x">x</a>',
    '<form action="https://evil.example"><input name=a><button>go</button></form>',
    '<style>*{display:none}</style>',
    '<p style="position:fixed" class="code-copy" id="app" onclick="x()">x</p>',
    '<math><mi xlink:href="javascript:alert(1)">x</mi></math>',
    '<base href="https://evil.example/">',
    '<meta http-equiv="refresh" content="0;url=https://evil.example">',
    '<object data="x"></object><embed src="x"><link rel=stylesheet href="x">',
    '<template><img src=x onerror=alert(1)></template>',
    '<video src="https://evil.example/v" autoplay></video><audio src=x></audio>',
    '<picture><source srcset="https://evil.example/i"></picture>',
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>"></noscript>',
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
    '[x](javascript:alert(1))',
    '[x](JaVaScRiPt:alert(1))',
    '[x](data:text/html;base64,PHNjcmlwdD4=)',
    '[x](vbscript:x)',
    '[x](file:///etc/passwd)',
    '[x](/settings/models)',
    '![x](https://evil.example/pixel.png)',
    '![x](data:image/svg+xml;base64,PHN2Zz4=)',
    '![x](javascript:alert(1))',
    '[x]: javascript:alert(1)\n\n[x]',
    '<javascript:alert(1)>',
    '```"><script>alert(1)</script>\nx\n```',
    '```js" onmouseover="alert(1)\nx\n```',
    '[a](https://a.example/"onmouseover="alert(1))',
    '- [ ] <input type=text>',
  ])('nothing that acts: %s', (hostile) => {
    const box = document.createElement('div');
    box.innerHTML = shown(hostile);
    const forbidden =
      'script,img,svg,math,iframe,object,embed,form,input,style,link,meta,base,video,audio,source,picture,template,[style],[id],[name],[src],[srcset]';
    expect(box.querySelector(forbidden), box.innerHTML).toBeNull();
    for (const element of box.querySelectorAll('*')) {
      for (const { name } of element.attributes) expect(name).not.toMatch(/^on/);
    }
    for (const link of box.querySelectorAll('a[href]')) {
      expect(link.getAttribute('href')).toMatch(/^(https?:\/\/|mailto:)/);
      expect(link.getAttribute('rel')).toBe('noopener noreferrer');
      expect(link.getAttribute('target')).toBe('_blank');
    }
    for (const button of box.querySelectorAll('button')) {
      expect(button.parentElement?.className).toBe('code-head');
    }
  });

  it('images become links', () => {
    expect(shown('![a cat](https://a.example/cat.png)')).toContain('>Image: a cat</a>');
    expect(html(sanitize('<img src="https://a.example/i" alt="i">'))).toContain('>Image: i</a>');
  });

  it('headings stand below those of the page', () => {
    expect(shown('# a\n\n###### b')).toBe('<h3>a</h3><h6>b</h6>');
  });

  it('headings begin below the page and leave no level out', () => {
    const box = document.createElement('div');
    box.append(sanitize('<h4>a</h4><h6>b</h6><h4>c</h4><h3>d</h3>'));
    const first = fitHeadings(box, NO_HEADINGS);
    expect(box.innerHTML).toBe('<h3>a</h3><h4>b</h4><h3>c</h3><h3>d</h3>');
    expect(first).toEqual({ first: 4, last: 3 });
  });

  it('tasks, tables and code are furnished', () => {
    expect(shown('- [x] a')).toContain('aria-label="Done:"');
    expect(shown('|a|\n|-|\n|1|')).toContain('class="table-box" tabindex="0" role="group"');
    expect(shown('- a\n\n  ```js\n  x\n  ```\n')).toContain(
      '<span class="code-language">js</span>',
    );
  });
});
