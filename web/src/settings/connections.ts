import type { ConnectionPhase, McpConnection } from './types';

export type Tone = 'plain' | 'good' | 'warning' | 'bad';

const TONES: Record<ConnectionPhase, Tone> = {
  idle: 'plain',
  connecting: 'plain',
  ready: 'good',
  unreachable: 'bad',
  unauthorized: 'warning',
  failed: 'bad',
};

export const toneOf = (connection: McpConnection): Tone => TONES[connection.state];

/** What is wrong, as a sentence, without the link that the button stands for. */
export function problemOf(connection: McpConnection): string | null {
  if (!connection.error) return null;
  const asks = connection.oauth && connection.state === 'unauthorized';
  const error = asks
    ? connection.error.replace(/:?\s*open\s+https?:\/\/.*$/is, '')
    : connection.error;
  return /[.!?]$/.test(error) ? error : `${error}.`;
}

/** Items whose text has all words of `search`, in any order and case. */
export function matching<T>(items: T[], search: string, textOf: (item: T) => string): T[] {
  const wanted = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (wanted.length === 0) return items;
  return items.filter((item) => {
    const text = textOf(item).toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
}
