// A form from a JSON schema: an object whose members are single values, as MCP's elicitations ask
// for and as most tools take. What is not of this kind is written as JSON instead.
import { text } from '../text';
import { isObject } from './tool-words';

export type FieldKind =
  | 'text'
  | 'long'
  | 'number'
  | 'integer'
  | 'boolean'
  | 'choice'
  | 'choices'
  | 'email'
  | 'uri'
  | 'date'
  | 'date-time';

export interface Field {
  name: string;
  label: string;
  help?: string;
  kind: FieldKind;
  required: boolean;
  options: { value: string | number; label: string }[];
  minimum?: number; // of a number, of the length of a text, of the number of choices
  maximum?: number;
  pattern?: string;
  initial: Value;
}

export type Value = string | boolean | string[];
export type Values = Record<string, Value>;

type Schema = Record<string, unknown>;

const FORMATS: Record<string, FieldKind> = {
  email: 'email',
  uri: 'uri',
  date: 'date',
  'date-time': 'date-time',
};

/** The fields of a schema, or null when it asks for more than a form can do. */
export function fieldsOf(schema: unknown): Field[] | null {
  if (!isObject(schema)) return [];
  const properties = schema.properties ?? {};
  if ((schema.type ?? 'object') !== 'object' || !isObject(properties)) return null;
  const required = Array.isArray(schema.required) ? schema.required : [];
  const fields: Field[] = [];
  for (const [name, property] of Object.entries(properties)) {
    const field = isObject(property) && fieldOf(name, property, required.includes(name));
    if (!field) return null;
    fields.push(field);
  }
  return fields;
}

function fieldOf(name: string, schema: Schema, required: boolean): Field | null {
  const options = optionsOf(schema);
  const kind = kindOf(schema, options.length > 0);
  if (!kind) return null;
  const field: Field = {
    name,
    label: wordOf(schema.title) ?? labelOf(name),
    help: wordOf(schema.description),
    kind,
    required,
    options: kind === 'choices' && isObject(schema.items) ? optionsOf(schema.items) : options,
    initial: initialOf(kind, schema.default),
  };
  const [least, most] = boundsOf(kind, schema);
  if (least !== undefined) field.minimum = least;
  if (most !== undefined) field.maximum = most;
  if (typeof schema.pattern === 'string') field.pattern = schema.pattern;
  if (kind === 'text' && (most ?? 0) > 200) field.kind = 'long';
  return field;
}

function kindOf(schema: Schema, chosen: boolean): FieldKind | null {
  if (chosen) return 'choice';
  const type = Array.isArray(schema.type) ? schema.type.find((one) => one !== 'null') : schema.type;
  if (type === 'number' || type === 'integer' || type === 'boolean') return type;
  if (type === 'string') return FORMATS[String(schema.format)] ?? 'text';
  if (type === 'array' && isObject(schema.items) && optionsOf(schema.items).length)
    return 'choices';
  return null;
}

function boundsOf(kind: FieldKind, schema: Schema): (number | undefined)[] {
  const names =
    kind === 'number' || kind === 'integer'
      ? ['minimum', 'maximum']
      : kind === 'choices'
        ? ['minItems', 'maxItems']
        : ['minLength', 'maxLength'];
  return names.map((name) =>
    typeof schema[name] === 'number' ? (schema[name] as number) : undefined,
  );
}

function optionsOf(schema: Schema): Field['options'] {
  const titled = schema.oneOf ?? schema.anyOf;
  if (Array.isArray(titled) && titled.every((one) => isObject(one) && isOption(one.const))) {
    return titled.map((one) => ({
      value: one.const,
      label: wordOf(one.title) ?? String(one.const),
    }));
  }
  if (!Array.isArray(schema.enum)) return [];
  const names = Array.isArray(schema.enumNames) ? schema.enumNames : [];
  return schema.enum
    .filter(isOption)
    .map((value, i) => ({ value, label: wordOf(names[i]) ?? String(value) }));
}

function isOption(value: unknown): value is string | number {
  return typeof value === 'string' || typeof value === 'number';
}

function wordOf(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() ? value : undefined;
}

/** `due_date` as "Due date". */
export function labelOf(name: string): string {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/[_-]+/g, ' ')
    .trim();
  return words ? words[0]!.toUpperCase() + words.slice(1) : name;
}

function initialOf(kind: FieldKind, value: unknown): Value {
  if (kind === 'boolean') return value === true;
  if (kind === 'choices') return Array.isArray(value) ? value.map(String) : [];
  return value === undefined || value === null ? '' : String(value);
}

