// What the pages of the settings and of the administration ask for (docs/api.md).

export interface Credential {
  service: string;
  scopes: string[];
  expires_at: string | null;
  created_at: string;
  updated_at: string;
}

export interface StoredCredential extends Credential {
  unverified?: boolean; // a model key that could not be tried
  reason?: string;
}

export type ConnectionPhase =
  'idle' | 'connecting' | 'ready' | 'unreachable' | 'unauthorized' | 'failed';

export interface McpConnection {
  name: string;
  transport: 'http' | 'stdio';
  state: ConnectionPhase;
  error: string | null;
  retry_at: string | null;
  era: 'modern' | 'legacy' | null;
  version: string | null;
  server: {
    name: string | null;
    title: string | null;
    version: string | null;
    instructions: string | null;
  } | null;
  credential: { service: string; stored: boolean } | null;
  oauth: boolean;
  tools: number | null;
  quarantined: { name: string; reason: string }[];
  list_warning: string | null;
}

export interface McpTool {
  name: string;
  title: string | null;
  description: string | null;
  input_schema: unknown;
  output_schema: unknown;
  read_only: boolean | null;
  destructive: boolean | null;
  idempotent: boolean | null;
  open_world: boolean | null;
  quarantine: string | null;
}

export type Policy = 'allow' | 'ask' | 'deny';

export interface Tool {
  name: string | null; // null: quarantined
  server: string; // "": built in
  tool: string;
  title: string;
  description: string;
  policy: Policy;
  policy_source: 'tool' | 'server' | 'default';
  read_only: boolean;
  destructive: boolean;
  shown: 'direct' | 'search' | 'never';
  quarantined: string | null;
}

export interface PolicyRule {
  server: string;
  tool: string; // "*": all of the server
  policy: Policy;
  updated_at: string;
}

export interface ApiKey {
  hash: string;
  user_id: string;
  role: 'personal' | 'admin' | 'cos_internal';
  label: string | null;
  created_at: string;
  last_used_at: string | null;
  revoked: boolean;
  allow_operator_llm: boolean;
  current: boolean;
}

export interface NewApiKey extends ApiKey {
  key: string;
  closed_instance: boolean;
}

export interface Session {
  id: string;
  key: string;
  created_at: string;
  expires_at: string;
  current: boolean;
}

export interface UsageCounts {
  calls: number;
  input_tokens: number;
  output_tokens: number;
  cached_input_tokens: number;
  cache_write_tokens: number;
  reasoning_tokens: number;
  cost_microusd: number;
}

export interface Usage extends UsageCounts {
  provider: string;
  model: string;
  key_owner: 'operator' | 'user';
}

export interface Notification {
  id: string;
  from_agent: string | null;
  message: string;
  priority: string;
  created_at: string;
  read_at: string | null;
}

export interface Profile {
  name: string | null;
  time_zone: string | null;
  about: string | null;
  updated_at: string | null;
}
