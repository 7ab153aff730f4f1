import { text } from '../text';

const w = text.welcome;

export type Provider = 'anthropic' | 'openai' | 'ollama'; // whose wire format

/** What one may choose first. */
export interface Choice {
  id: 'anthropic' | 'openai' | 'compatible' | 'ollama';
  provider: Provider;
  name: string;
  about: string;
  key: 'needed' | 'optional' | 'none';
  address?: { help: string; initial: string }; // of one's own server
  site?: { name: string; url: string }; // where keys are made
}

export const CHOICES: Choice[] = [
  {
    id: 'anthropic',
    provider: 'anthropic',
    name: w.provider.anthropic,
    about: w.provider.anthropicAbout,
    key: 'needed',
    site: { name: 'console.anthropic.com', url: 'https://console.anthropic.com/settings/keys' },
  },
  {
    id: 'openai',
    provider: 'openai',
    name: w.provider.openai,
    about: w.provider.openaiAbout,
    key: 'needed',
    site: { name: 'platform.openai.com', url: 'https://platform.openai.com/api-keys' },
  },
  {
    id: 'ollama',
    provider: 'ollama',
    name: w.provider.ollama,
    about: w.provider.ollamaAbout,
    key: 'none',
    address: { help: w.key.addressOllama, initial: 'http://localhost:11434' },
  },
  {
    id: 'compatible',
    provider: 'openai',
    name: w.provider.compatible,
    about: w.provider.compatibleAbout,
    key: 'optional',
    address: { help: w.key.addressCompatible, initial: '' },
  },
];

export interface Listed {
  id: string;
  name?: string;
}

/** What the gateway says of its input, without the member's name, and of services by what they are. */
export function plainly(error: unknown, choice: Choice): string {
  const message = error instanceof Error ? error.message : String(error);
  const words = message
    .replace(/^(?:value\.)?(?:api_key|base_url|preferred_model): /, '')
    .replace(/^./, (first) => first.toUpperCase());
  return choice.id === 'compatible' ? words.replace(/^OpenAI\b/, w.key.theService) : words;
}

/** Those whose id or name has all words of `search`. */
export function matching(models: Listed[], search: string): Listed[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return models.filter((model) => {
    const all = `${model.id} ${model.name ?? ''}`.toLowerCase();
    return words.every((word) => all.includes(word));
  });
}
