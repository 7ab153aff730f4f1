import { describe, expect, it } from 'vitest';
import {
  contentOf,
  fieldsOf,
  fieldsOfValues,
  initialValues,
  problemsOf,
  type Values,
} from '../src/chat/schema-form';
import { humanName, pretty, shownOf, summaryOf } from '../src/chat/tool-words';

const object = (properties: Record<string, unknown>, required: string[] = []) => ({
  type: 'object',
  properties,
  required,
});

function only(property: Record<string, unknown>, required = false) {
  const fields = fieldsOf(object({ it: property }, required ? ['it'] : []));
  expect(fields).not.toBeNull();
  return fields!;
}

const problem = (property: Record<string, unknown>, value: Values[string], required = true) =>
  problemsOf(only(property, required), { it: value }).it;

const content = (property: Record<string, unknown>, value: Values[string], required = false) =>
  contentOf(only(property, required), { it: value }).it;

describe('a form from a schema', () => {
  it('has a field for each member, in order, with its words', () => {
    const fields = fieldsOf(
      object(
        {
          due_date: { type: 'string', format: 'date', description: 'At the latest' },
          guests: { type: 'integer', title: 'How many', minimum: 1, maximum: 12, default: 2 },
          notes: { type: 'string', maxLength: 2000 },
          agreed: { type: 'boolean', default: true },
        },
        ['due_date'],
      ),
    )!;
    expect(fields.map((f) => [f.name, f.label, f.kind, f.required])).toEqual([
      ['due_date', 'Due date', 'date', true],
      ['guests', 'How many', 'integer', false],
      ['notes', 'Notes', 'long', false],
      ['agreed', 'Agreed', 'boolean', false],
    ]);
    expect(fields[0]!.help).toBe('At the latest');
    expect(initialValues(fields)).toEqual({ due_date: '', guests: '2', notes: '', agreed: true });
  });

  it('knows the ways to write a choice', () => {
    expect(only({ type: 'string', enum: ['a', 'b'], enumNames: ['A', 'B'] })[0]!.options).toEqual([
      { value: 'a', label: 'A' },
      { value: 'b', label: 'B' },
    ]);
    expect(only({ oneOf: [{ const: 1, title: 'One' }, { const: 2 }] })[0]!.options).toEqual([
      { value: 1, label: 'One' },
      { value: 2, label: '2' },
    ]);
    const many = only({ type: 'array', items: { anyOf: [{ const: 'x', title: 'X' }] } })[0]!;
    expect([many.kind, many.options]).toEqual(['choices', [{ value: 'x', label: 'X' }]]);
  });

  it('gives up on what is no list of single values', () => {
    expect(fieldsOf(object({ a: { type: 'object', properties: {} } }))).toBeNull();
    expect(fieldsOf(object({ a: { type: 'array', items: { type: 'string' } } }))).toBeNull();
    expect(fieldsOf(object({ a: {} }))).toBeNull();
    expect(fieldsOf(object({ a: true }))).toBeNull();
    expect(fieldsOf({ type: 'string' })).toBeNull();
    expect(fieldsOf({ type: 'object' })).toEqual([]);
    expect(fieldsOf(undefined)).toEqual([]);
  });

  it.each([
    [{ type: 'string' }, '', true],
    [{ type: 'string' }, 'x', false],
    [{ type: 'string', minLength: 3 }, 'ab', true],
    [{ type: 'string', maxLength: 2 }, '🎉🎉', false],
    [{ type: 'string', maxLength: 2 }, '🎉🎉🎉', true],
    [{ type: 'string', pattern: '^[a-z]+$' }, 'A', true],
    [{ type: 'string', pattern: '(' }, 'A', false],
    [{ type: 'string', format: 'email' }, 'me', true],
    [{ type: 'string', format: 'email' }, 'me@example.com', false],
    [{ type: 'string', format: 'uri' }, 'example.com', true],
    [{ type: 'string', format: 'uri' }, 'https://example.com', false],
    [{ type: 'string', format: 'date' }, '2026-02-30', true],
    [{ type: 'string', format: 'date' }, '2026-02-28', false],
    [{ type: 'string', format: 'date-time' }, 'soon', true],
    [{ type: 'number' }, 'two', true],
    [{ type: 'number' }, '-2.5', false],
    [{ type: 'number' }, ' ', true],
    [{ type: 'integer' }, '2.5', true],
    [{ type: 'integer', minimum: 1, maximum: 3 }, '0', true],
    [{ type: 'integer', minimum: 1, maximum: 3 }, '4', true],
    [{ type: 'integer', minimum: 1, maximum: 3 }, '3', false],
    [{ type: 'string', enum: ['a'] }, '', true],
    [{ type: 'boolean' }, false, false],
    [{ type: 'array', minItems: 1, items: { enum: ['a', 'b'] } }, [], true],
    [{ type: 'array', maxItems: 1, items: { enum: ['a', 'b'] } }, ['a', 'b'], true],
  ])('%j with %j: wrong is %j', (property, value, wrong) => {
    expect(Boolean(problem(property, value))).toBe(wrong);
  });

  it('asks for nothing that need not be there', () => {
    expect(problem({ type: 'string', format: 'email', minLength: 3 }, '', false)).toBeUndefined();
    expect(contentOf(only({ type: 'string' }), { it: '' })).toEqual({});
    expect(content({ type: 'array', items: { enum: ['a'] } }, [])).toBeUndefined();
  });

  it('answers in the types that are asked for', () => {
    expect(content({ type: 'integer' }, '7')).toBe(7);
    expect(content({ enum: [1, 2] }, '2')).toBe(2);
    expect(content({ type: 'string', enum: ['1', '2'] }, '2')).toBe('2');
    expect(content({ type: 'boolean' }, true)).toBe(true);
    expect(content({ type: 'array', items: { enum: ['a', 'b'] } }, ['b'])).toEqual(['b']);
    expect(content({ type: 'string', format: 'date-time' }, '2026-01-02T03:04:05Z')).toBe(
      '2026-01-02T03:04:05.000Z',
    );
  });

  it('edits arguments as they are', () => {
    const values = { title: 'A', count: 2, open: false };
    const fields = fieldsOfValues(values)!;
    expect(contentOf(fields, { ...initialValues(fields), count: '3' })).toEqual({
      ...values,
      count: 3,
    });
    expect(fieldsOfValues({ list: [] })).toBeNull();
    expect(fieldsOfValues({ none: null })).toBeNull();
  });

  it('an argument that was emptied is sent empty', () => {
    const fields = fieldsOfValues({ body: 'words' })!;
    expect(contentOf(fields, { body: '' }, true)).toEqual({ body: '' });
  });
});

