import { expect, test } from 'vitest';
import {
  fallbackOf,
  groupTools,
  orphanRules,
  policyOf,
  ruleOf,
  withRule,
} from '../../src/settings/policies';
import type { Policy, PolicyRule, Tool } from '../../src/settings/types';

const tool = (server: string, name: string, more: Partial<Tool> = {}): Tool => ({
  name,
  server,
  tool: name,
  title: '',
  description: '',
  policy: 'ask',
  policy_source: 'default',
  read_only: false,
  destructive: false,
  shown: 'direct',
  quarantined: null,
  ...more,
});
const rule = (server: string, name: string, policy: Policy): PolicyRule => ({
  server,
  tool: name,
  policy,
  updated_at: '2026-11-22T12:00:00Z',
});

const write = tool('notes', 'write');
const read = tool('notes', 'read', { read_only: true });
const clock = tool('', 'current_time');

test('without rules, what only reads and what is built in is allowed', () => {
  expect(policyOf(write, [])).toBe('ask');
  expect(policyOf(read, [])).toBe('allow');
  expect(policyOf(clock, [])).toBe('allow');
});

test("a tool's own rule goes before its server's, and that before the default", () => {
  const all = rule('notes', '*', 'deny');
  expect(policyOf(read, [all])).toBe('deny');
  expect(policyOf(read, [all, rule('notes', 'read', 'ask')])).toBe('ask');
  expect(fallbackOf(read, [all, rule('notes', 'read', 'ask')])).toEqual({
    policy: 'deny',
    byServer: true,
  });
  expect(fallbackOf(read, [rule('notes', 'read', 'ask')])).toEqual({
    policy: 'allow',
    byServer: false,
  });
});

test("another server's rules do not count", () => {
  expect(policyOf(write, [rule('mail', '*', 'allow'), rule('mail', 'write', 'allow')])).toBe('ask');
});

test('a rule is made, replaced and taken back', () => {
  let rules = withRule([], 'notes', 'write', 'allow');
  expect(ruleOf(rules, 'notes', 'write')).toBe('allow');
  rules = withRule(rules, 'notes', 'write', 'deny');
  expect(rules).toHaveLength(1);
  expect(ruleOf(rules, 'notes', 'write')).toBe('deny');
  expect(withRule(rules, 'notes', 'write', null)).toEqual([]);
  expect(withRule(rules, 'notes', '*', null)).toEqual(rules);
});

test('groups by server, the built-in tools last, with what was searched for', () => {
  const tools = [clock, write, tool('mail', 'send', { description: 'Sends a letter' }), read];
  const groups = groupTools(tools, [rule('notes', '*', 'allow')], '', 'all');
  expect(groups.map((g) => g.server)).toEqual(['mail', 'notes', '']);
  expect(groups[1]).toMatchObject({ rule: 'allow', own: 1 });
  expect(groups[1]!.tools.map((t) => t.tool)).toEqual(['read', 'write']);
  expect(groupTools(tools, [], 'LETTER mail', 'all').map((g) => g.server)).toEqual(['mail']);
  expect(groupTools(tools, [], 'nothing', 'all')).toEqual([]);
});

test('filters by what holds, not by where it comes from', () => {
  const rules = [rule('notes', 'write', 'deny')];
  const names = (filter: 'own' | Policy) =>
    groupTools([clock, write, read], rules, '', filter).flatMap((g) => g.tools.map((t) => t.tool));
  expect(names('deny')).toEqual(['write']);
  expect(names('own')).toEqual(['write']);
  expect(names('allow')).toEqual(['read', 'current_time']);
  expect(names('ask')).toEqual([]);
});

test('a tool that was left out is in no filter for what holds', () => {
  const broken = tool('notes', 'broken', { quarantined: 'no schema' });
  expect(groupTools([broken], [], '', 'ask')).toEqual([]);
  expect(groupTools([broken], [], '', 'all')).toHaveLength(1);
});

test('rules that no tool shows are told apart', () => {
  const rules = [
    rule('notes', '*', 'allow'),
    rule('notes', 'gone', 'ask'),
    rule('garage', '*', 'deny'),
    rule('notes', 'write', 'allow'),
  ];
  expect(orphanRules([write], rules).map((r) => `${r.server} ${r.tool}`)).toEqual([
    'notes gone',
    'garage *',
  ]);
});
