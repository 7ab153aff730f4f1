import type { UsageCounts } from '../settings/types';

export interface AdminUser {
  user_id: string;
  created_at: string;
  last_activity_at: string | null;
  valid_keys: number;
  threads: number;
  input_tokens: number;
  output_tokens: number;
}

export interface AdminUsageRow extends UsageCounts {
  user_id?: string;
  provider?: string;
  model?: string;
  key_owner: 'operator' | 'user';
}

export interface AuditEntry {
  id: number | string;
  created_at: string;
  user_id: string | null;
  actor: string;
  action: string;
  subject: string | null;
  detail: unknown;
}