describe('tools in words', () => {
  it.each([
    ['create_issue', 'Create issue'],
    ['listEvents', 'List events'],
    ['get-weather.now', 'Get weather now'],
  ])('%s is %s', (name, words) => expect(humanName(name)).toBe(words));

  it('sums up arguments', () => {
    expect(summaryOf('{"expression":"6*7"}')).toBe('6*7');
    expect(summaryOf('{"from":"Bern","to":"Lyon","via":null}')).toBe('from: Bern, to: Lyon');
    expect(summaryOf('{"bro')).toBe('');
    expect(summaryOf(`{"a":"${'x'.repeat(500)}"}`).length).toBeLessThan(160);
  });

  it('lays JSON out and leaves words alone', () => {
    expect(pretty('{"a":1}')).toBe('{\n  "a": 1\n}');
    expect(pretty('{"a":')).toBe('{"a":');
    expect(shownOf('[1]').texts).toEqual([{ text: '[\n  1\n]', json: true }]);
  });

  it('shows pictures of this page only', () => {
    const images = shownOf([
      { type: 'image', media_type: 'image/png', data: 'AAAA' },
      { type: 'image', media_type: 'image/svg+xml', data: 'AAAA' },
      { type: 'image', url: 'https://a.example/i.png' },
      { type: 'image', url: 'javascript:alert(1)' },
      { type: 'image', href: '/api/threads/1/images/2' },
      { type: 'image', href: '//evil.example/i' },
    ]).images;
    expect(images).toEqual([
      { source: 'data:image/png;base64,AAAA' },
      {},
      { link: 'https://a.example/i.png' },
      {},
      { source: '/api/threads/1/images/2' },
      {},
    ]);
  });
});
