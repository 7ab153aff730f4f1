type Kind = { type: 'model' } | { type: 'permission'; server: string } | { type: 'own' };

export function kindOf(service: string): Kind {
  if (service.startsWith('llm_')) return { type: 'model' };
  if (service.startsWith('mcp:')) return { type: 'permission', server: service.slice(4) };
  return { type: 'own' };
}

export const isService = (name: string) => /^[a-z0-9_:.-]{1,64}$/.test(name);

export interface CredentialField {
  name: string;
  value: string;
}

/** What is usually stored for services that the gateway knows. */
const KNOWN: Record<string, { fields: string[] } | { json: true }> = {
  google: { fields: ['access_token', 'refresh_token'] },
  splitwise: { fields: ['api_key'] },
  garmin: { json: true },
};

export function formFor(service: string): { as: 'fields' | 'json'; fields: CredentialField[] } {
  const known = KNOWN[service];
  const names = known && 'fields' in known ? known.fields : [''];
  return {
    as: known && 'json' in known ? 'json' : 'fields',
    fields: names.map((name) => ({ name, value: '' })),
  };
}

/** The value to store, or null when the fields make none. */
export function valueOfFields(fields: CredentialField[]): Record<string, string> | null {
  const value: Record<string, string> = {};
  for (const field of fields) {
    const name = field.name.trim();
    if (!field.value) continue;
    if (!name || Object.hasOwn(value, name)) return null;
    value[name] = field.value.trim();
  }
  return Object.keys(value).length ? value : null;
}

export function valueOfJson(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return value && typeof value === 'object' && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}
