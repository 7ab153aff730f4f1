// An entry of the audit trail as a sentence.
import type { AuditEntry } from './types';
import { words } from './words';

const w = words.audit;

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
  const of = entry.user_id === user || !entry.user_id ? w.self : entry.user_id;
  const did = Object.hasOwn(w.did, entry.action) ? w.did[entry.action] : undefined;
  return `${who} ${did ? did(of) : w.other(entry.action, of)}`;
}

/** What it was about, and what else was noted. */
export function detailOf(entry: AuditEntry): string {
  const { detail } = entry;
  const noted =
    detail == null || detail === ''
      ? ''
      : typeof detail === 'object'
        ? Object.entries(detail)
            .map(
              ([name, value]) =>
                `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`,
            )
            .join(', ')
        : String(detail);
  return [entry.subject, noted].filter(Boolean).join(' · ');
}
