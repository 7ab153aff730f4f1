// Shapes of the REST API as docs/api.md has them: what several screens use. What only one screen
// uses stands with that screen.

export interface Me {
  user_id: string;
  role: 'personal' | 'admin' | 'cos_internal';
  auth: 'table' | 'shared' | 'open';
  via: 'key' | 'cookie' | 'open';
  allow_operator_llm: boolean;
  name?: string | null;
  setup?: {
    configured: boolean; // a model would answer
    model: string | null;
    key_owner: 'user' | 'operator' | null;
    problem: string | null;
    profile: boolean; // they said who they are
    mcp_servers: number;
    mcp_config: string | null;
  };
}

export interface Model {
  id: string; // provider:model
  provider: string;
  model: string;
  default: boolean;
  key_owner: 'user' | 'operator';
}

export type TurnState = 'queued' | 'running' | 'interrupted' | 'done' | 'failed' | 'cancelled';

export interface Thread {
  id: string;
  title: string | null;
  agent: string;
  skill: string | null;
  model_provider: string | null;
  forked_from: string | null;
  created_at: string;
  updated_at: string;
  archived_at: string | null;
  message_count: number;
  total_input_tokens: number;
  total_output_tokens: number;
  open_turn: { id: string; state: TurnState } | null;
}

export type Block =
  | { type: 'text'; text: string }
  | { type: 'image'; media_type?: string; data?: string; url?: string; href?: string }
  | { type: 'reasoning'; text: string }
  | { type: 'tool_call'; id: string; name: string; arguments: string };

export interface StoredMessage {
  seq: number;
  id: string;
  turn_id: string;
  created_at: string;
  role: 'user' | 'assistant' | 'tool';
  content: string | Block[];
  tool_call_id?: string;
  name?: string;
  is_error?: boolean;
}

export interface ThreadPage extends Thread {
  messages: StoredMessage[];
  has_more: boolean;
  queued: Pick<StoredMessage, 'id' | 'turn_id' | 'created_at' | 'content'>[];
  ends: { id: string; state: 'failed' | 'cancelled'; error?: { code: string; message: string } }[];
}

export interface SearchHit {
  thread_id: string;
  title: string | null;
  message_id: string;
  seq: number;
  role: 'user' | 'assistant';
  created_at: string;
  snippet: { text: string; match: boolean }[];
}

/** A question of a turn: an AG-UI interrupt (docs/api.md, Questions). */
export interface Interrupt {
  id: string;
  reason: 'tool_call' | 'input_required' | 'confirmation';
  message?: string;
  toolCallId?: string;
  responseSchema?: Record<string, unknown>;
  expiresAt?: string;
  metadata?: {
    kind: 'approval' | 'elicitation';
    server?: string;
    tool?: string;
    name?: string;
    arguments?: unknown;
    code?: string;
    text?: string;
    questions?: {
      key: string;
      mode: 'form' | 'url';
      message?: string;
      schema?: Record<string, unknown>;
      url?: string;
    }[];
  };
}

export type Answer =
  | { approved: true; arguments?: Record<string, unknown>; always?: boolean }
  | { approved: false; reason?: string }
  | { action: 'accept' | 'decline' | 'cancel'; content?: Record<string, unknown> };
