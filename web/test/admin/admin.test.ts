import { expect, test } from 'vitest';
import { actorOf, detailsOf, sentenceOf } from '../../src/admin/audit';
import { parseMetrics, total } from '../../src/admin/metrics';
import type { AuditEntry } from '../../src/admin/types';

const entry = (more: Partial<AuditEntry>): AuditEntry => ({
  id: '1',
  created_at: '2026-11-22T12:00:00Z',
  user_id: 'ann',
  actor: 'ann key:0123456789ab',
  action: 'key.create',
  subject: null,
  detail: null,
  ...more,
});

test('who did it', () => {
  expect(actorOf('ann key:0123456789ab').user).toBe('ann');
  expect(actorOf('ann smith').user).toBe('ann smith');
  expect(actorOf('cli').user).toBeNull();
  expect(actorOf('system').user).toBeNull();
});

test('what one does to oneself needs no name', () => {
  expect(sentenceOf(entry({}))).toBe('ann (key 0123456789ab) created a key');
  expect(sentenceOf(entry({ user_id: 'bob' }))).toBe('ann (key 0123456789ab) created a key of bob');
  expect(sentenceOf(entry({ actor: 'cli', action: 'key.revoke' }))).toMatch(
    /revoked a key of ann$/,
  );
});

test('an action that nobody knows is still told', () => {
  expect(sentenceOf(entry({ actor: 'ann', action: 'toString' }))).toBe('ann did “toString”');
});

test('details in words', () => {
  const detail = { role: 'admin', label: 'phone', allow_operator_llm: false, other: [1] };
  expect(detailsOf(entry({ subject: 'abc', detail }))).toEqual([
    'abc',
    'administrator',
    '“phone”',
    'may not use the operator’s model',
    'other: [1]',
  ]);
  expect(detailsOf(entry({}))).toEqual([]);
  expect(detailsOf(entry({ detail: 'a text' }))).toEqual(['a text']);
});

test('metrics: values with and without labels, and what is none', () => {
  const samples = parseMetrics(
    [
      '# HELP adjutant_x about',
      'adjutant_fibers 16',
      'adjutant_http_requests_total{route="GET /api/me",class="2xx"} 5',
      'adjutant_http_requests_total{route="GET /a\\"b",class="5xx"} 2',
      'adjutant_bad nonsense',
      'no number at all',
    ].join('\n'),
  );
  expect(samples).toHaveLength(3);
  expect(total(samples, 'fibers')).toBe(16);
  expect(total(samples, 'http_requests_total')).toBe(7);
  expect(total(samples, 'http_requests_total', (l) => l.class === '5xx')).toBe(2);
  expect(total(samples, 'unknown')).toBeNull();
});
