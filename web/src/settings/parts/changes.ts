// Placeholder until live/changes.ts lands.
export type Topic = 'settings' | 'notification' | 'thread';
export function onChanged(_topic: Topic, _listener: () => void): () => void {
  return () => {};
}
