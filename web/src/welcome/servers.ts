export interface Server {
  name: string;
  state: 'idle' | 'connecting' | 'ready' | 'unreachable' | 'unauthorized' | 'failed';
  error: string | null;
  server: { title?: string | null } | null;
  credential: { service: string; stored: boolean } | null;
  oauth: boolean;
  tools: number | null;
}

/** The servers of mcp.json; where there is none, those of a standard installation that are there. */
export function shownServers(all: Server[], configured: number): Server[] {
  if (configured > 0) return all;
  return all.filter(
    (s) => s.state === 'ready' || s.state === 'unauthorized' || s.state === 'failed',
  );
}
