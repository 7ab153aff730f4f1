import { text } from '../text';

export const words = text.admin;
