import { en, type Text } from './en';

// The words in the language of the person. So far there is one.
export const text: Text = en;
