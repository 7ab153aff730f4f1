// What a tool gave back, from events and from stored messages, in one shape.
import type { Block } from '../api/types';

function isBlocks(value: unknown): value is Block[] {
  return Array.isArray(value) && value.every((b) => typeof (b as Block | null)?.type === 'string');
}

/** `asText`: blocks that come as their JSON text. */
export function resultOf(content: unknown, asText = false): string | Block[] {
  if (asText && typeof content === 'string') {
    try {
      content = JSON.parse(content);
    } catch {
      return content as string;
    }
  }
  if (typeof content === 'string') return content;
  return isBlocks(content) ? content : JSON.stringify(content ?? '');
}
