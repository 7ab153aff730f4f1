// An entry of the audit trail as a sentence.
import { dateTime } from '../settings/parts/format';
import { text } from '../text';
import type { AuditEntry } from './types';
import { words } from './words';

const w = words.audit;
const roles = text.settings.role;
const policies = text.settings.tools.policy;

/** "ann key:0123456789ab", "ann", "cli" or "system". */
export function actorOf(actor: string): { who: string; user: string | null } {
  if (actor === 'system') return { who: w.who.system, user: null };
  if (actor === 'cli') return { who: w.who.cli, user: null };
  const key = /^(.*) key:([0-9a-f]+)$/s.exec(actor);
  if (key) return { who: w.who.key(key[1]!, key[2]!), user: key[1]! };
  return { who: w.who.user(actor), user: actor };
}

export function sentenceOf(entry: AuditEntry): string {
  const { who, user } = actorOf(entry.actor);
  const whose = entry.user_id && entry.user_id !== user ? entry.user_id : null;
  const did = Object.hasOwn(w.did, entry.action) ? w.did[entry.action]! : w.other(entry.action);
  return `${who} ${did}${whose ? w.of(whose) : ''}`;
}

function noted(name: string, value: unknown): string {
  if (name === 'role' && Object.hasOwn(roles, String(value))) {
    return roles[value as keyof typeof roles].toLowerCase();
  }
  if (name === 'policy' && Object.hasOwn(policies, String(value))) {
    return policies[value as keyof typeof policies].toLowerCase();
  }
  if (name === 'allow_operator_llm') return value ? w.operatorLlm : w.noOperatorLlm;
  if (name === 'expires_at') return w.expires(dateTime(String(value)));
  if (name === 'label') return w.label(String(value));
  return `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`;
}

/** What it was about, and what else was noted. */
export function detailsOf(entry: AuditEntry): string[] {
  const { detail, subject } = entry;
  const all =
    detail && typeof detail === 'object'
      ? Object.entries(detail).map(([name, value]) => noted(name, value))
      : detail == null || detail === ''
        ? []
        : [String(detail)];
  return subject ? [subject, ...all] : all;
}
