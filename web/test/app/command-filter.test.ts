import { describe, expect, test } from 'vitest';
import { commandQuery, filterCommands } from '../../src/app/command-filter';

const list = [
  { label: 'New chat', words: 'begin' },
  { label: 'Archive this chat', words: 'hide' },
  { label: 'Rename this chat', words: 'title name' },
  { label: 'Export this chat as JSON', words: 'download' },
  { label: 'Réglages', words: 'settings' },
];
const labels = (query: string) => filterCommands(list, query).map((command) => command.label);

describe('filtering', () => {
  test('nothing typed: all, in their order', () => {
    expect(labels('')).toEqual(list.map((command) => command.label));
  });

  test('the beginning of any word, the label before what means the same', () => {
    expect(labels('na')).toEqual(['Rename this chat']);
    expect(labels('re')).toEqual(['Rename this chat', 'Réglages']);
    expect(labels('dow')).toEqual(['Export this chat as JSON']);
    expect(labels('ame')).toEqual([]);
  });

  test('every word must be meant', () => {
    expect(labels('chat json')).toEqual(['Export this chat as JSON']);
    expect(labels('new json')).toEqual([]);
  });

  test('case and accents do not count', () => {
    expect(labels('REGL')).toEqual(['Réglages']);
  });

  test('signs alone mean nothing', () => {
    expect(labels('***')).toEqual([]);
  });
});

describe('what is a command', () => {
  test.each([
    ['/', ''],
    ['/ren', 'ren'],
    ['/new chat', 'new chat'],
    ['', null],
    ['ren', null],
    ['/etc/hosts', null],
    ['/usr is a folder', null],
    ['/a\nb', null],
    [' /ren', null],
  ])('%j', (message, query) => expect(commandQuery(message)).toBe(query));
});
