// The gateway's REST API: JSON in and out, the session's cookie as the credential. Failures are
// Problems whose message can be shown to a person.
import { text } from '../text';

export class Problem extends Error {
  constructor(
    readonly status: number, // 0: no answer came
    readonly code: string, // as in docs/api.md; 'offline', 'unreachable', 'timeout' are ours
    message: string,
    readonly retryAfterSeconds?: number,
  ) {
    super(message);
    this.name = 'Problem';
  }
}

export interface RequestOptions {
  query?: Record<string, string | number | boolean | undefined>;
  signal?: AbortSignal;
  timeoutMs?: number; // 30 s
}

type Listener = () => void;
const signedOut = new Set<Listener>();

/** Calls `listener` when a request shows that there is no session any more. */
export function onSignedOut(listener: Listener): () => void {
  signedOut.add(listener);
  return () => signedOut.delete(listener);
}

function address(path: string, query: RequestOptions['query']): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) search.set(name, String(value));
  }
  return search.size ? `${path}?${search}` : path;
}

function withoutAnswer(error: unknown, signal?: AbortSignal): Problem {
  if (signal?.aborted) throw error;
  if (error instanceof DOMException && error.name === 'TimeoutError') {
    return new Problem(0, 'timeout', text.problem.tooLong);
  }
  return navigator.onLine
    ? new Problem(0, 'unreachable', text.problem.unreachable)
    : new Problem(0, 'offline', text.problem.offline);
}

async function problemOf(response: Response): Promise<Problem> {
  const retryAfter = Number(response.headers.get('Retry-After')) || undefined;
  try {
    const body = await response.json();
    return new Problem(
      response.status,
      body.code ?? 'unknown',
      body.detail || body.title || text.problem.unknown(response.status),
      retryAfter,
    );
  } catch {
    return new Problem(
      response.status,
      'unknown',
      text.problem.unknown(response.status),
      retryAfter,
    );
  }
}

async function request<T>(
  method: string,
  path: string,
  body: unknown,
  options: RequestOptions,
): Promise<T> {
  const timeout = AbortSignal.timeout(options.timeoutMs ?? 30_000);
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
  let response: Response;
  try {
    response = await fetch(address(path, options.query), {
      method,
      signal,
      headers: body === undefined ? undefined : { 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (response.ok) return (response.status === 204 ? undefined : await response.json()) as T;
  } catch (error) {
    throw withoutAnswer(error, options.signal);
  }
  const problem = await problemOf(response);
  if (problem.status === 401 && path !== '/api/login') {
    for (const listener of signedOut) listener();
  }
  throw problem;
}

export const api = {
  get: <T>(path: string, options: RequestOptions = {}) =>
    request<T>('GET', path, undefined, options),
  post: <T>(path: string, body?: unknown, options: RequestOptions = {}) =>
    request<T>('POST', path, body, options),
  put: <T>(path: string, body: unknown, options: RequestOptions = {}) =>
    request<T>('PUT', path, body, options),
  patch: <T>(path: string, body: unknown, options: RequestOptions = {}) =>
    request<T>('PATCH', path, body, options),
  delete: <T = void>(path: string, options: RequestOptions = {}) =>
    request<T>('DELETE', path, undefined, options),
};

/** One segment of a path. */
export const segment = encodeURIComponent;