/** The fields of arguments as a model wrote them: each of the type that it has. */
export function fieldsOfValues(values: Record<string, unknown>): Field[] | null {
  const fields: Field[] = [];
  for (const [name, value] of Object.entries(values)) {
    const kind = kindOfValue(value);
    if (!kind) return null;
    const initial = initialOf(kind, value);
    const required = kind === 'number';
    fields.push({ name, label: labelOf(name), kind, required, options: [], initial });
  }
  return fields;
}

function kindOfValue(value: unknown): FieldKind | null {
  if (typeof value === 'string') return value.length > 60 || value.includes('\n') ? 'long' : 'text';
  if (typeof value === 'number') return 'number';
  return typeof value === 'boolean' ? 'boolean' : null;
}

export function initialValues(fields: Field[]): Values {
  return Object.fromEntries(fields.map((field) => [field.name, field.initial]));
}

/** What is wrong, by the name of the field. */
export function problemsOf(fields: Field[], values: Values): Record<string, string> {
  const problems: Record<string, string> = {};
  for (const field of fields) {
    const problem = problemOf(field, values[field.name] ?? field.initial);
    if (problem) problems[field.name] = problem;
  }
  return problems;
}

function problemOf(field: Field, value: Value): string | null {
  const words = text.chat.form;
  if (typeof value === 'boolean') return null;
  if (Array.isArray(value)) {
    if (value.length === 0 && !field.required) return null;
    if (value.length < (field.minimum ?? (field.required ? 1 : 0))) {
      return words.fewest(field.minimum ?? 1);
    }
    return value.length > (field.maximum ?? Infinity) ? words.mostChoices(field.maximum!) : null;
  }
  if (value === '') {
    if (!field.required) return null;
    return field.kind === 'choice' ? words.choose : words.required;
  }
  if (field.kind === 'number' || field.kind === 'integer') return problemOfNumber(field, value);
  return problemOfText(field, value);
}

function problemOfNumber(field: Field, value: string): string | null {
  const words = text.chat.form;
  const n = Number(value);
  if (!Number.isFinite(n) || value.trim() === '') return words.number;
  if (field.kind === 'integer' && !Number.isInteger(n)) return words.integer;
  if (n < (field.minimum ?? -Infinity)) return words.least(field.minimum!);
  return n > (field.maximum ?? Infinity) ? words.most(field.maximum!) : null;
}

function problemOfText(field: Field, value: string): string | null {
  const words = text.chat.form;
  const length = [...value].length;
  if (length < (field.minimum ?? 0)) return words.shortest(field.minimum!);
  if (length > (field.maximum ?? Infinity)) return words.longest(field.maximum!);
  if (field.kind === 'email' && !/^[^\s@]+@[^\s@]+$/.test(value)) return words.email;
  if (field.kind === 'uri' && !isAddress(value)) return words.uri;
  if (field.kind === 'date' && !isDate(value)) return words.date;
  if (field.kind === 'date-time' && Number.isNaN(Date.parse(value))) return words.date;
  return field.pattern && !matches(field.pattern, value) ? words.pattern : null;
}

function isAddress(value: string): boolean {
  return /^[a-z][a-z0-9+.-]*:/i.test(value) && URL.canParse(value);
}

function isDate(value: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(value)) return false;
  const date = new Date(`${value}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(value);
}

// A pattern that is none holds nobody up: the server checks again.
function matches(pattern: string, value: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(value);
  } catch {
    return true;
  }
}

/** The answer; members that were left empty and need not be there are left out. */
export function contentOf(
  fields: Field[],
  values: Values,
  keepEmpty = false,
): Record<string, unknown> {
  const content: Record<string, unknown> = {};
  for (const field of fields) {
    const value = values[field.name] ?? field.initial;
    if ((value === '' || (Array.isArray(value) && !value.length)) && !field.required && !keepEmpty)
      continue;
    content[field.name] = valueOf(field, value);
  }
  return content;
}

function valueOf(field: Field, value: Value): unknown {
  if (field.kind === 'number' || field.kind === 'integer') return Number(value);
  if (field.kind === 'date-time') return new Date(String(value)).toISOString();
  if (field.kind === 'choice') {
    return field.options.find((option) => String(option.value) === value)?.value ?? value;
  }
  if (field.kind === 'choices' && Array.isArray(value)) {
    return value.map((one) => field.options.find((o) => String(o.value) === one)?.value ?? one);
  }
  return value;
}
