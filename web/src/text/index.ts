import { en, type Text } from './en';

// The words in the language of the person. So far there is one.
export const text: Text = en;

// Dates and times as the person's own kind of this language has them.
export const dateLocale: string =
  globalThis.navigator?.languages?.find((one) => one.split('-')[0] === text.locale) ?? text.locale;
