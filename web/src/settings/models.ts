import type { Model } from '../api/types';
import { matching } from './connections';
import { words } from './words';

const w = words.models;

/** A company or program whose models one can use with a key, or an address, of one's own. */
export interface Provider {
  service: string; // of /api/credentials
  id: string; // in the ids of models
  name: string;
  about: string;
  key?: string; // where the key comes from; none: it takes no key here
  url: { label: string; help: string; required: boolean };
}

export const PROVIDERS: Provider[] = [
  {
    service: 'llm_anthropic',
    id: 'anthropic',
    name: w.anthropic,
    about: w.anthropicAbout,
    key: w.anthropicWhere,
    url: { label: w.baseUrl, help: w.anthropicUrlHelp, required: false },
  },
  {
    service: 'llm_openai',
    id: 'openai',
    name: w.openai,
    about: w.openaiAbout,
    key: w.openaiWhere,
    url: { label: w.baseUrl, help: w.baseUrlHelp, required: false },
  },
  {
    service: 'llm_ollama',
    id: 'ollama',
    name: w.ollama,
    about: w.ollamaAbout,
    url: { label: w.ollamaUrl, help: w.ollamaUrlHelp, required: true },
  },
];

/** The default first, then by provider and name. */
export function usableModels(models: Model[]): Model[] {
  return [...models].sort(
    (a, b) =>
      Number(b.default) - Number(a.default) ||
      a.provider.localeCompare(b.provider) ||
      a.model.localeCompare(b.model),
  );
}

/** What PUT /api/credentials takes: nothing that was left empty. */
export function keyValue(fields: { key: string; url: string; model: string }) {
  const value: Record<string, string> = {};
  if (fields.key.trim()) value.api_key = fields.key.trim();
  if (fields.url.trim()) value.base_url = fields.url.trim();
  if (fields.model.trim()) value.preferred_model = fields.model.trim();
  return value;
}

/** What a provider has to choose from. */
export interface Discovered {
  id: string;
  name?: string;
}

/** Those that have all words of `search`, in the order of the provider. */
export function findModels(models: Discovered[], search: string): string[] {
  return matching(models, search, (m) => `${m.id} ${m.name ?? ''}`).map((m) => m.id);
}

export function modelName(models: Discovered[], id: string): string {
  const name = models.find((m) => m.id === id)?.name;
  return name && name !== id ? `${name} (${id})` : id;
}
