// GET /api/health answers 503 with the same body when the database is away.

export interface Health {
  status: 'ok' | 'degraded';
  version: string;
  uptime_s: number;
  database: { backend: string; healthy: boolean; latency_ms: number | null };
  provider: { configured: boolean; name: string | null };
}

const DEADLINE_MS = 15_000;

export async function health(signal: AbortSignal): Promise<Health> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)]);
  const response = await fetch('/api/health', { signal: deadline });
  const body = (await response.json()) as Partial<Health>;
  if (!body.version || !body.database || !body.provider) throw new Error(String(response.status));
  return body as Health;
}
